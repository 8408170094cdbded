"""A CT series from an array file to an array file, beside the network alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from measure import timed
from step import Step, imagery, main

import geomedsr
from geomedsr import Scene
from geomedsr.devices import cores
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.inference.gpu import exact
from geomedsr.inference.runtime import Runtime, prepared


def work(step: Step) -> None:
    """In the precision that the model's card allows."""
    part: dict[str, Any] = step.settings["series"]
    count, side, runs = part["slices"], part["side"], part["runs"]
    model = geomedsr.load_model("ct-x2")
    planes = tuple(Plane((0.0, 0.0, 5.0 * i), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.7, 0.7)) for i in range(count))
    scene = Scene.from_array(imagery("CT", count, 1, side), grid=Grid((side, side), planes=planes), domain="CT")
    path, out = step.scratch / "series.npy", step.scratch / "series-x2.npy"
    geomedsr.write(replace(scene, rescale=((1.0, -1024.0),) * count), path, overwrite=True, progress=False)

    def whole() -> float:
        started = time.perf_counter()
        sr = geomedsr.upscale(geomedsr.open(path), model, device=step.device)
        geomedsr.write(sr, out, overwrite=True, progress=False)
        return time.perf_counter() - started

    with step.part("network alone"):
        runtime = Runtime.choose(model, step.device, None, 2)
        module = prepared(model, runtime, step.place)
        seen = geomedsr.open(path).with_physical_range(*model.descriptor.value_range).tensor().to(step.place)
        network = float("inf")
        for at_once in (1, 4):

            def alone(at_once: int = at_once) -> None:
                torch.set_num_threads(cores())
                with torch.inference_mode(), exact:
                    for batch in torch.split(seen, at_once):
                        module(batch.contiguous(memory_format=torch.channels_last))
                    if step.cuda:
                        torch.cuda.synchronize(step.place)

            alone()
            seconds = min(timed(alone) for _ in range(runs))
            network = min(network, seconds)
            step.figure(f"network alone, {at_once} at once, {runtime.precision}", count / seconds, "slices/s")
    with step.part("whole series"):
        whole()
        seconds = min(whole() for _ in range(runs))
        note = f"{100 * network / seconds:.0f} % of the network alone"
        step.figure("whole series", count / seconds, "slices/s", note)
    out.unlink(missing_ok=True)


main(work)
