"""Decoded tiles of JPEG 2000 files, kept for the boxes beside and below, and shared by the threads that read them.

A tile of 1024 × 1024 pixels takes a quarter of a second, whatever part of it is read, and each thread has a data set of
its own, with blocks of its own in GDAL's cache. Without this, boxes in rows decode every tile several times in each
thread.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.masking import BESIDE
from geomedsr.scene.sources import Array, Cache, Source, WrappingSource, data_by_value

#: Bytes of tiles that a process keeps, of all products together: two rows of them of a Sentinel-2 product's bands.
MOST = 352 << 20

#: How many last rows of tiles are kept for the halos of boxes below, when the tiles are not, and how many bytes.
EDGE, _EDGES = 64, 32 << 20

_TILES = Cache("tiles of JPEG 2000", MOST + _EDGES)


class Kept:
    """Arrays by key, those used last; threads share them."""

    def __init__(self) -> None:
        self._arrays: OrderedDict[tuple[Source, int, int], Array] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0

    def get(self, key: tuple[Source, int, int]) -> Array | None:
        """An array, if it is kept."""
        with self._lock:
            if (known := self._arrays.get(key)) is not None:
                self._arrays.move_to_end(key)
            return known

    def put(self, key: tuple[Source, int, int], array: Array, most: int) -> None:
        """Keep an array, and of all no more than ``most`` bytes, or the one alone."""
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = array
                self.size += array.nbytes
            while self.size > most and len(self._arrays) > 1:
                self.size -= self._arrays.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._arrays.clear()
            self.size = 0


_tiles, _edges = Kept(), Kept()
_lock = threading.Lock()
_pending: dict[tuple[Source, int, int], threading.Lock] = {}


@dataclass(frozen=True)
class TiledSource(WrappingSource):
    """Another source, hashable and read in whole tiles of its ``block``; ``nodata`` are its bands' values or None."""

    nodata: tuple[float | int | None, ...]

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        frames, rows, cols = box.shape
        made = np.empty((frames, self.shape[1], rows, cols), self.dtype)
        height, width = self.block
        _, top, left = box.start
        _, bottom, right = box.stop
        for row in range(top // height * height, bottom, height):
            for col in range(left // width * width, right, width):
                y0, x0 = max(row, top), max(col, left)
                y1, x1 = min(row + height, bottom), min(col + width, right)
                first, tile = self._rows(row, col, y0)
                part = tile[..., y0 - first : y1 - first, x0 - col : x1 - col]
                made[..., y0 - top : y1 - top, x0 - left : x1 - left] = part
        return made

    def valid(self, box: Box) -> Array:
        """True where a pixel is data; of tiles that are there, if values alone decide."""
        if any(way & BESIDE for way in self.whole.masking):
            return self.whole.valid(box)
        if self.dtype.kind != "f" and all(value is None for value in self.nodata):
            frames, rows, cols = box.shape
            return np.broadcast_to(np.True_, (frames, self.shape[1], rows, cols))
        return data_by_value(self.read(box), self.nodata)

    def select(self, bands: Sequence[int]) -> TiledSource:
        """Some of the bands."""
        return TiledSource(self.whole.select(bands), tuple(self.nodata[band] for band in bands))

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """The same with other values that mean "no data"."""
        inner = self.whole.with_nodata(nodata)
        return None if inner is None else replace(self, whole=inner, nodata=nodata)

    def overview(self, pixels: int) -> tuple[Array, Array] | None:
        """The whole's."""
        return self.whole.overview(pixels)

    def cached(self, workers: int) -> Mapping[Cache, int]:
        """All tiles, as long as there is room."""
        return {_TILES: math.prod(self.shape) * self.dtype.itemsize}

    def _rows(self, row: int, col: int, first: int) -> tuple[int, Array]:
        """A tile's rows from ``first`` on, or from one before: which that is, and the rows."""
        edge = max(row, min(row + self.block[0], self.shape[2]) - EDGE)
        if first >= edge > row and (known := _edges.get((self.whole, row, col))) is not None:
            return edge, known
        return row, self._tile(row, col)

    def _tile(self, row: int, col: int) -> Array:
        key = (self.whole, row, col)
        if (known := _tiles.get(key)) is not None:
            return known
        with _lock:
            one = _pending.setdefault(key, threading.Lock())
        with one:  # others wait for it, and do not decode it too
            if (known := _tiles.get(key)) is not None:
                return known
            _, _, height, width = self.shape
            stop = min(row + self.block[0], height), min(col + self.block[1], width)
            tile = self.whole.read(Box((0, row, col), (self.shape[0], *stop)))
            _tiles.put(key, tile, MOST)
            _edges.put(key, tile[..., -EDGE:, :].copy(), _EDGES)
        with _lock:
            _pending.pop(key, None)
        return tile
