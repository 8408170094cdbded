"""The engine: a scene is written region by region through dask, so that nothing holds the whole of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import torch
from dask.base import compute
from dask.delayed import delayed
from tqdm import tqdm

from geomedsr.adapters import Region, Sink, open_sink
from geomedsr.grid import Window
from geomedsr.scene import Scene
from geomedsr.sources import Source


def write(
    scene: Scene,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = False,
) -> None:
    """Write a scene to a file; the suffix chooses the format. Whole or not at all.

    Args:
        scene: any scene, such as :func:`geomedsr.upscale` gives.
        path: where to; ``.tif`` becomes a Cloud-Optimized GeoTIFF.
        overwrite: replace a file that is there.
        workers: how many regions are computed at once; the machine's cores by default.
        progress: show a bar, if standard error is a terminal.

    Raises:
        OutputError: the path cannot be written, exists, or is the scene's own file.
        InputError: the source fails in some window.
    """
    sink = open_sink(scene, path, overwrite)
    threads = torch.get_num_threads()
    try:
        regions = [r for r in plan(scene.source) if r.key not in sink.done()]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = max(1, min(workers or cores, len(regions)))
        pixels = sum(r.window.width * r.window.height * (r.stop - r.start) for r in regions)
        with tqdm(total=pixels, unit="px", unit_scale=True, desc=scene.name, disable=None if progress else True) as bar:
            # Regions are independent: each worker reads, computes and stores its own. The source travels in a
            # partial, since dask would compute a lazy array among its arguments, whole.
            store = delayed(partial(_store, scene.source, sink, max(1, cores // count), bar), pure=False)
            tasks = [store(region) for region in regions]
            compute(tasks, scheduler="threads", num_workers=count)
        sink.finish()
    except BaseException:
        sink.discard()
        raise
    finally:
        torch.set_num_threads(threads)  # threads started later would take over the workers' number


def plan(source: Source) -> Iterator[Region]:
    """The regions of an output: the source's blocks, frame by frame, rows first."""
    frames, _, height, width = source.shape
    side_y, side_x = source.block
    for frame in range(frames):
        for row in range(0, height, side_y):
            for col in range(0, width, side_x):
                window = Window(col, row, min(side_x, width - col), min(side_y, height - row))
                yield Region(frame, frame + 1, window)


def _store(source: Source, sink: Sink, threads: int, bar: tqdm, region: Region) -> None:  # type: ignore[type-arg]
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)  # this worker's share of the cores
    sink.put(region, source.read(region.frames, region.window), source.valid(region.frames, region.window))
    bar.update(region.window.width * region.window.height)
