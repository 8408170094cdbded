"""The engine: a scene is written box by box through dask, so that it is never in memory as a whole."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import torch

from geomedsr.devices import cores, keep_memory
from geomedsr.errors import OutputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.inference.passes import Job, Pass, passes, shows_image
from geomedsr.inference.schedulers import Cluster, Scheduler, scheduler
from geomedsr.io import open_sink
from geomedsr.io.files import file_target
from geomedsr.io.jobs import take_back
from geomedsr.io.sink import Page, Sink, finish
from geomedsr.io.stac import item_path, item_text, states_time
from geomedsr.progress import bar
from geomedsr.scene.lazy import grouped
from geomedsr.scene.scene import Scene

#: A destination as the user names it.
Path = TypeVar("Path", bound=str | os.PathLike[str])


@overload
def write(
    scene: Scene,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    cluster: Any = None,
    progress: bool = True,
    stac: bool = False,
    **options: Any,
) -> Written: ...


@overload
def write(
    scene: Mapping[Path, Scene],
    path: None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    cluster: Any = None,
    progress: bool = True,
    stac: bool = False,
    **options: Any,
) -> dict[Path, Written]: ...


def write(
    scene: Scene | Mapping[Any, Scene],
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    cluster: Any = None,
    progress: bool = True,
    stac: bool = False,
    **options: Any,
) -> Written | dict[Any, Written]:
    """Write a scene to a file, or a series to a folder, atomically; the suffix selects the format.

    Computed regions are kept beside the destination until the end. After a stop, an error or a crash the same call
    resumes from them and gives the same pixels. If the input, the model or options have changed, it starts again with a
    warning.

    Args:
        scene: any scene, for example from :func:`geomedsr.upscale`; or several scenes by path, for example from
            :func:`geomedsr.process`. Outputs of one model are then computed once, box by box. Either all of them
            appear, or none does and earlier files are restored.
        path: the destination; ``.tif`` becomes a Cloud-Optimized GeoTIFF.
        overwrite: replace an existing file.
        workers: how many regions threads compute at once; by default the machine's cores, or fewer if the scene was
            upscaled with a memory limit.
        cluster: a ``dask.distributed`` client or cluster, a scheduler's address, or ``"local:N"`` for N processes; by
            default the active client, if the program has one, or threads.
        progress: show a progress bar, in notebooks and if standard error is a terminal; see
            :func:`geomedsr.show_progress`.
        stac: write a STAC item beside each result, with its name and the suffix ``.json``. Item and result appear
            together.
        options: further options of the format's adapter, such as ``format`` for rasters or ``uid_seed`` for DICOM.

    Returns:
        A record of what was written; for several scenes, by path.

    Raises:
        OutputError: the path cannot be written, exists, is the scene's own file, or is being written by another job; or
            several scenes have the same path, or their regions do not fit together.
        InputError: the source cannot be read somewhere, there is no such cluster, or a scene without georeferencing
            cannot have a STAC item.
    """
    if isinstance(scene, Scene):
        if path is None:
            raise OutputError(f"no path for {scene.name}", "a file or a folder", "say where to write it")
        return _write_all({path: scene}, overwrite, workers, cluster, progress, stac, options)[path]
    if path is not None:
        raise OutputError(f"the path {path} beside several scenes", "one for each", "give {path: scene, …}")
    return _write_all(scene, overwrite, workers, cluster, progress, stac, options)


@dataclass(frozen=True)
class Written:
    """A record of a written result.

    ``deviation`` is the largest absolute difference, in stored units, between the input and the result under the
    model's operator, caused by rounding and clipping, in the regions that this call computed; None if there is none.
    Of all ``regions``, ``resumed`` had been computed by an earlier call that was stopped. ``item`` is the STAC item
    beside the result, if one was asked for.
    """

    path: str
    deviation: float | None
    resumed: int = 0
    regions: int = 1
    item: str | None = None


def _write_all(
    scenes: Mapping[Any, Scene],
    overwrite: bool,
    workers: int | None,
    cluster: Any,
    progress: bool,
    stac: bool,
    options: Mapping[str, Any],
) -> dict[Any, Written]:
    """Open a sink for each scene by its path's name, and write them."""
    return write_to(
        scenes, lambda scene, path: open_sink(scene, path, overwrite, **options), workers, progress, cluster, stac
    )


def write_to(
    scenes: Mapping[Any, Scene],
    opened: Callable[[Scene, Any], Sink],
    workers: int | None = None,
    progress: bool = True,
    cluster: Any = None,
    stac: bool = False,
) -> dict[Any, Written]:
    """Write scenes to the sinks that ``opened`` gives for each and its path: all at once; see :func:`write`.

    An error before the first region is stored leaves nothing behind; later, stored regions are kept for the next call.
    """
    keep_memory()
    _check_apart(scenes)
    take_back(scenes)
    jobs: list[Job] = []
    planned: list[Pass] = []
    try:
        for path, scene in scenes.items():
            jobs.append(Job(scene, opened(scene, path)))
        sinks = [job.sink for job in jobs]
        jobs = [replace(job, sink=job.sink.among(sinks)) for job in jobs]
        pages = [_item(job) for job in jobs] if stac else []
        planned = passes(jobs, workers)
        _tell_short(planned)
        deviations = _run(planned, cluster, progress)
        finish([job.sink for job in jobs], pages)
    except BaseException as error:
        stored, boxes = _stored(jobs, planned), sum(len(each.boxes) for each in planned)
        for job in jobs:
            if stored == 0:
                job.sink.discard()
            else:
                job.sink.release()
        if stored != 0 and planned:
            count = "the" if stored is None else f"{stored} of {boxes}"
            error.add_note(f"{count} regions are kept: the same command goes on from there")
        raise
    items = [os.fspath(page.target) for page in pages] if stac else [None] * len(jobs)
    return {
        path: replace(deviations[id(job)], path=os.fspath(path), item=item)
        for path, job, item in zip(scenes, jobs, items, strict=True)
    }


def _item(job: Job) -> Page:
    """The STAC item of a result, checked; warns if its time is unknown."""
    target = job.sink.target
    beside = file_target(job.scene, os.fspath(item_path(target)), job.sink.overwrite)
    page = Page(job.sink, beside, item_text(job.scene, target))
    if not states_time(job.scene):
        warnings.warn(
            f"{job.scene.name} does not state when it was acquired: its STAC item has the time of processing",
            SceneWarning,
            stacklevel=5,
        )
    return page


def _check_apart(scenes: Mapping[Any, Scene]) -> None:
    """Raise an OutputError if two scenes have the same path."""
    seen: dict[str, Any] = {}
    for path in scenes:
        real = os.path.realpath(path)
        if real in seen:
            raise OutputError(f"one path for two scenes, {path}", "one for each", "choose another name")
        seen[real] = path


def _tell_short(planned: Sequence[Pass]) -> None:
    """Warn about passes that take more memory than allowed."""
    for each in planned:
        if each.short is not None:
            warnings.warn(each.short, SceneWarning, stacklevel=5)


def _run(planned: Sequence[Pass], cluster: Any, progress: bool) -> dict[int, Written]:
    """Compute and store the missing boxes, pass by pass; returns a record of each job, by its ``id``."""
    done = [each.done() for each in planned]
    left = [[box for box in each.boxes if box.key not in keys] for each, keys in zip(planned, done, strict=True)]
    jobs = [job for each in planned for job in each.jobs]
    more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    found: dict[int, Written] = {}
    with (
        scheduler(cluster, max((each.workers for each in planned), default=1)) as chosen,
        bar(
            sum(box.pixels for each in planned for box in each.boxes),
            unit="px",
            done=sum(box.pixels for each in planned for box in each.boxes) - sum(b.pixels for of in left for b in of),
            title=f"{jobs[0].scene.name}{more}" if jobs else "",
            large=True,
            wanted=progress,
        ) as shown,
        _threads_kept(),
    ):
        for each, boxes in zip(planned, left, strict=True):
            deviations: list[float] = []

            def report(box: Box, deviation: float | None, largest: list[float] = deviations) -> None:
                shown.update(box.pixels)
                if deviation is not None:
                    largest.append(deviation)

            own = chosen.at_most(min(each.workers, max(1, len(boxes))))
            if boxes:
                for job in each.jobs:
                    _check_shared(own, job)
            work, source = each.work(_threads(own)), each.jobs[0].scene.source
            for group in grouped(source, boxes):
                own.run(work, [boxes[i] for i in group], report)
            resumed, worst = len(each.boxes) - len(boxes), max(deviations, default=None)
            for job in each.jobs:
                deviation = worst if shows_image(job.scene.source) else None
                found[id(job)] = Written("", deviation, resumed, len(each.boxes))
    return found


def _threads(chosen: Scheduler) -> int:
    """torch's threads for each worker: its share of this machine's cores; one on a cluster, which has many workers."""
    return 1 if isinstance(chosen, Cluster) else max(1, cores() // chosen.count)


def _check_shared(chosen: Scheduler, job: Job) -> None:
    """Raise an error unless a cluster's workers can access a job's scratch folder and the files that it reads."""
    if isinstance(chosen, Cluster):
        sources = [file for file in job.scene.files if os.path.exists(file)]
        chosen.check_shared(os.fspath(job.sink.folder), sources)


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Restore torch's number of threads at the end: threads that start later would inherit the workers' number."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _stored(jobs: Sequence[Job], planned: Sequence[Pass]) -> int | None:
    """How many boxes all sinks have; None if unknown, because the disk is gone or only some sinks have any."""
    try:
        if not any(job.sink.done() for job in jobs):
            return 0
        return sum(len(each.done()) for each in planned) or None
    except (OSError, OutputError):
        return None
