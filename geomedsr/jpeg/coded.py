"""The JPEG streams that hold a source's pixels, and the coefficients of any part of it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Window
from geomedsr.jpeg.codestream import Coefficients, coefficients
from geomedsr.jpeg.encoding import Units, blocks_by_unit, image_of, units_of

Array = np.ndarray[Any, Any]

#: Bytes of coefficients that a process keeps; one stream at least.
KEPT = 256 << 20


class Streams(ABC):
    """The JPEG streams of a source, which an adapter knows where to find. Picklable, hashable.

    ``name`` is for messages, ``size`` the rows and columns of a frame, ``tile`` those of a stream: streams lie beside
    and below each other from the first pixel on, and the last may be larger than what is left. ``luma`` tells whether
    three components are luma and chroma, where the file tells it outside its streams.
    """

    name: str
    size: tuple[int, int]
    tile: tuple[int, int]
    luma: bool | None

    @abstractmethod
    def stream(self, frame: int, row: int, column: int) -> tuple[bytes, bytes]:
        """A stream by its frame and its place among streams; and one of tables that it refers to, or nothing.

        Raises:
            InputError: it cannot be read, or is no JPEG.
        """


@dataclass(frozen=True, eq=False)
class Cut:
    """How a box lies in units: their rows and columns, and of how many pixels the first ones lie before the box.

    ``sizes`` ``(unit, 2)`` are rows and columns of each unit that hold pixels of the file, ``whole`` tells whether all
    of these lie in the box, and ``first`` where each unit begins, from the box's first pixel.
    """

    units: tuple[int, int]
    side: tuple[int, int]
    before: tuple[int, int]
    sizes: Array
    whole: Array
    first: Array

    def apart(self, image: Array) -> Array:
        """An image ``(band, y, x)`` of the box as units; beyond the box its last pixels go on."""
        after = [
            n * side - have - b
            for n, side, have, b in zip(self.units, self.side, image.shape[1:], self.before, strict=True)
        ]
        pads = [(0, 0), *zip(self.before, after, strict=True)]
        return units_of(np.pad(image, pads, mode="edge"), self.side)

    def together(self, units: Array, shape: tuple[int, int]) -> Array:
        """Units as an image of the box, of so many rows and columns."""
        (top, left), (height, width) = self.before, shape
        return image_of(units, self.units[1])[:, top : top + height, left : left + width]


_cache: OrderedDict[tuple[Streams, int, int, int], Coefficients] = OrderedDict()
_lock = threading.Lock()

#: Whose turn it is to decode a stream that is not kept yet.
_turns: dict[tuple[Streams, int, int, int], threading.Lock] = {}


@dataclass(frozen=True)
class Coded:
    """The coefficients of a source that was decoded from ``streams``, of which it is ``window``."""

    streams: Streams
    window: Window

    @property
    def first(self) -> Coefficients:
        """Those of the first stream: all others are of the same kind."""
        return self.stream(0, 0, 0)

    @property
    def side(self) -> tuple[int, int]:
        """Rows and columns of a unit."""
        downs = [component.down for component in self.first.components]
        return 8 * max(rows for rows, _ in downs), 8 * max(columns for _, columns in downs)

    @property
    def origin(self) -> tuple[int, int]:
        """Rows and columns of the first unit that lie before the source."""
        rows, columns = self.side
        return self.window.row % rows, self.window.col % columns

    def stream(self, frame: int, row: int, column: int) -> Coefficients:
        """The coefficients of a stream; the last ones are kept.

        Threads decode different streams at once, and each stream once: those that need the same one wait for it.
        """
        key = self.streams, frame, row, column
        with _lock:
            turn = _turns.setdefault(key, threading.Lock())
        try:
            with turn:
                if (found := _kept(key)) is None:
                    data, tables = self.streams.stream(frame, row, column)
                    found = coefficients(data, self.streams.name, tables, self.streams.luma)
                    _keep(key, found)
                return found
        finally:
            with _lock:
                _turns.pop(key, None)

    def cut(self, box: Box) -> Cut:
        """How a box of the source lies in units."""
        side, places = self.side, []
        for axis, start in ((1, self.window.row), (2, self.window.col)):
            low, high = box.start[axis] + start, box.stop[axis] + start
            begin = np.arange(low // side[axis - 1], -(-high // side[axis - 1])) * side[axis - 1]
            end = np.minimum(begin + side[axis - 1], self.streams.size[axis - 1])
            places.append((begin - low, end - begin, (begin >= low) & (end <= high)))
        (top, tall, rows), (left, broad, columns) = places
        grid = np.meshgrid(top, left, indexing="ij"), np.meshgrid(tall, broad, indexing="ij")
        first, sizes = (np.stack([part.ravel() for part in parts], -1) for parts in grid)
        whole = (rows[:, None] & columns[None]).ravel()
        return Cut((len(top), len(left)), side, (int(-top[0]), int(-left[0])), sizes, whole, first)

    def units(self, box: Box) -> Units:
        """The units that a box of the source touches, row by row; of one frame.

        Raises:
            InputError: streams of one source differ in their kind.
        """
        first, (high, wide) = self.first, self.side
        top, left = box.start[1] + self.window.row, box.start[2] + self.window.col
        rows = range(top // high, -(-(box.stop[1] + self.window.row) // high))
        columns = range(left // wide, -(-(box.stop[2] + self.window.col) // wide))
        found, tables, there = [], [], []
        for component in first.components:
            per = high // component.down[0] // 8, wide // component.down[1] // 8
            shape = len(rows) * per[0], len(columns) * per[1], 8, 8
            found.append(np.zeros(shape, np.int16))
            there.append(np.zeros(shape[:2], bool))
            tables.append(np.ones((len(rows), len(columns), 8, 8), np.int32))
        tall, broad = self.streams.tile[0] // high, self.streams.tile[1] // wide
        for i in range(rows.start // max(tall, 1), (rows.stop - 1) // max(tall, 1) + 1):
            for j in range(columns.start // max(broad, 1), (columns.stop - 1) // max(broad, 1) + 1):
                part = self.stream(box.start[0], i, j)
                self._check(part, first)
                for number, component in enumerate(part.components):
                    per = high // component.down[0] // 8, wide // component.down[1] // 8
                    at = (i * tall - rows.start) * per[0], (j * broad - columns.start) * per[1]
                    _place(component.blocks, found[number], at)
                    _place(np.ones(component.blocks.shape[:2], bool), there[number], at)
                    whole = np.broadcast_to(component.table, (tall, broad, 8, 8))
                    _place(whole, tables[number], (i * tall - rows.start, j * broad - columns.start))
        units = len(rows), len(columns)
        return Units(
            tuple(blocks_by_unit(blocks, units) for blocks in found),
            tuple(table.reshape(-1, 1, 1, 8, 8) for table in tables),
            tuple(blocks_by_unit(blocks[..., None, None], units)[..., 0, 0] for blocks in there),
            tuple(component.down for component in first.components),
            first.luma,
            first.precision,
        )

    def _check(self, part: Coefficients, first: Coefficients) -> None:
        kinds = [(c.luma, c.precision, [component.down for component in c.components]) for c in (part, first)]
        if kinds[0] != kinds[1]:
            raise InputError(
                f"JPEG streams of different kinds in {self.streams.name}", "one kind", "split it into files of one kind"
            )


def _place(part: Array, whole: Array, at: tuple[int, int]) -> None:
    """Put what fits of one array into another, with its first row and column at a place."""
    here, there = [], []
    for start, size, most in zip(at, part.shape, whole.shape, strict=False):
        first, last = max(start, 0), min(start + size, most)
        if first >= last:
            return
        there.append(slice(first, last))
        here.append(slice(first - start, last - start))
    whole[tuple(there)] = part[tuple(here)]


def _kept(key: tuple[Streams, int, int, int]) -> Coefficients | None:
    """A stream's coefficients, if they are kept."""
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
        return _cache.get(key)


def _keep(key: tuple[Streams, int, int, int], found: Coefficients) -> None:
    """Keep a stream's coefficients, and leave out those that were not used for longest."""
    with _lock:
        _cache[key] = found
        while len(_cache) > 1 and sum(map(_bytes, _cache.values())) > KEPT:
            _cache.popitem(last=False)


def _bytes(found: Coefficients) -> int:
    return sum(component.blocks.nbytes for component in found.components)
