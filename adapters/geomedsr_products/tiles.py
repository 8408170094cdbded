"""Decoded tiles of JPEG 2000 files, kept for the boxes beside and below, and shared by the threads that read them.

A tile of 1024 × 1024 pixels takes a quarter of a second, whatever part of it is read, and each thread has a data set of
its own, with blocks of its own in GDAL's cache. Without this, boxes in rows decode every tile several times in each
thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.masking import BESIDE
from geomedsr.scene.sources import Array, Source, WrappingSource, data_by_value

#: Bytes of tiles that a process keeps, of all products together.
MOST = 384 << 20

_lock = threading.Lock()
_tiles: OrderedDict[tuple[Source, int, int], Array] = OrderedDict()
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
                tile = self._tile(row, col)
                y0, x0 = max(row, top), max(col, left)
                y1, x1 = min(row + height, bottom), min(col + width, right)
                part = tile[..., y0 - row : y1 - row, x0 - col : x1 - col]
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

    def cache(self, workers: int) -> int:
        """Two rows of tiles, which boxes in a row go through."""
        _, bands, _, width = self.shape
        height, across = self.block
        rows = 2 * height * (-(-width // across) * across) * bands * self.dtype.itemsize
        return self.whole.cache(workers) + min(rows, MOST)

    def _tile(self, row: int, col: int) -> Array:
        key = (self.whole, row, col)
        with _lock:
            if (known := _tiles.get(key)) is not None:
                _tiles.move_to_end(key)
                return known
            one = _pending.setdefault(key, threading.Lock())
        with one:  # others wait for it, and do not decode it too
            with _lock:
                if (known := _tiles.get(key)) is not None:
                    return known
            _, _, height, width = self.shape
            stop = min(row + self.block[0], height), min(col + self.block[1], width)
            tile = self.whole.read(Box((0, row, col), (self.shape[0], *stop)))
            with _lock:
                _tiles[key] = tile
                _pending.pop(key, None)
                size = sum(each.nbytes for each in _tiles.values())
                while size > MOST and len(_tiles) > 1:
                    size -= _tiles.popitem(last=False)[1].nbytes
        return tile
