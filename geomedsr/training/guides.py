"""Scenes with a guide, for training by Wald's protocol: image and guide are both brought down by the factor.

The target is then the image itself, and the guide's block means lie on its grid, so the two are one scene: the image's
bands, and the guide's behind them (Wald, Ranchin and Mangolini 1997, Photogrammetric Engineering & Remote Sensing 63).
Where no guide was measured, as there is no panchromatic band beside most images, one is mixed of a scene's own bands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from geomedsr.errors import RecipeError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.pairs.placement import Placement, placement, tell_unplaced
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training.augment import sharpen

#: Rows of an image that a guide's means are made for at once.
_ROWS = 256

#: Of a fine pixel, a share that does not count: float digits.
_SLIVER = 1e-3


@dataclass(frozen=True)
class GuideDraw:
    """One draw: what each of the guide's bands weighs in a mixed one, its sharpness, and a line through its values."""

    weights: tuple[float, ...] = ()
    sharpness: float = 0.0
    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class Guide:
    """Which bands of a scene are the guide, and how it is made of them.

    ``own`` is how many bands are the image's, which come first; ``first`` the first of the guide's. A ``mixed`` one is
    a sum of these with random positive weights, brought to a contrast like theirs: ``mean`` and ``covariance`` are
    those of the bands' normalised values.
    """

    own: int
    first: int
    mixed: bool = False
    mean: Array | None = None
    covariance: Array | None = None

    def draw(self, rng: np.random.Generator, sharpness: tuple[float, ...], gain: float, offset: float) -> GuideDraw:
        """A random choice, with a line that is known."""
        level = sharpness[int(rng.integers(len(sharpness)))] if sharpness else 0.0
        if not self.mixed:
            return GuideDraw((), level, gain, offset)
        assert self.mean is not None
        assert self.covariance is not None
        weights = rng.dirichlet(np.ones(len(self.mean)))
        spread = float(np.sqrt(np.maximum(weights @ self.covariance @ weights, 1e-12)))
        wanted = float(np.sqrt(np.diag(self.covariance)).mean())
        stretch = wanted / spread
        # around 0.5, the middle of the value scale
        middle = float(weights @ self.mean)
        return GuideDraw(tuple(weights * stretch), level, gain, offset + gain * (0.5 - middle * stretch))

    def of(self, bands: torch.Tensor, drawn: GuideDraw) -> torch.Tensor:
        """The guide ``(B, G, H, W)`` of a scene's normalised bands ``(B, C, H, W)``, all of them."""
        seen = bands[:, self.first :]
        if self.mixed:
            seen = (seen * torch.tensor(drawn.weights, dtype=seen.dtype)[:, None, None]).sum(1, keepdim=True)
        return sharpen(seen, drawn.sharpness) * drawn.gain + drawn.offset


def mixing(scene: Scene, own: int, first: int) -> Guide:
    """A guide mixed of a scene's bands from ``first`` on, whose statistics are those of a spread of its pixels.

    Raises:
        RecipeError: there is one band alone, whose mixture is itself.
    """
    count = scene.shape[1] - first
    if count < 2:
        raise RecipeError(
            f"a guide mixed of {count} band of {scene.name}", "two or more", "name more bands, or leave `mixed` out"
        )
    box = Box.whole(scene.shape)
    step = max(1, int(np.sqrt(scene.shape[2] * scene.shape[3] / 2**18)))
    values = scene.values.normalise(scene.source.read(box))[0, first:, ::step, ::step].reshape(count, -1).numpy()
    known = scene.source.valid(box)[0, first:, ::step, ::step].reshape(count, -1).all(0)
    values = values[:, known].astype(np.float64)
    return Guide(own, first, True, values.mean(1), np.cov(values))


def beside(image: Scene, guide: Scene, scale: int, window: Window | None = None) -> Scene:
    """An image and the means of a guide ``scale`` times finer over its pixels as one scene, read into memory.

    Float32: the image's stored values, then the guide's means. The guide's pixels count by the area that they share
    with one of the image, so that grids may be apart by any part of a pixel, and the guide need not cover the image:
    what both show is kept, within a ``window`` of the image.

    Raises:
        InputError: grids that do not go together, see :func:`geomedsr.pairs.placement.placement`.
        RecipeError: several frames, or a window outside what both show.
    """
    one = placement(guide.select([1]), image.select([1]), scale)
    tell_unplaced([one])
    if window is not None:
        image.check(window)
    area = one.overlap if window is None else one.overlap.common(window)
    if image.shape[0] != 1 or min(area.width, area.height) < 1:
        raise RecipeError(
            f"{one.names} in {image.shape[0]} frames, with a window that meets {max(area.width, 0)} columns",
            "one frame, and a window of what both show",
            f"correct it: they share columns {one.overlap.col} to {one.overlap.stop[1]} and rows {one.overlap.row} to "
            f"{one.overlap.stop[0]} of the image",
        )
    parts = [
        _means(guide, one, Window(area.col, row, area.width, min(_ROWS, area.stop[0] - row)))
        for row in range(area.row, area.stop[0], _ROWS)
    ]
    means, known = (np.concatenate(each, 1) for each in zip(*parts, strict=True))
    box = Box.of(0, area)
    values = np.concatenate([image.source.read(box)[0], means], 0, dtype=np.float32, casting="unsafe")
    valid = np.concatenate([image.source.valid(box)[0], known], 0)
    bands = [replace(band, nodata=None) for band in (*image.bands, *guide.bands)]
    return replace(
        Scene.from_array(values, None if valid.all() else valid, grid=image.grid.cropped(area), bands=bands),
        name=image.name,
        files=(*image.files, *guide.files),
        domain=image.domain,
    )


def _means(guide: Scene, place: Placement, window: Window) -> tuple[Array, Array]:
    """Means of a guide over pixels of the image, ``(band, y, x)``, and where all that they are of is data."""
    height, width = guide.shape[2:]
    rows, first_row = _shares(place.relation.e, place.relation.f, window.row, window.height, height)
    cols, first_col = _shares(place.relation.a, place.relation.c, window.col, window.width, width)
    there = Box.of(0, Window(first_col, first_row, cols.shape[1], rows.shape[1]))
    lacking = ~guide.source.valid(there)[0]
    stored = np.where(lacking, 0, guide.source.read(there)[0]).astype(np.float64)
    seen = (stored, lacking.astype(np.float64))
    means, bad = (np.einsum("yv,bvu,xu->byx", rows, each, cols, optimize=True) for each in seen)
    return means, bad <= _SLIVER


def _shares(step: float, start: float, first: int, count: int, length: int) -> tuple[Array, int]:
    """What share each fine pixel has of each of ``count`` coarse ones along an axis, ``(coarse, fine)``, and the first.

    Coarse pixel ``i`` begins at ``step · i + start`` in fine pixels, of which there are ``length``.
    """
    edges = step * np.arange(first, first + count + 1) + start
    lowest, highest = max(int(np.floor(edges[0] + _SLIVER)), 0), min(int(np.ceil(edges[-1] - _SLIVER)), length)
    fine = np.arange(lowest, highest)
    shared = np.minimum(edges[1:, None], fine + 1) - np.maximum(edges[:-1, None], fine)
    shared = np.where(shared > _SLIVER, shared, 0)
    return shared / shared.sum(1, keepdims=True), lowest
