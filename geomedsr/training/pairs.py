"""Real pairs: a fine and a coarse raster over one footprint, and the patches drawn from them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomedsr.errors import RecipeError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.models.ports import IMAGE
from geomedsr.pairs.placement import Placement, placement, tell_unplaced
from geomedsr.pairs.radiometry import Line, fit_line
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training.augment import Augment
from geomedsr.training.patches import TARGET, Draw, Drawn, Example

#: The least R² of a band's line, and that below which a warning is given; both without outliers.
LEAST_R2, GOOD_R2 = 0.5, 0.9

#: Lines are fitted in windows of so many coarse pixels, at most so many along each axis.
_SIDE, _MOST = 32, 16


@dataclass(frozen=True, eq=False)
class ScenePair:
    """Two scenes of one footprint, band for band; ``lines`` bring the coarse one's stored values to the fine one's."""

    fine: Scene
    coarse: Scene
    placement: Placement
    lines: tuple[Line, ...]

    def cut(self, window: Window, bands: slice = slice(None)) -> Example | None:
        """The fine and the coarse image of a window of coarse pixels, ``(C, s·H, s·W)`` and ``(C, H, W)``.

        Both normalised float32 on the fine scene's value scale; None where a pixel of either is no data.
        """
        stored = []
        for scene, place in ((self.fine, self.placement.fine(window)), (self.coarse, window)):
            box = Box.of(0, place)
            if not scene.source.valid(box)[:, bands].all():
                return None
            stored.append(scene.source.read(box))
        gain, offset = (
            np.array([getattr(line, name) for line in self.lines])[:, None, None] for name in ("gain", "offset")
        )
        values = self.fine.values
        fine, coarse = values.normalise(stored[0]), values.normalise(stored[1] * gain + offset)
        return {TARGET: fine[0, bands], IMAGE: coarse[0, bands]}


def paired(fine: Scene, coarse: Scene, scale: int, side: int = _SIDE) -> ScenePair:
    """Two scenes as a pair: placed by their grids, the coarse one's values by a line for each band.

    The lines are fitted to the fine scene's block means, where both have data. Bands are matched by their order.
    ``side`` is that of the windows that will be cut, in coarse pixels. A warning says how far they lie off, and where
    sizes alone placed them.

    Raises:
        InputError: other numbers of bands, or grids that do not go together, see
            :func:`geomedsr.pairs.placement.placement` and :meth:`geomedsr.pairs.placement.Placement.check`.
        RecipeError: more than one frame; no data in common; or values that no line relates.
    """
    tell_unplaced([placement(fine, coarse, scale)])
    return matched(fine, coarse, scale, side)


def matched(fine: Scene, coarse: Scene, scale: int, side: int = _SIDE) -> ScenePair:
    """As :func:`paired`, without its warning that sizes alone placed the pair."""
    place = placement(fine, coarse, scale)
    names = place.names
    if fine.shape[0] != 1:
        raise RecipeError(f"{names} of {fine.shape[0]} frames", "one", "pair single slices")
    place.check(spread(place.overlap, side, _MOST))
    points = _points(fine, coarse, place)
    lines = tuple(fit_line(coarse_values, fine_means) for coarse_values, fine_means in points)
    for band, line, (values, _) in zip(fine.bands, lines, points, strict=True):
        if len(values) < 2:
            raise RecipeError(f"{names}, band {band.name}, without data in common", "data in both", "pair others")
        if line.gain <= 0 or line.r2 < LEAST_R2:
            raise RecipeError(
                f"{names} of unequal radiometry: band {band.name}'s line has R² {line.r2:.2f} and a slope of "
                f"{line.gain:.3g}",
                f"R² of at least {LEAST_R2} and a slope above 0",
                "choose bands of one wavelength with fine_bands and coarse_bands, scenes of one date, or leave it out",
            )
        if line.r2 < GOOD_R2:
            warnings.warn(
                f"{names}, band {band.name}: a line explains {line.r2:.0%} of its variance; the rest is "
                "learnt too, be it blur or another wavelength, time or place",
                SceneWarning,
                stacklevel=2,
            )
    return ScenePair(fine, coarse, place, lines)


class PairPatches(Drawn):
    """Patches of ``size`` fine pixels from real pairs: like :class:`Patches`, but nothing is made coarse.

    Item ``i`` is ``(fine, coarse)``, normalised float32 ``(C, size, size)`` and ``(C, size / s, size / s)``, a pure
    function of ``seed`` and ``i``. Turns, flips and the line of ``augment`` change both alike; its other changes are
    not for pairs. ``channels``, ``above``, ``share``, ``seed`` and ``length`` are as in :class:`Patches`.

    Raises:
        RecipeError: a pair is smaller than a patch or has another number of bands; when an item is asked for, a pair
            holds hardly a window of data, or of foreground.
    """

    def __init__(
        self,
        pairs: Sequence[ScenePair],
        size: int,
        *,
        channels: int = 1,
        augment: Augment | None = None,
        above: float = 0.0,
        share: float = 0.0,
        seed: int = 0,
        length: int = 1_000_000,
    ) -> None:
        self.pairs, self.size, self.channels = list(pairs), size, channels
        self.augment = augment or Augment()
        self.above, self.share, self.seed, self.length = above, share, seed, length
        for pair in self.pairs:
            scale, area, bands = pair.placement.scale, pair.placement.overlap, pair.fine.shape[1]
            room = min(area.width, area.height) * scale, *pair.fine.shape[2:]
            if size % scale or min(room) < size or channels not in (1, bands):
                raise RecipeError(
                    f"the pair {pair.fine.name} and {pair.coarse.name} of {area.width} × {area.height} coarse pixels "
                    f"in {bands} bands, for patches of {size} in {channels}",
                    f"an overlap of at least a patch, which {scale} divides, and all bands, or 1 (band by band)",
                    "leave it out, or make `patch` smaller",
                )
        weights = np.sqrt([float(np.prod(pair.fine.shape)) for pair in self.pairs])
        self.weights = weights / weights.sum()

    @property
    def scenes(self) -> list[Scene]:
        """What is read."""
        return [scene for pair in self.pairs for scene in (pair.fine, pair.coarse)]

    def fine(self, which: int) -> Scene:
        """The scene in high resolution of a pair."""
        return self.pairs[which].fine

    def draw(self, rng: np.random.Generator, which: int) -> Draw:
        """A random choice in a pair: the window is of coarse pixels, and may hold some without data."""
        pair = self.pairs[which]
        area, side, bands = pair.placement.overlap, self.size // pair.placement.scale, len(pair.lines)
        col, row = int(rng.integers(area.width - side + 1)), int(rng.integers(area.height - side + 1))
        band = int(rng.integers(bands))
        return Draw(
            which,
            0,
            slice(band, band + 1) if self.channels == 1 else slice(0, bands),
            Window(area.col + col, area.row + row, side, side),
            self.augment.draw(rng),
        )

    def cut(self, draw: Draw) -> Example | None:
        """The patches of a draw; None where a pixel of either is no data, or too few are foreground."""
        pair = self.pairs[draw.scene].cut(draw.window, draw.bands)
        if pair is None or (self.share and float((pair[TARGET] > self.above).float().mean()) < self.share):
            return None
        return {name: draw.change.move(patch) for name, patch in pair.items()}


def spread(area: Window, side: int, most: int) -> list[Window]:
    """Windows of up to ``side × side`` that tile an area, or at most ``most`` evenly chosen ones along each axis."""
    rows, cols = (
        range(first, first + length, side) for first, length in ((area.row, area.height), (area.col, area.width))
    )
    some = [
        [
            places[round(i * (len(places) - 1) / max(min(len(places), most) - 1, 1))]
            for i in range(min(len(places), most))
        ]
        for places in (rows, cols)
    ]
    end_row, end_col = area.stop
    return [Window(c, r, min(side, end_col - c), min(side, end_row - r)) for r in some[0] for c in some[1]]


def _points(fine: Scene, coarse: Scene, place: Placement) -> list[tuple[Array, Array]]:
    """For each band, coarse values and the fine block means beside them."""
    found: list[tuple[list[Array], list[Array]]] = [([], []) for _ in fine.bands]
    s = place.scale
    for window in spread(place.overlap, _SIDE, _MOST):
        there = place.fine(window)
        if not there.inside(fine.grid.shape):  # the overlap is smaller than its pixels drift
            continue
        blocks = (len(fine.bands), window.height, s, window.width, s)
        finely, coarsely = Box.of(0, there), Box.of(0, window)
        means = fine.source.read(finely)[0].reshape(blocks).mean((2, 4), dtype=np.float64)
        both = fine.source.valid(finely)[0].reshape(blocks).all((2, 4)) & coarse.source.valid(coarsely)[0]
        values = coarse.source.read(coarsely)[0]
        for band, (xs, ys) in enumerate(found):
            xs.append(values[band][both[band]])
            ys.append(means[band][both[band]])
    none = np.empty(0)
    return [(np.concatenate([*xs, none]), np.concatenate([*ys, none])) for xs, ys in found]
