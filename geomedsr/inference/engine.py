"""The engine: a scene is written region by region through dask, so that nothing holds the whole of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from geomedsr.devices import cores, keep_memory
from geomedsr.errors import OutputError
from geomedsr.geometry import Box
from geomedsr.inference.prediction import Prediction, predicted
from geomedsr.inference.schedulers import Cluster, Scheduler, scheduler
from geomedsr.io import Sink, open_sink
from geomedsr.lazy import Inputs, Lazy, grouped
from geomedsr.models.ports import IMAGE
from geomedsr.progress import bar
from geomedsr.scene import Scene
from geomedsr.sources import Source


def write(
    scene: Scene,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    cluster: Any = None,
    progress: bool = True,
    **options: Any,
) -> Written:
    """Write a scene to a file, or a series to a folder; the suffix chooses the format. Whole or not at all.

    What is computed is kept beside the destination until the end: after a stop, an error or a crash the same call goes
    on from there, and ends with the same pixels. Where input, model or options changed, it starts afresh, and warns.

    Args:
        scene: any scene, such as :func:`geomedsr.upscale` gives.
        path: where to; ``.tif`` becomes a Cloud-Optimized GeoTIFF.
        overwrite: replace a file that is there.
        workers: how many regions are computed at once by threads; by default the machine's cores, or fewer where the
            scene was upscaled with a memory cap.
        cluster: a ``dask.distributed`` client or cluster, a scheduler's address, or ``"local:N"`` for N processes; by
            default the active client, if the program has one, or threads.
        progress: show a bar, in notebooks and where standard error is a terminal; see
            :func:`geomedsr.show_progress`.
        options: what the format's adapter takes besides, such as ``format`` for rasters or ``uid_seed`` for DICOM.

    Raises:
        OutputError: the path cannot be written, exists, is the scene's own file, or is being written by another job.
        InputError: the source fails in some window; or no such cluster.
    """
    keep_memory()
    sink = open_sink(scene, path, overwrite, **options)
    boxes = list(plan(scene.source, sink.block))
    deviations: list[float] = []
    try:
        done = sink.done()
        left = [box for box in boxes if box.key not in done]
        pixels = {box.key: box.pixels for box in boxes}
        with (
            scheduler(cluster, _workers(scene.source, workers, len(left))) as chosen,
            bar(
                sum(pixels.values()),
                unit="px",
                done=sum(pixels[key] for key in done & pixels.keys()),
                title=scene.name,
                large=True,
                wanted=progress,
            ) as shown,
            _threads_kept(),
        ):

            def report(box: Box, deviation: float | None) -> None:
                shown.update(box.pixels)
                if deviation is not None:
                    deviations.append(deviation)

            if left:
                _check_shared(chosen, scene, sink)
            work = _Work(scene.source, sink, _threads(chosen), Inputs.of(scene.source))
            for group in grouped(scene.source, left):
                chosen.run(work, [left[i] for i in group], report)
        sink.finish()
    except BaseException as error:
        kept = _kept(sink)
        if kept == 0:
            sink.discard()
        else:
            sink.release()
            count = "the" if kept is None else f"{kept} of {len(boxes)}"
            error.add_note(f"{count} regions are kept: the same command goes on from there")
        raise
    return Written(os.fspath(path), max(deviations, default=None), len(boxes) - len(left), len(boxes))


@dataclass(frozen=True)
class Written:
    """What was written where.

    ``deviation`` is the largest absolute difference, in stored units, that rounding and clipping left between the input
    and the result as the model's operator brings it down, in the regions that this call computed; None where there is
    none. ``resumed`` of ``regions`` had been computed before, by a call that was stopped.
    """

    path: str
    deviation: float | None
    resumed: int = 0
    regions: int = 1


def plan(source: Source, block: tuple[int, int] | None = None) -> Iterator[Box]:
    """The regions of an output: the sink's blocks, or else the source's own, frame by frame, rows first."""
    return Box.whole(source.shape).tiles((1, *(block or source.block)))


@dataclass(frozen=True, eq=False)
class _Work:
    """Reads, computes and stores a region; see :class:`geomedsr.inference.schedulers.Work`."""

    source: Source
    sink: Sink
    threads: int
    array: Inputs | None = None
    lazy: Lazy | None = None

    def inputs(self, box: Box) -> tuple[Any, ...]:
        """What of a dask array a region is computed from."""
        return () if self.array is None else self.array.parts(box)

    def alone(self) -> _Work:
        """Without that array."""
        lazy = Lazy.of(self.source)
        return self if lazy is None else replace(self, source=lazy.hollow, array=None, lazy=lazy)

    def __call__(self, box: Box, *inputs: Any) -> float | None:
        keep_memory()
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)  # this worker's share of the cores
        source, deviation = self.source, None
        if self.lazy is not None:
            source = self.lazy.filled(box, *inputs)
        if isinstance(source, Prediction):
            made, deviation = source.compute(box)
            values = made[IMAGE]
        else:
            values = source.read(box)
        self.sink.put(box, values, source.valid(box))
        return deviation


def _workers(source: Source, asked: int | None, regions: int) -> int:
    """How many threads compute regions: as many as there are cores, and memory for."""
    most = asked or cores()
    inner = predicted(source)
    if asked is None and inner is not None:
        most = min(most, inner.workers)
    return max(1, min(most, regions))


def _threads(chosen: Scheduler) -> int:
    """torch's threads for each worker: its share of this machine's cores; on a cluster one, as workers are many."""
    return 1 if isinstance(chosen, Cluster) else max(1, cores() // chosen.count)


def _check_shared(chosen: Scheduler, scene: Scene, sink: Sink) -> None:
    if isinstance(chosen, Cluster):
        sources = [file for file in scene.files if os.path.exists(file)]
        chosen.check_shared(os.fspath(sink.folder), sources)


def _kept(sink: Sink) -> int | None:
    """How many regions are stored; None if that cannot be told now, the disk having gone away."""
    try:
        return len(sink.done())
    except (OSError, OutputError):
        return None


@contextmanager
def _threads_kept() -> Iterator[None]:
    """torch's number of threads as it was: threads started later would take over the workers' number."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
