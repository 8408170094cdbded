"""What a product says may be clouds and the like, on the grid of any of its parts, and a source that takes it for no
data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from affine import Affine

from geomedsr.geometry import Box
from geomedsr.scene.areas import inside
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source, WrappingSource

#: A share of a pixel that does not count as overlap: coordinates are floats.
_TOUCH = 1e-6


class Screen(ABC):
    """Says of a box which of its pixels are flagged."""

    @abstractmethod
    def flagged(self, box: Box) -> Array:
        """Boolean ``(y, x)``."""

    @property
    def reads(self) -> tuple[Source, ...]:
        """The sources that it reads."""
        return ()


@dataclass(frozen=True)
class RasterScreen(Screen):
    """Flags in a raster: a pixel is flagged where one of the raster's that it overlaps is.

    ``source`` holds classes or bits; ``place`` takes a corner of a pixel, as (column, row), to the raster's.
    """

    source: Source
    place: Affine
    values: tuple[int, ...]
    bits: int

    @property
    def reads(self) -> tuple[Source, ...]:
        """The raster."""
        return (self.source,)

    def flagged(self, box: Box) -> Array:
        """Boolean ``(y, x)``; pixels beyond the raster are not flagged."""
        _, row, col = box.start
        _, height, width = box.shape
        _, _, most_rows, most_cols = self.source.shape
        first, last = self._overlapped(np.arange(row, row + height), self.place.e, self.place.f, most_rows)
        left, right = self._overlapped(np.arange(col, col + width), self.place.a, self.place.c, most_cols)
        found = np.zeros((height, width), bool)
        if first[0] >= last[-1] or left[0] >= right[-1]:
            return found
        inner = Box((0, int(first[0]), int(left[0])), (1, int(last[-1]), int(right[-1])))
        stored = self.source.read(inner)[0]
        marks = np.isin(stored, self.values) | ((stored.astype(np.int64) & self.bits) != 0)
        sums = np.zeros((inner.shape[1] + 1, inner.shape[2] + 1), np.int64)
        sums[1:, 1:] = marks.any(0).cumsum(0).cumsum(1)
        top, bottom, west, east = first - first[0], last - first[0], left - left[0], right - left[0]
        counts = sums[np.ix_(bottom, east)] - sums[np.ix_(top, east)] - sums[np.ix_(bottom, west)]
        return np.asarray(counts + sums[np.ix_(top, west)] > 0)

    @staticmethod
    def _overlapped(pixels: Array, step: float, start: float, most: int) -> tuple[Array, Array]:
        """The first of the raster's pixels that each overlaps, and the one after the last, inside the raster."""
        first = np.floor(pixels * step + start + _TOUCH).astype(np.int64)
        last = np.ceil((pixels + 1) * step + start - _TOUCH).astype(np.int64)
        first = np.clip(first, 0, most)
        return first, np.maximum(np.clip(last, 0, most), first)


@dataclass(frozen=True)
class PolygonScreen(Screen):
    """Polygons: ``area`` as :func:`geomedsr.scene.areas.text_of` writes them, in pixels of the box's own grid."""

    area: str

    def flagged(self, box: Box) -> Array:
        """Boolean ``(y, x)``: whether a pixel's centre lies inside."""
        _, row, col = box.start
        _, height, width = box.shape
        return inside(self.area, np.arange(row, row + height), np.arange(col, col + width))


@dataclass(frozen=True)
class SaturationScreen(Screen):
    """Where a band of a source has a certain value."""

    source: Source
    value: int

    @property
    def reads(self) -> tuple[Source, ...]:
        """The source."""
        return (self.source,)

    def flagged(self, box: Box) -> Array:
        """Boolean ``(y, x)``: any band."""
        return np.asarray((self.source.read(box)[0] == self.value).any(0))


def between(own: Affine, raster: Affine) -> Affine | None:
    """What takes corners of one grid's pixels to another's; None where the axes are not parallel."""
    place = ~raster @ own
    straight = math.isclose(place.b, 0, abs_tol=1e-9) and math.isclose(place.d, 0, abs_tol=1e-9)
    return place if straight and place.a > 0 and place.e > 0 else None


@dataclass(frozen=True)
class ScreenedSource(WrappingSource):
    """Another source, of which flagged pixels are no data and hold ``fills``; bands of fill None are as they were."""

    screens: tuple[Screen, ...]
    fills: tuple[float | int | None, ...]

    @property
    def reads(self) -> tuple[Source, ...]:
        """The whole, and what screens read."""
        return self.whole, *(source for screen in self.screens for source in screen.reads)

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        stored, flagged = self.whole.read(box), self._flagged(box)
        fills = np.array([0 if fill is None else fill for fill in self.fills], self.dtype)[:, None, None]
        return np.where(flagged, fills, stored)

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return np.asarray(self.whole.valid(box) & ~self._flagged(box))

    def select(self, bands: Sequence[int]) -> ScreenedSource:
        """Some of the bands."""
        return replace(self, whole=self.whole.select(bands), fills=tuple(self.fills[b] for b in bands))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """The whole's; bands without a nodata value that tells what is flagged are masked."""
        mask = Masking.OWN if None in self.fills else Masking.MASK
        pairs = zip(self.whole.masking, self.fills, strict=True)
        return tuple(way if fill is None or Masking.VALUE in way else way | mask for way, fill in pairs)

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """The same with other values that mean "no data", and fill what is flagged."""
        inner = self.whole.with_nodata(nodata)
        pairs = zip(self.fills, nodata, strict=True)
        fills = tuple(None if old is None else 0 if new is None else new for old, new in pairs)
        return None if inner is None else replace(self, whole=inner, fills=fills)

    def _flagged(self, box: Box) -> Array:
        """Boolean ``(band, y, x)``."""
        found = np.logical_or.reduce([screen.flagged(box) for screen in self.screens])
        return np.asarray(found & np.array([fill is not None for fill in self.fills])[:, None, None])
