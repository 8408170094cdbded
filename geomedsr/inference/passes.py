"""Passes: outputs of one prediction are computed together, box by box, and each is stored in its own sink."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch

from geomedsr.devices import cores, keep_memory
from geomedsr.errors import OutputError
from geomedsr.geometry import Box
from geomedsr.inference.memory import reader_cache
from geomedsr.inference.output import Output, predicted
from geomedsr.inference.prediction import Prediction, beneath
from geomedsr.io.sink import Sink
from geomedsr.scene.lazy import Inputs, Lazy
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Source

#: A box of several sinks has at most so many times the pixels of the largest region of any of them.
_LARGER = 4


@dataclass(frozen=True)
class Job:
    """One result to be written: a scene, and the sink that it goes to, whose scratch knows it as a job, too."""

    scene: Scene
    sink: Sink


@dataclass(frozen=True)
class Pass:
    """Jobs that are computed together: all of them in the same ``boxes``, ``workers`` boxes at once on this machine.

    ``short`` warns, in words, that one worker alone takes more memory than the user allows; None where it does not.
    """

    jobs: tuple[Job, ...]
    boxes: tuple[Box, ...]
    workers: int
    short: str | None = None

    def done(self) -> set[str]:
        """Keys of the boxes that all sinks have."""
        stored = [(job.sink, job.sink.done()) for job in self.jobs]
        return {
            box.key
            for box in self.boxes
            if all(region.key in keys for sink, keys in stored for region in regions(sink, box))
        }

    def work(self, threads: int) -> PassWork:
        """What computes and stores a box, with so many threads of torch."""
        sources = tuple(job.scene.source for job in self.jobs)
        return PassWork(sources, tuple(job.sink for job in self.jobs), threads, Inputs.of(sources[0]))


def passes(jobs: Sequence[Job], asked: int | None) -> list[Pass]:
    """Which jobs are computed together, in which boxes, by how many workers; all sinks are open.

    Args:
        jobs: what is to be written.
        asked: how many workers the user wants; by default as many as there are cores, and memory for.

    Raises:
        OutputError: sinks whose regions do not fit together.
    """
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_group(job.scene.source), []).append(job)
    return [_pass(tuple(group), asked) for group in groups.values()]


def _group(source: Source) -> object:
    """A key that sources share which show the same part of one prediction; any other source has one of its own."""
    prediction, box = _beneath(source, Box.whole(source.shape))
    return object() if prediction is None else (id(prediction), box, source.shape[0], source.shape[2:])


def _beneath(source: Source, box: Box) -> tuple[Prediction | None, Box]:
    """The prediction that a source shows a part of, and what of that a box needs; None where it shows none."""
    while not isinstance(source, Prediction):
        if source.inner is None:
            return None, box
        box, source = source.touches(box), source.inner
    return source, box


def _pass(jobs: tuple[Job, ...], asked: int | None) -> Pass:
    """The pass of jobs that go together. The tile and the memory are the prediction's already; workers follow here."""
    source = jobs[0].scene.source
    boxes = tuple(boxes_of(source, common_block(jobs)))
    found = [(prediction, prediction.need(part)) for prediction, part in beneath(source, boxes[0])]
    if not found:
        return Pass(jobs, boxes, max(1, min(asked or cores(), len(boxes))))
    bands, cache = source.shape[1], partial(reader_cache, (source,))
    several = len(found) > 1  # a worker holds the bands of all
    needs = [(p, replace(need, cache=cache, bands=bands if several else need.bands)) for p, need in found]
    workers = asked or min(need.workers(p.tile, p.memory) for p, need in needs)
    largest, need = max(needs, key=lambda of: of[1].least(of[0].tile))
    short = _short(jobs[0].scene, largest.tile, need.least(largest.tile), largest.memory)
    return Pass(jobs, boxes, max(1, min(workers, len(boxes))), short)


def common_block(jobs: Sequence[Job]) -> tuple[int, int]:
    """The smallest ``(height, width)`` of a box that holds whole regions of all sinks.

    At the last row and column boxes may be smaller.

    Raises:
        OutputError: even that is much larger than the regions are, for which memory was planned.
    """
    whole = jobs[0].scene.source.shape[2:]
    stated = [job.sink.block for job in jobs if job.sink.block is not None] or [jobs[0].scene.source.block]
    blocks = {(min(rows, whole[0]), min(columns, whole[1])) for rows, columns in stated}
    rows, columns = (min(math.lcm(*(block[axis] for block in blocks)), whole[axis]) for axis in (0, 1))
    if rows * columns > _LARGER * max(math.prod(block) for block in blocks):
        sides = " and ".join(sorted(f"{height} × {width}" for height, width in blocks))
        raise OutputError(
            f"outputs in regions of {sides} pixels, which fit together in {rows} × {columns} alone",
            "formats of like regions",
            "write them one by one",
        )
    return rows, columns


def boxes_of(source: Source, block: tuple[int, int] | None = None) -> Iterator[Box]:
    """The boxes that an output is computed in, frames first, then rows.

    Each has the frames that one read makes (:attr:`geomedsr.scene.sources.Source.depth`), and rows and columns of
    ``block``; without one, of the source's own.
    """
    return Box.whole(source.shape).tiles((source.depth, *(block or source.block)))


def regions(sink: Sink, box: Box) -> Iterator[Box]:
    """What a sink stores of a box, one after the other: its own blocks, frame by frame; or the box as it is."""
    return iter((box,)) if sink.block is None else box.tiles((1, *sink.block))


def _short(scene: Scene, tile: int, least: int, memory: int) -> str | None:
    """That a job takes at least so many bytes, where it may take fewer."""
    if least <= memory:
        return None
    return (
        f"{scene.name} takes about {least / 2**20:.0f} MiB in tiles of {tile} pixels, one at a time: "
        f"more than the {memory / 2**20:.0f} MiB of --memory"
    )


@dataclass(frozen=True, eq=False)
class PassWork:
    """The work of a pass: reads, computes and stores a box of all its jobs. A scheduler runs it.

    It is what :class:`geomedsr.inference.schedulers.Work` asks for. ``array`` is the dask array at the sources' root,
    if that is one, as tasks; once it is taken out (:meth:`alone`), ``lazy`` are the sources without it.
    """

    sources: tuple[Source, ...]
    sinks: tuple[Sink, ...]
    threads: int
    array: Inputs | None = None
    lazy: tuple[Lazy, ...] = ()

    def inputs(self, box: Box) -> tuple[Any, ...]:
        """What of the dask array a box is computed from; nothing without one."""
        return () if self.array is None else self.array.parts(box)

    def alone(self) -> PassWork:
        """The same without the dask array, so that it is small to send: it is then called with its ``inputs``."""
        lazy = tuple(found for source in self.sources if (found := Lazy.of(source)) is not None)
        if not lazy:
            return self
        return replace(self, sources=tuple(found.hollow for found in lazy), array=None, lazy=lazy)

    def __call__(self, box: Box, *inputs: Any) -> float | None:
        """Do it; returns the largest deviation of the image in it."""
        keep_memory()
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)  # this worker's share of the cores
        sources = [found.filled(box, *inputs) for found in self.lazy] or list(self.sources)
        deviation = None
        if predicted(sources[0]) is not None:
            computed = ComputedPrediction.of(sources[0], box)
            sources, deviation = [_on(source, computed) for source in sources], computed.deviation
        for sink, source in zip(self.sinks, sources, strict=True):
            values, valid = source.read(box), source.valid(box)
            for region in regions(sink, box):
                inside = region.within(box).index
                sink.put(region, values[inside], valid[inside])
        return deviation


@dataclass(frozen=True)
class ComputedPrediction(Prediction):
    """A prediction of which one box is computed already: all outputs of it are read from there, not computed again."""

    box: Box
    outputs: Mapping[str, Array]
    deviation: float | None

    @classmethod
    def of(cls, source: Source, box: Box) -> ComputedPrediction:
        """Compute what a box of a source needs of the prediction that it shows."""
        prediction, box = _beneath(source, box)
        assert prediction is not None
        outputs, deviation = prediction.compute(box)
        own = {part.name: getattr(prediction, part.name) for part in fields(Prediction)}
        return cls(**own, box=box, outputs=outputs, deviation=deviation)

    def compute(self, box: Box) -> tuple[dict[str, Array], float | None]:
        """What was computed; of a box that leaves it, computed now."""
        if box & self.box != box:
            return super().compute(box)
        inside = box.within(self.box).index
        return {name: values[inside] for name, values in self.outputs.items()}, self.deviation


def _on(source: Source, base: Prediction) -> Source:
    """The same view of another prediction: a crop of an output, say, now of ``base``."""
    if isinstance(source, Prediction):
        return base
    assert source.inner is not None
    return source.on(_on(source.inner, base))


def shows_image(source: Source) -> bool:
    """Whether a source shows the image that a model makes, rather than another output."""
    inner: Source | None = source
    while inner is not None and not isinstance(inner, Prediction):
        if isinstance(inner, Output):
            return False
        inner = inner.inner
    return inner is not None
