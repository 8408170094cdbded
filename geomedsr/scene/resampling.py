"""Sources on another grid: windows that may leave a scene, and scenes resampled by a separable kernel.

Both are functions of the whole scene alone, not of the box that is read, so any two boxes agree bit for bit where they
overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from geomedsr.geometry import Box, Factors, Window
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source, WrappingSource

#: What of a kernel's weight must fall on data, for a pixel to be data: at a corner, half of it along each axis.
_LEAST_WEIGHT = 0.24

#: By how much pixels of the source may be finer than the result's before the kernel is made wider against aliasing.
_AS_FINE = 1.02

#: How far beyond the outermost pixels' edges a centre may lie, in pixels: float digits.
_EDGE = 1e-6


@dataclass(frozen=True)
class PlacedSource(WrappingSource):
    """A window of another source that may leave it: what lies outside is no data, and holds ``fills``."""

    window: Window
    fills: tuple[float | int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (*self.whole.shape[:2], self.window.height, self.window.width)

    def touches(self, box: Box) -> Box:
        """What of a box lies on the whole; its first pixel, of one that lies beside it."""
        there = box.shifted((0, self.window.row, self.window.col)) & Box.whole(self.whole.shape)
        return Box.of(box.frames, Window(0, 0, 1, 1)) if there.empty else there

    def _spread(self, box: Box, inside: Array, fills: Any) -> Array:
        """Values of the part that lies on the whole, in an array of the box."""
        there = box.shifted((0, self.window.row, self.window.col))
        part = there & Box.whole(self.whole.shape)
        if part == there:
            return inside
        frames, height, width = box.shape
        out = np.empty((frames, self.shape[1], height, width), inside.dtype)
        out[...] = fills
        if not part.empty:
            out[part.within(there).index] = inside
        return out

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self._spread(box, self.whole.read(self.touches(box)), np.array(self.fills, self.dtype)[:, None, None])

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return self._spread(box, self.whole.valid(self.touches(box)), False)

    @property
    def masking(self) -> tuple[Masking, ...]:
        """The whole's; bands whose values do not tell what is outside are masked."""
        return tuple(way if Masking.VALUE in way else way | Masking.MASK for way in self.whole.masking)

    def select(self, bands: Sequence[int]) -> PlacedSource:
        """Some of the bands."""
        return replace(self, whole=self.whole.select(bands), fills=tuple(self.fills[b] for b in bands))


@dataclass(frozen=True)
class RepeatedSource(WrappingSource):
    """Another source, each of whose pixels is repeated ``factor`` times along rows and columns.

    ``type`` is what values come in; it holds those of the other source.
    """

    factor: int
    type: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.whole.shape
        return frames, bands, height * self.factor, width * self.factor

    @property
    def dtype(self) -> np.dtype[Any]:
        """What values come in."""
        return np.dtype(self.type)

    def touches(self, box: Box) -> Box:
        """The pixels that it repeats for a box."""
        return box.coarsened(Factors.in_plane(self.factor))

    def _spread(self, box: Box, coarse: Array) -> Array:
        by = Factors.in_plane(self.factor)
        return by.repeated(coarse)[box.within(self.touches(box).refined(by)).index]

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self._spread(box, self.whole.read(self.touches(box)).astype(self.dtype, copy=False))

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return self._spread(box, self.whole.valid(self.touches(box)))


@dataclass(frozen=True)
class Axis:
    """Where the pixels of an axis fall on another: pixel-corner coordinate there = here × ``scale`` + ``shift``."""

    length: int
    scale: float
    shift: float

    @property
    def width(self) -> float:
        """How wide the kernel is made, in pixels there: 1, or their number in a pixel here where they are finer."""
        return self.scale if self.scale > _AS_FINE else 1.0

    def taps(self, start: int, stop: int) -> tuple[Array, Array]:
        """The pixels there that each pixel here takes, and with which weights: ``(pixel, tap)``, rows of weights of
        sum 1. Cubic convolution (Keys 1981, IEEE Trans. Acoust. 29, eq. 15, a = −1/2), made wider where pixels there
        are finer.
        """
        centres = (np.arange(start, stop, dtype=np.float64) + 0.5) * self.scale + self.shift - 0.5
        half = math.ceil(2 * self.width)
        places = np.floor(centres)[:, None].astype(np.int64) + np.arange(1 - half, half + 1)
        weights = _keys((places - centres[:, None]) / self.width)
        return places, weights / weights.sum(1, keepdims=True)

    def reads(self, start: int, stop: int, length: int) -> tuple[int, int]:
        """Which pixels there, of so many, are read for some here: at least one."""
        places, _ = self.taps(start, start + 1)
        first = int(np.clip(places.min(), 0, length - 1))
        places, _ = self.taps(stop - 1, stop)
        return first, int(np.clip(places.max(), first, length - 1)) + 1


def _keys(distance: Array) -> Array:
    d = np.abs(distance)
    return np.where(d <= 1, (1.5 * d - 2.5) * d**2 + 1, np.where(d < 2, ((-0.5 * d + 2.5) * d - 4) * d + 2, 0.0))


@dataclass(frozen=True)
class ResampledSource(WrappingSource):
    """Another source on another grid, whose axes are along the other's: by cubic convolution.

    Pixels without data, and what lies beyond the edge, have no weight. A pixel is data where the nearest one there is,
    and a quarter of the kernel's weight falls on data. ``type`` is what values come in: float32, or an integer type,
    in which they are rounded, clipped, and kept off ``fills``, which stand where there is no data.
    """

    rows: Axis
    columns: Axis
    type: str
    fills: tuple[float | int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (*self.whole.shape[:2], self.rows.length, self.columns.length)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What values come in."""
        return np.dtype(self.type)

    def touches(self, box: Box) -> Box:
        """What of the whole is read for a box."""
        (first, top, left), (last, bottom, right) = box.start, box.stop
        rows = self.rows.reads(top, bottom, self.whole.shape[2])
        columns = self.columns.reads(left, right, self.whole.shape[3])
        return Box((first, rows[0], columns[0]), (last, rows[1], columns[1]))

    def read(self, box: Box) -> Array:
        """Values of a box."""
        there = self.touches(box)
        known = np.asarray(self.whole.valid(there))
        values, share, valid = self._made(box, there, known, self.whole.read(there))
        fills = np.array(self.fills, self.dtype)[:, None, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            values = values / share
        if self.dtype.kind == "f":
            return np.where(valid, values, fills).astype(self.dtype)
        info = np.iinfo(self.dtype)
        made = np.clip(np.rint(np.where(valid, values, 0)), info.min, info.max).astype(self.dtype)
        beside = np.where(fills < info.max, fills + np.ones((), self.dtype), fills - np.ones((), self.dtype))
        return np.where(valid, np.where(made == fills, beside, made), fills).astype(self.dtype)

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        there = self.touches(box)
        return self._made(box, there, np.asarray(self.whole.valid(there)), None)[2]

    def _made(self, box: Box, there: Box, known: Array, stored: Array | None) -> tuple[Array, Array, Array]:
        """Weighted sums of values and of what is data, and which pixels are data."""
        _, _, rows, columns = there.index
        down = _Weights.of(self.rows, box.start[1], box.stop[1], rows.start, rows.stop)
        along = _Weights.of(self.columns, box.start[2], box.stop[2], columns.start, columns.stop)
        weighed = known[:1, :1] if known.all() else known  # the same of all bands and frames
        share = down.sums(along.sums(weighed.astype(np.float64), -1), -2)
        nearest = known[..., down.nearest[:, None], along.nearest[None, :]] & (down.on[:, None] & along.on[None, :])
        valid = nearest & (share >= _LEAST_WEIGHT)
        if stored is None:
            return share, share, valid
        values = np.where(known, stored, np.zeros((), stored.dtype)).astype(np.float64)
        return down.sums(along.sums(values, -1), -2), share, valid

    @property
    def masking(self) -> tuple[Masking, ...]:
        """A mask of each band's own."""
        return (Masking.OWN | (Masking.NAN if self.dtype.kind == "f" else Masking.NONE),) * self.shape[1]

    @property
    def block(self) -> tuple[int, int]:
        """The whole's, in pixels here."""
        height, width = self.whole.block
        return max(1, int(height / self.rows.scale)), max(1, int(width / self.columns.scale))

    def select(self, bands: Sequence[int]) -> ResampledSource:
        """Some of the bands."""
        return replace(self, whole=self.whole.select(bands), fills=tuple(self.fills[b] for b in bands))

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """Where the whole takes other values."""
        inner = self.whole.with_nodata(nodata)
        return None if inner is None else self.on(inner)


@dataclass(frozen=True)
class _Weights:
    """The taps of some pixels of an axis, as positions in what was read: those outside have no weight. ``nearest`` is
    the nearest pixel of those, ``on`` whether there is one.
    """

    places: Array
    weights: Array
    nearest: Array
    on: Array

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, axis: Axis, start: int, stop: int, first: int, last: int) -> _Weights:
        """Of an axis of which pixels ``first … last`` were read."""
        places, weights = axis.taps(start, stop)
        outside = (places < first) | (places >= last)
        centres = (np.arange(start, stop, dtype=np.float64) + 0.5) * axis.scale + axis.shift - 0.5
        nearest = np.clip(np.floor(centres + 0.5).astype(np.int64), first, last - 1) - first
        on = (centres >= first - 0.5 - _EDGE) & (centres <= last - 0.5 + _EDGE)
        return cls(np.clip(places, first, last - 1) - first, np.where(outside, 0.0, weights), nearest, on)

    def sums(self, values: Array, axis: int) -> Array:
        """Weighted sums along an axis, tap by tap, so that they do not depend on what else is read."""
        lift = (slice(None), *(None,) * (-axis - 1))
        total: Array | None = None
        for tap in range(self.places.shape[1]):
            part = np.take(values, self.places[:, tap], axis) * self.weights[:, tap][lift]
            total = part if total is None else total + part
        assert total is not None
        return total
