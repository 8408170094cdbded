"""How far apart the pixels of this device and those of the CPU are, for each shipped model, on real pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from step import Step, everything, imagery, main

import geomedsr
from geomedsr import Scene
from geomedsr.devices import fast_bfloat16
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.scene.sources import Array

MODELS = {"satellite-x4": "satellite", "satellite-x2": "satellite", "ct-x2": "CT", "mr-x2": "MR"}


def work(step: Step) -> None:
    """In float32, and in bfloat16 beside the CPU's float32: what a precision costs is the same on both."""
    part: dict[str, Any] = step.settings["equality"]
    for name, domain in MODELS.items():
        with step.part(name):
            scene = _scene(domain, part["side"], part["slices"])
            here = _made(scene, name, "cpu", "float32")
            for precision in ("float32", "bfloat16"):
                if precision == "bfloat16" and not fast_bfloat16(step.place):
                    step.skip(f"{name} in bfloat16: {step.place} does not compute in it by itself")
                    continue
                off = np.abs(_made(scene, name, step.device, precision) - here)
                share, most = float((off > 0).mean()), int(off.max())
                far = float((off > 1).mean())
                note = f"at most {most} of a range of {int(np.ptp(here))} counts; by more than 1: {far:.2e}"
                step.figure(f"{name}, {precision}: pixels that differ", share, "of 1", note)
                if precision == "float32" and (most > 1 or share >= 1e-3):
                    raise AssertionError(f"{name}: {share:.2e} of the pixels differ, by up to {most} counts")


def _scene(domain: str, side: int, slices: int) -> Scene:
    if domain == "satellite":
        return Scene.from_array(imagery(domain, 1, 4, side)[0])
    planes = tuple(Plane((0.0, 0.0, 5.0 * i), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.7, 0.7)) for i in range(slices))
    side = min(side, 512)
    scene = Scene.from_array(imagery(domain, slices, 1, side), grid=Grid((side, side), planes=planes), domain=domain)
    return replace(scene, rescale=((1.0, -1024.0),) * slices) if domain == "CT" else scene


def _made(scene: Scene, model: str, device: str, precision: str) -> Array:
    return everything(geomedsr.upscale(scene, model, device=device, precision=precision)).astype(np.int64)


main(work)
