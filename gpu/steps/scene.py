"""A scene of four bands, from an array file to an array file, beside the network alone; and where the time goes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import bare, timed
from step import Step, imagery, main

import geomedsr
from geomedsr import Model
from geomedsr.devices import cores, fast_bfloat16
from geomedsr.geometry.box import Box
from geomedsr.inference import gpu
from geomedsr.inference.memory import Need
from geomedsr.inference.output import predicted
from geomedsr.inference.passes import boxes_of
from geomedsr.inference.prediction import Prediction
from geomedsr.models.network import IMAGE

NAME = "satellite-x4"


def work(step: Step) -> None:
    """Each precision, in a process that runs; then the command as a whole."""
    part: dict[str, Any] = step.settings["scene"]
    side, model = part["side"], geomedsr.load_model(NAME)
    path, out = step.scratch / "scene.npy", step.scratch / "scene-x4.npy"
    np.save(path, imagery("satellite", 1, 4, side)[0])
    values, of = 4 * side * side, "% of the network alone"
    for precision in ("bfloat16", "float32"):
        if precision == "bfloat16" and not fast_bfloat16(step.place):
            step.skip(f"bfloat16: {step.place} does not compute in it by itself")
            continue
        with step.part(precision):
            write(path, model, precision, step.device, part["memory"], out)  # kernels are chosen, memory is pinned
            runs = part["runs"]
            network = min(timed(way) for way in bare(path, model, precision, step.device) for _ in range(runs))
            rate = values / network / 1e6
            step.figure(f"network alone, {precision}", rate, "million input values/s", f"{network:.3f} s")
            for memory in dict.fromkeys((part["memory"], None)):
                whole = min(write(path, model, precision, step.device, memory, out) for _ in range(runs))
                name = f"whole scene, {precision}, memory {memory or 'by default'}"
                step.figure(name, 100 * network / whole, of, f"{whole:.3f} s")
            if step.cuda:
                planned, used = peak(path, model, precision, part["memory"], out)
                step.figure(
                    f"device memory, {precision}", used / 2**20, "MiB", f"planned {planned / 2**20:.0f} at most"
                )
            for name, seconds in stages(path, model, precision, step.device, part["memory"]).items():
                step.figure(f"{name}, {precision}", 100 * network / seconds, of, f"{seconds:.3f} s")
    with step.part("the command"):
        words = [sys.executable, "-m", "geomedsr.cli", "upscale", str(path), str(out), "--model", NAME, "--overwrite"]
        words += ["--device", step.device, "--memory", part["memory"]]
        seconds = timed(partial(subprocess.run, words, check=True))
        step.figure("geomedsr upscale, whole process", seconds, "s")
    out.unlink(missing_ok=True)


def write(path: Path, model: Model, precision: str, device: str, memory: str | None, out: Path) -> float:
    """Seconds from the file to the file."""
    started = time.perf_counter()
    scene = geomedsr.upscale(geomedsr.open(path), model, device=device, precision=precision, memory=memory)
    geomedsr.write(scene, out, overwrite=True, progress=False)
    return time.perf_counter() - started


def peak(path: Path, model: Model, precision: str, memory: str, out: Path) -> tuple[int, int]:
    """What the tiles of the plan take of the device's memory at most, and what was taken."""
    place = torch.device("cuda", 0)
    scene = geomedsr.open(path)
    source = predicted(geomedsr.upscale(scene, model, device="cuda", precision=precision, memory=memory).source)
    assert source is not None
    need = Need.of(model, source.runtime, len(scene.bands), scene.dtype.itemsize)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(place)
    write(path, model, precision, "cuda", memory, out)
    return gpu.AT_ONCE * need.network(source.tile), torch.cuda.max_memory_allocated(place)


def stages(path: Path, model: Model, precision: str, device: str, memory: str) -> dict[str, float]:
    """Seconds of what a job does, one after the other: reading, the network with its copies, all but storing."""
    scene = geomedsr.upscale(geomedsr.open(path), model, device=device, precision=precision, memory=memory)
    source = predicted(scene.source)
    assert source is not None
    regions = list(boxes_of(source))
    workers = source.need(regions[0]).workers(source.tile, source.memory)
    halos = pooled(partial(_halo, source), regions, workers)
    found = {}
    for name, action in (
        ("reading and normalising", partial(pooled, partial(_halo, source), regions, workers)),
        ("the network and copies", partial(pooled, partial(_through, source), halos, workers)),
        ("all but storing", partial(pooled, partial(_made, source), regions, workers)),
    ):
        action()
        found[name] = timed(action)
    return found


def pooled(work: Callable[..., Any], things: list[Any], workers: int) -> list[Any]:
    """Do it with each, as the engine's threads do."""
    torch.set_num_threads(max(1, cores() // workers))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, things))


def _halo(source: Prediction, region: Box) -> torch.Tensor:
    window = region.coarsened(source.factors).window.grown(source.model.radius)
    return source.scene.tensor(window, region.frames)


def _through(source: Prediction, halo: torch.Tensor) -> None:
    for batch in torch.split(halo[0].unsqueeze(1), source.runtime.bands):
        source.runtime(source.model, {IMAGE: batch})


def _made(source: Prediction, region: Box) -> None:
    source.compute(region)


main(work)
