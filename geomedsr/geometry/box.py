"""A half-open box of pixels: frames, rows and columns. It is the unit of reading, computing, storing and checking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from geomedsr.geometry.factors import Factors
from geomedsr.geometry.window import Window

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """Pixels ``start … stop`` along ``(frame, y, x)``; ``stop`` is past the last.

    A box may extend past its scene (:meth:`grown`), and may hold no pixel (:attr:`empty`).
    """

    start: Triple
    stop: Triple

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """The box of a whole scene of shape ``(frame, band, y, x)`` or ``(frame, y, x)``."""
        return cls((0, 0, 0), (shape[0], shape[-2], shape[-1]))

    @classmethod
    def of(cls, frames: int | slice, window: Window) -> Box:
        """The box of a window in one frame, or in a slice of frames with both ends given."""
        first, last = (frames, frames + 1) if isinstance(frames, int) else (frames.start, frames.stop)
        return cls((first, window.row, window.col), (last, *window.stop))

    @property
    def frames(self) -> slice:
        """Its frames."""
        return slice(self.start[0], self.stop[0])

    @property
    def window(self) -> Window:
        """Its rows and columns."""
        _, rows, columns = self.shape
        return Window(self.start[2], self.start[1], columns, rows)

    @property
    def shape(self) -> Triple:
        """``(frames, rows, columns)``."""
        frames, rows, columns = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return frames, rows, columns

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return min(self.shape) <= 0

    @property
    def pixels(self) -> int:
        """The number of pixels in one band."""
        frames, rows, columns = self.shape
        return 0 if self.empty else frames * rows * columns

    @property
    def index(self) -> tuple[slice, Any, slice, slice]:
        """The index that cuts it out of an array ``(frame, band, y, x)``."""
        frames, rows, columns = map(slice, self.start, self.stop)
        return frames, slice(None), rows, columns

    @property
    def key(self) -> str:
        """A name that is unique among the boxes of a scene; used as a file name."""
        (first, row, col), (last, _, _), (_, height, width) = self.start, self.stop, self.shape
        return f"f{first}-{last}_r{row}_c{col}_{width}x{height}"

    def __and__(self, other: Box) -> Box:
        """The intersection of two boxes; empty where they do not overlap."""
        return Box(_each(max, self.start, other.start), _each(min, self.stop, other.stop))

    def __or__(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(_each(min, self.start, other.start), _each(max, self.stop, other.stop))

    def inside(self, shape: Sequence[int]) -> bool:
        """Whether it holds at least one pixel, and none outside a scene of this shape."""
        return not self.empty and self & Box.whole(shape) == self

    def grown(self, halo: Triple) -> Box:
        """The box grown on each side by ``halo`` frames, rows and columns."""
        return Box(_each(int.__sub__, self.start, halo), _each(int.__add__, self.stop, halo))

    def aligned(self, sides: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> Box:
        """Grown outward to whole blocks of ``sides`` (rows, columns). The first block starts at minus ``origin``."""
        start, stop = list(self.start), list(self.stop)
        for axis, (side, first) in enumerate(zip(sides, origin, strict=True), 1):
            start[axis] = (start[axis] + first) // side * side - first
            stop[axis] = -(-(stop[axis] + first) // side) * side - first
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def shifted(self, by: Triple) -> Box:
        """Moved by whole frames, rows and columns."""
        return Box(_each(int.__add__, self.start, by), _each(int.__add__, self.stop, by))

    def within(self, outer: Box) -> Box:
        """The same pixels, counted from the first pixel of ``outer``: their place in an array of that box."""
        frame, row, col = outer.start
        return self.shifted((-frame, -row, -col))

    def refined(self, factors: Factors) -> Box:
        """The same area on a grid finer by ``factors``."""
        by = factors.frame, factors.y, factors.x
        return Box(_each(int.__mul__, self.start, by), _each(int.__mul__, self.stop, by))

    def coarsened(self, factors: Factors) -> Box:
        """The smallest box that covers this one on a grid coarser by ``factors``."""
        by = factors.frame, factors.y, factors.x
        return Box(_each(int.__floordiv__, self.start, by), _each(lambda a, b: -(-a // b), self.stop, by))

    def tiles(self, side: Triple) -> Iterator[Box]:
        """Boxes of size ``side`` that cover it, frames first, then rows; the last along an axis may be smaller."""
        cuts = [range(a, b, step) for a, b, step in zip(self.start, self.stop, side, strict=True)]
        for frame, row, col in product(*cuts):
            start = frame, row, col
            yield Box(start, _each(min, _each(int.__add__, start, side), self.stop))

    def parts(self, most: Triple, whole: int = 1) -> Iterator[Box]:
        """Nearly equal boxes that cover it, none larger than ``most``; frames first, then rows.

        Those after the first begin a multiple of ``whole`` rows and columns after it; they may then be so much larger.
        """
        steps = (1, whole, whole)
        cuts = [_equal(a, b, side, n) for a, b, side, n in zip(self.start, self.stop, most, steps, strict=True)]
        for frames, rows, columns in product(*cuts):
            yield Box((frames[0], rows[0], columns[0]), (frames[1], rows[1], columns[1]))


def _each(rule: Any, first: Triple, second: Triple) -> Triple:
    frame, row, col = map(rule, first, second)
    return frame, row, col


def _equal(start: int, stop: int, most: int, whole: int = 1) -> list[tuple[int, int]]:
    count = -(-(stop - start) // most)
    if count <= 0:
        return []
    ends = [start + (stop - start) * i // count // whole * whole for i in range(count)]
    return list(pairwise([*dict.fromkeys(ends), stop]))
