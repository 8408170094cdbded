"""Sources on dask arrays: dask gets all reads in one graph, so that each chunk is computed once.

A source that computed its windows one by one would compute a chunk again for each window that touches it. Here each
window is a task of one graph, and gets the part of the array that it needs as the result of another task.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, product
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, ArraySource, Source, by_value, data_by_value

#: Roughly how many bytes of chunks a job may hold at once; a job may hold more where single chunks are larger.
HELD = 256 << 20

#: How a block of a source is read.
Read = Callable[[Source, Box], Array]


@dataclass(frozen=True)
class PartSource(Source):
    """A source of an array of which only the part in ``box`` is in memory."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    block: tuple[int, int]
    nodata: tuple[float | int | None, ...]
    box: Box | None = None
    values: Any = None
    mask: Any = None

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return np.asarray(self.values[box.within(self.box or box).index])

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        valid = data_by_value(self.read(box), self.nodata)
        return valid if self.mask is None else valid & np.asarray(self.mask[box.within(self.box or box).index], bool)

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By value, and by the mask if there is one."""
        beside = Masking.NONE if self.mask is None else Masking.OWN
        return tuple(way | beside for way in by_value(self.dtype, self.nodata or (None,) * self.shape[1]))

    def select(self, bands: Sequence[int]) -> PartSource:
        """Some of the bands."""
        picks = list(bands)
        return replace(
            self,
            shape=(self.shape[0], len(picks), *self.shape[2:]),
            nodata=tuple(self.nodata[b] for b in picks if self.nodata),
            values=None if self.values is None else self.values[:, picks],
            mask=None if self.mask is None else self.mask[:, picks],
        )


def held(source: Source, box: Box) -> PartSource:
    """A source of which a box is read now, and no other can be."""
    values, mask = source.read(box), source.valid(box)
    return PartSource(source.shape, source.dtype, source.block, (), box, values, mask)


def root(source: Source) -> ArraySource | None:
    """The dask array that a source is computed from; None if it is not computed from one."""
    while source.inner is not None:
        source = source.inner
    return source if isinstance(source, ArraySource) and hasattr(source.values, "dask") else None


def touched(source: Source, box: Box) -> Box:
    """The box of its root that a source reads for a box of its own."""
    while source.inner is not None:
        box, source = source.touches(box), source.inner
    return box


def standing(source: Source, base: Source) -> Source:
    """The source with another root."""
    return source.on(base if source.inner is None else standing(source.inner, base))


@dataclass(frozen=True, eq=False)
class Lazy:
    """A source separated from its dask array: ``hollow`` can read nothing until it is filled."""

    hollow: Source
    part: PartSource

    @classmethod
    def of(cls, source: Source) -> Lazy | None:
        """From a source; None if its root is not a dask array."""
        base = root(source)
        if base is None:
            return None
        part = PartSource(base.shape, base.dtype, base.block, base.nodata)
        return cls(standing(source, part), part)

    def filled(self, box: Box, values: Array, mask: Array | None) -> Source:
        """The source for reading one box, filled with the part of the array that this box touches."""
        return standing(self.hollow, replace(self.part, box=touched(self.hollow, box), values=values, mask=mask))


@dataclass(frozen=True, eq=False)
class Inputs:
    """The dask array at the root of a source, and its mask, as tasks, one for each chunk."""

    source: Source
    values: _Chunks
    mask: _Chunks | None

    @classmethod
    def of(cls, source: Source) -> Inputs | None:
        """From a source; None if its root is not a dask array."""
        base = root(source)
        if base is None:
            return None
        mask = base.mask if base.mask is None or hasattr(base.mask, "dask") else _lazily(base.mask)
        return cls(source, _Chunks.of(base.values), None if mask is None else _Chunks.of(mask))

    def parts(self, box: Box) -> tuple[Any, Any]:
        """The parts of array and mask that a box of the source is computed from, as tasks; None without a mask."""
        there = touched(self.source, box)
        return self.values.part(there), None if self.mask is None else self.mask.part(there)


@dataclass(frozen=True, eq=False)
class _Chunks:
    """Where the chunks of a dask array ``(frame, band, y, x)`` lie."""

    starts: tuple[tuple[int, ...], ...]
    dtype: np.dtype[Any]
    tasks: Any = None

    @classmethod
    def of(cls, array: Any) -> _Chunks:
        """With a task for each chunk. Parts assembled from these tasks share their names: each is computed once."""
        return replace(cls.alone(array), tasks=array.to_delayed())

    @classmethod
    def alone(cls, array: Any) -> _Chunks:
        """The chunks' positions alone, without tasks."""
        return cls(tuple((0, *accumulate(axis)) for axis in array.chunks), array.dtype)

    def part(self, box: Box) -> Any:
        """A box of the array, with all bands, as a task."""
        from dask.delayed import delayed

        pieces = [self.tasks[index] for index in self.touched(box)]
        return delayed(partial(_assembled, replace(self, tasks=None), box), pure=False)(*pieces)

    def touched(self, box: Box) -> Iterator[tuple[int, ...]]:
        """The chunks that a box intersects."""
        return product(*([index for index, _, _ in axis] for axis in self.overlaps(box)))

    def overlaps(self, box: Box) -> list[list[tuple[int, slice, slice]]]:
        """For each axis, the chunks that a box intersects: index, slice inside the chunk, slice inside the box."""
        bands = 0, self.starts[1][-1]
        frames, rows, columns = zip(box.start, box.stop, strict=True)
        bounds = zip(self.starts, (frames, bands, rows, columns), strict=True)
        return [_overlaps(starts, *bound) for starts, bound in bounds]


def _overlaps(starts: Sequence[int], first: int, last: int) -> list[tuple[int, slice, slice]]:
    found = []
    for index in range(_at(starts[1:], first), _at(starts[1:], last - 1) + 1):
        begin, end = max(first, starts[index]), min(last, starts[index + 1])
        if begin < end:
            found.append((index, slice(begin - starts[index], end - starts[index]), slice(begin - first, end - first)))
    return found


def _assembled(chunks: _Chunks, box: Box, *pieces: Array) -> Array:
    """A box of an array, assembled from the chunks that it intersects."""
    places = list(product(*chunks.overlaps(box)))
    cuts = [piece[tuple(inside for _, inside, _ in found)] for found, piece in zip(places, pieces, strict=True)]
    if len(cuts) == 1:
        return np.array(cuts[0], chunks.dtype)  # a copy: a view would keep the whole chunk in memory
    count, height, width = box.shape
    whole = np.empty((count, chunks.starts[1][-1], height, width), chunks.dtype)
    for found, cut in zip(places, cuts, strict=True):
        whole[tuple(outside for _, _, outside in found)] = cut
    return whole


def _lazily(mask: Array) -> Any:
    import dask.array as da

    return da.from_array(mask, name=False)  # no hash of its values: it may be broadcast to a whole scene


def read_at_once(source: Source, boxes: Iterable[Box]) -> Iterator[tuple[Source, Box]]:
    """Each box with the source to read it from. For a lazy source all boxes are computed now, each chunk only once."""
    asked = list(boxes)
    lazy, inputs = Lazy.of(source), Inputs.of(source)
    if lazy is None or inputs is None:
        yield from ((source, box) for box in asked)
        return
    from dask.base import compute

    # Another thread may be one of dask's own. If all of these waited for dask, nothing would be computed.
    own = {} if threading.current_thread() is threading.main_thread() else {"scheduler": "synchronous"}
    for box, (values, mask) in zip(asked, compute(*(inputs.parts(box) for box in asked), **own), strict=True):
        yield lazy.filled(box, values, mask), box


def lazy_array(source: Source, read: Read, dtype: np.dtype[Any], chunks: Sequence[Sequence[int]]) -> Any:
    """A dask array whose chunks are boxes of a source, read by ``read``, and based on the dask array at its root."""
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    lazy, base = Lazy.of(source), root(source)
    assert lazy is not None
    assert base is not None
    mask = base.mask if base.mask is None or hasattr(base.mask, "dask") else _lazily(base.mask)
    arrays = [base.values] if mask is None else [base.values, mask]
    places = [_Chunks.alone(array) for array in arrays]
    name = f"geomedsr-{tokenize(read, source)}"
    shared = f"{name}-source"
    tasks: dict[Any, Any] = {shared: _Shared(lazy, read, tuple(places))}
    starts = [[0, *accumulate(axis)] for axis in chunks]
    for index in product(*(range(len(axis)) for axis in chunks)):
        corner, shape = ([axis[i] for axis, i in zip(axes, index, strict=True)] for axes in (starts, chunks))
        start = corner[0], corner[2], corner[3]
        box = Box(start, (start[0] + shape[0], start[1] + shape[2], start[2] + shape[3]))
        there = touched(source, box)
        keys = [
            [(array.name, *chunk) for chunk in place.touched(there)]
            for array, place in zip(arrays, places, strict=True)
        ]
        tasks[(name, *index)] = (_made, shared, box, *keys)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=arrays)
    return da.Array(graph, name, tuple(map(tuple, chunks)), dtype=dtype)


@dataclass(frozen=True, eq=False)
class _Shared:
    """What the tasks of all boxes of a lazy array share."""

    lazy: Lazy
    read: Read
    places: tuple[_Chunks, ...]


def _made(shared: _Shared, box: Box, *pieces: Sequence[Array]) -> Array:
    there = touched(shared.lazy.hollow, box)
    parts = [_assembled(place, there, *of) for place, of in zip(shared.places, pieces, strict=True)]
    return shared.read(shared.lazy.filled(box, parts[0], parts[1] if len(parts) > 1 else None), box)


def frames_together(source: Source, frames: Sequence[int]) -> list[list[int]]:
    """Groups of frames to read together: for a lazy source the frames of a chunk, for others each frame by itself."""
    base = root(source)
    if base is None or (source.inner is not None and base.shape[0] != source.shape[0]):
        return [[frame] for frame in frames]
    ends = list(accumulate(base.values.chunks[0]))
    groups: dict[int, list[int]] = {}
    for frame in frames:
        groups.setdefault(_at(ends, frame), []).append(frame)
    return list(groups.values())


def grouped(source: Source, boxes: Sequence[Box]) -> list[list[int]]:
    """Positions of the boxes to compute together, in groups: for a lazy source, the boxes of a strip of columns.

    A job thus holds only a few rows of chunks of one strip, however large the array. Chunks on the border between two
    strips are computed twice.
    """
    base = root(source)
    if base is None:
        return [list(range(len(boxes)))]
    frame_ends, _, _, col_ends = (list(accumulate(axis)) for axis in base.values.chunks)
    largest = [max(axis) for axis in base.values.chunks]
    size = base.shape[1] * largest[0] * largest[2] * largest[3] * base.dtype.itemsize
    width = max(2, HELD // (3 * size) - 2)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, box in enumerate(boxes):
        there = touched(source, box)
        middle = (there.start[2] + there.stop[2]) // 2
        key = _at(frame_ends, there.start[0]), _at(col_ends, middle) // width
        groups.setdefault(key, []).append(i)
    return [groups[key] for key in sorted(groups)]


def _at(ends: Sequence[int], position: int) -> int:
    return bisect_right(ends, position)
