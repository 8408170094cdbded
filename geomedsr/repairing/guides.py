"""Guides of a repair: what other bands of a scene, or another date, tell of its missing pixels; lazily.

A guide predicts each band by a regression on its own bands in a window around each pixel (local linear prediction, as
in gap filling of Landsat 7: Scaramuzza et al. 2004; Chen et al. 2011, doi 10.1016/j.rse.2010.12.010), from pixels that
both know. Of several windows the narrowest counts that holds enough of them.

Windows are computed in pieces that lie at whole multiples of their size, so that no tile changes a bit of them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.repairing.marks import Marks
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.sources import Array, Source

#: Standard deviations of the windows, in pixels, and how far they reach.
SIGMAS = (2.0, 4.0, 8.0)
RADIUS = math.ceil(2.5 * SIGMAS[-1])

#: The share of a window's weight on known pixels from which it is used alone; and the least share of the widest one.
_ENOUGH, _LEAST = 0.4, 0.05

#: Added to the variance of the guide's bands, of values about 0 … 1: faint relations count for little.
_CALM = 3e-3

#: How far a prediction may lie from the mean around, in standard deviations of what is around: clouds in a guide tell
#: nothing of the ground.
_FARTHEST = 4.0

#: Rows and columns of a piece.
_PIECE = 128


@dataclass(frozen=True)
class Guide:
    """What guides an ``image``, on its grid, of which ``marks`` are missing: ``other``, all of its bands; or, with
    None, of each band all others.

    ``scale`` and ``of_other`` are their value scales; ``far`` is how many rows and columns around a missing pixel are
    looked at.
    """

    image: Source
    marks: Marks
    scale: ValueScale
    other: Source | None
    of_other: ValueScale
    far: int

    def known(self, box: Box) -> Array:
        """Which pixels of the image are known, ``(frame, band, y, x)``."""
        return np.asarray(self.image.valid(box) & ~self.marks.defects(box))

    def tells(self, box: Box) -> Array:
        """Where the guide is known, for each band of the image."""
        bands = self.image.shape[1]
        if self.other is not None:
            there = np.asarray(self.other.valid(box).all(1, keepdims=True))
            return np.broadcast_to(there, (len(there), bands, *there.shape[2:]))
        unknown = ~self.known(box)
        return np.asarray(unknown.sum(1, keepdims=True) == unknown)  # only the band itself is not known

    def values(self, box: Box, band: int) -> tuple[Array, Array]:
        """A band of the image ``(y, x)``, and what guides it ``(guide band, y, x)``; float64, on their value scales."""
        frames = box.frames
        own = _scaled(self.image.read(box), self.scale, frames)[0]
        if self.other is not None:
            return own[band], _scaled(self.other.read(box), self.of_other, frames)[0]
        return own[band], np.delete(own, band, 0)

    def asked(self, box: Box) -> Array:
        """Which missing pixels the guide tells of, in a box and :attr:`far` around it."""
        around = box.grown((0, self.far, self.far)) & Box.whole(self.image.shape)
        return np.asarray(self.marks.defects(around) & self.tells(around))

    def pieces(self, box: Box) -> Iterator[tuple[Box, int]]:
        """Pieces that hold pixels of a box and lie near a missing pixel that the guide tells of; and bands of them."""
        whole = Box.whole(self.image.shape)
        around = box.grown((0, self.far, self.far)) & whole
        asked = self.asked(box)
        for piece in (box.aligned((_PIECE, _PIECE)) & whole).tiles((1, _PIECE, _PIECE)):
            near = (piece & box).grown((0, self.far, self.far)) & around
            part = asked[near.within(around).index]
            for band in np.flatnonzero(part.any((0, 2, 3))):
                yield piece, int(band)


def _scaled(stored: Array, scale: ValueScale, frames: slice) -> Array:
    low, span = scale.bounds(frames)
    return np.asarray((stored.astype(np.float64) - low) / span)


@dataclass(frozen=True)
class _OfGuide(Source):
    """What a guide says of some ``bands`` of an image; always data."""

    guide: Guide
    bands: tuple[int, ...]

    @property
    def reads(self) -> tuple[Source, ...]:
        """The image, its mask, and the other date."""
        other = () if self.guide.other is None else (self.guide.other,)
        return self.guide.image, self.guide.marks, *other

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, _, height, width = self.guide.image.shape
        return frames, len(self.bands), height, width

    @property
    def block(self) -> tuple[int, int]:
        """Whole pieces."""
        return _PIECE, _PIECE

    def select(self, bands: Sequence[int]) -> _OfGuide:
        """Some of the bands."""
        return replace(self, bands=tuple(self.bands[i] for i in bands))

    def valid(self, box: Box) -> Array:
        """True everywhere."""
        frames, height, width = box.shape
        return np.broadcast_to(np.True_, (frames, len(self.bands), height, width))

    def read(self, box: Box) -> Array:
        """What the guide says; 0 far from every missing pixel that it tells of."""
        out = np.zeros((box.shape[0], len(self.bands), *box.shape[1:]), self.dtype)
        for piece, band in self.guide.pieces(box):
            if band in self.bands:
                part = piece & box
                frame, _, rows, columns = part.within(box).index
                _, _, own_rows, own_columns = part.within(piece).index
                out[frame, self.bands.index(band), rows, columns] = self._made(piece, band)[own_rows, own_columns]
        return out

    @abstractmethod
    def _made(self, piece: Box, band: int) -> Array:
        """What it says of a piece."""


@dataclass(frozen=True)
class Told(_OfGuide):
    """What a guide predicts, float32, on the image's value scale."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Single precision."""
        return np.dtype(np.float32)

    def _made(self, piece: Box, band: int) -> Array:
        around = piece.grown((0, RADIUS, RADIUS)) & Box.whole(self.guide.image.shape)
        known = (self.guide.known(around) & self.guide.tells(around))[0, band]
        image, guide = self.guide.values(around, band)
        _, _, rows, columns = piece.within(around).index
        return predicted(image, known, guide, rows, columns)


@dataclass(frozen=True)
class Covered(_OfGuide):
    """Where a guide predicts, 1: it is known there, and enough around is known of both; bytes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return np.dtype(np.uint8)

    def _made(self, piece: Box, band: int) -> Array:
        around = piece.grown((0, RADIUS, RADIUS)) & Box.whole(self.guide.image.shape)
        tells = self.guide.tells(around)[0, band]
        known = self.guide.known(around)[0, band] & tells
        _, _, rows, columns = piece.within(around).index
        share = _windowed(known.astype(np.float64)[None], SIGMAS[-1], rows, columns)[0]
        return np.asarray((tells[rows, columns] & (share >= _LEAST)).astype(np.uint8))


def predicted(image: Array, known: Array, guide: Array, rows: slice, columns: slice) -> Array:
    """The local linear prediction of some rows and columns of an image.

    Args:
        image: values ``(y, x)``, about 0 … 1.
        known: which pixels both the image and the guide know.
        guide: values ``(guide band, y, x)``, about 0 … 1.
        rows: of the image, which to predict, with :data:`RADIUS` around them as far as there is more.
        columns: as for ``rows``.

    Returns:
        float32 ``(y, x)``; 0 where nothing is known around.
    """
    weight = known.astype(np.float64)
    shown, seen = np.where(known, image - 0.5, 0), np.where(known, guide - 0.5, 0)
    count = len(guide)
    pairs = [(i, j) for i in range(count) for j in range(i + 1)]
    planes = np.stack([weight, shown, shown * shown, *seen, *(shown * seen), *(seen[i] * seen[j] for i, j in pairs)])
    here = np.where(np.isfinite(guide), guide - 0.5, 0)[:, rows, columns]
    made: Array | None = None
    for sigma in reversed(SIGMAS):
        share, mean, square, *rest = _windowed(planes, sigma, rows, columns)
        total = np.maximum(share, 1e-9)
        mean, square, parts = mean / total, square / total, np.stack(rest) / total
        means, products, among = parts[:count], parts[count : 2 * count], parts[2 * count :]
        gram = np.empty((*share.shape, count, count))
        for (i, j), product in zip(pairs, among, strict=True):
            gram[..., i, j] = gram[..., j, i] = product - means[i] * means[j]
        gram += _CALM * np.eye(count)
        slopes = np.linalg.solve(gram, np.moveaxis(products - means * mean, 0, -1)[..., None])[..., 0]
        spread = _FARTHEST * np.sqrt(np.maximum(square - mean * mean, 0))
        told = mean + np.clip(np.einsum("yxk,kyx->yx", slopes, here - means), -spread, spread)
        part = np.minimum(share / _ENOUGH, 1)
        made = told if made is None else part * told + (1 - part) * made
    assert made is not None
    return np.asarray((made + 0.5).astype(np.float32))


def _windowed(planes: Array, sigma: float, rows: slice, columns: slice) -> Array:
    """Gaussian means of planes ``(plane, y, x)`` at some rows and columns; what lies beyond the planes is 0."""
    down, across = (
        _bell(sigma, size, part.start, part.stop) for size, part in zip(planes.shape[1:], (rows, columns), strict=True)
    )
    return np.asarray(down @ planes @ across.T)


@lru_cache(maxsize=64)
def _bell(sigma: float, size: int, start: int, stop: int) -> Array:
    """The matrix that takes Gaussian means of ``size`` numbers at some of them."""
    half = math.ceil(2.5 * sigma)
    away = np.arange(size)[None, :] - np.arange(start, stop)[:, None]
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return np.asarray(np.where(np.abs(away) <= half, np.exp(-0.5 * (away / sigma) ** 2), 0) / weights.sum())
