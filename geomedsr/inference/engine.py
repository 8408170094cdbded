"""The engine: a scene is written region by region through dask, so that nothing holds the whole of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from dask.base import compute
from dask.delayed import delayed
from tqdm import tqdm

from geomedsr.adapters import Region, Sink, open_sink
from geomedsr.devices import keep_memory
from geomedsr.grid import Window
from geomedsr.inference.upscale import UpscaledSource
from geomedsr.scene import Scene
from geomedsr.sources import Source


def write(
    scene: Scene,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = False,
    **options: Any,
) -> Written:
    """Write a scene to a file, or a series to a folder; the suffix chooses the format. Whole or not at all.

    Args:
        scene: any scene, such as :func:`geomedsr.upscale` gives.
        path: where to; ``.tif`` becomes a Cloud-Optimized GeoTIFF.
        overwrite: replace a file that is there.
        workers: how many regions are computed at once; the machine's cores by default.
        progress: show a bar, if standard error is a terminal.
        options: what the format's adapter takes besides, such as ``uid_seed`` for DICOM.

    Raises:
        OutputError: the path cannot be written, exists, or is the scene's own file.
        InputError: the source fails in some window.
    """
    sink = open_sink(scene, path, overwrite, **options)
    flight = _Flight()
    keep_memory()
    threads = torch.get_num_threads()
    try:
        regions = [r for r in plan(scene.source) if r.key not in sink.done()]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = max(1, min(workers or cores, len(regions)))
        pixels = sum(r.window.width * r.window.height * (r.stop - r.start) for r in regions)
        with tqdm(total=pixels, unit="px", unit_scale=True, desc=scene.name, disable=None if progress else True) as bar:
            # Regions are independent: each worker reads, computes and stores its own. The source travels in a
            # partial, since dask would compute a lazy array among its arguments, whole.
            store = delayed(partial(_store, scene.source, sink, max(1, cores // count), bar, flight), pure=False)
            tasks = [store(region) for region in regions]
            deviations = compute(tasks, scheduler="threads", num_workers=count)[0] if tasks else []
        sink.finish()
        known = [d for d in deviations if d is not None]
        return Written(os.fspath(path), max(known) if known else None)
    except BaseException:
        flight.stop()  # other workers may still be storing a region
        sink.discard()
        raise
    finally:
        torch.set_num_threads(threads)  # threads started later would take over the workers' number


@dataclass(frozen=True)
class Written:
    """What was written where. ``deviation`` is the largest absolute difference, in stored units, that rounding and
    clipping left between the input and the result as the model's operator brings it down; None where there is none.
    """

    path: str
    deviation: float | None


def plan(source: Source) -> Iterator[Region]:
    """The regions of an output: the source's blocks, frame by frame, rows first."""
    frames, _, height, width = source.shape
    side_y, side_x = source.block
    for frame in range(frames):
        for row in range(0, height, side_y):
            for col in range(0, width, side_x):
                window = Window(col, row, min(side_x, width - col), min(side_y, height - row))
                yield Region(frame, frame + 1, window)


class _Flight:
    """The regions that are being computed at this moment."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._count, self._stopped = 0, False

    def __enter__(self) -> bool:
        """Take off; False where none should any more."""
        with self._change:
            self._count += 1
            return not self._stopped

    def __exit__(self, *error: object) -> None:
        with self._change:
            self._count -= 1
            self._change.notify_all()

    def stop(self) -> None:
        """Let none take off, and wait for those that have."""
        with self._change:
            self._stopped = True
            self._change.wait_for(lambda: self._count == 0)


def _store(source: Source, sink: Sink, threads: int, bar: tqdm, flight: _Flight, region: Region) -> float | None:  # type: ignore[type-arg]
    with flight as wanted:
        if not wanted:
            return None
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)  # this worker's share of the cores
        deviation: float | None = None
        if isinstance(source, UpscaledSource):
            values, deviation = source.read_measured(region.frames, region.window)
        else:
            values = source.read(region.frames, region.window)
        sink.put(region, values, source.valid(region.frames, region.window))
        bar.update(region.window.width * region.window.height)
        return deviation
