"""A recipe at as many steps as fit into the time that is left; a model file, and what it does to a texture."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from step import HOME, Step, everything, main

import geomedsr
from geomedsr import Scene
from geomedsr.io.files import atomic_write
from geomedsr.training import Recipe, load_recipe, train
from geomedsr.training.data import batches, stage_patches, training_scenes
from geomedsr.training.run import Run
from geomedsr.training.step import step as one_step

#: The part of the time that steps are planned for; validating and writing take the rest.
SHARE = 0.8


def work(step: Step, name: str, seconds: str) -> None:
    """Plan it, once; train, or go on; tell what came out."""
    folder = step.results / f"train-{name}"
    folder.mkdir(exist_ok=True)
    kept = folder / "plan.json"
    if not kept.exists():
        words, rates = planned(step, name, float(seconds))
        atomic_write(kept, json.dumps({"words": words, "rates": rates}))
    plan: dict[str, Any] = json.loads(kept.read_text())
    for title, value, unit in plan["rates"]:
        step.figure(title, value, unit)
    recipe = recipe_of(name, [*plan["words"], f"device={step.device}"])
    for stage, part in recipe.stages:
        step.figure(f"{stage}: steps", part.steps)
    made = train(recipe, folder, quiet=True)
    step.figure("model", told(step, made, name), "", "sha256 of what it makes of a texture on the CPU, in float32")
    for title, value in geomedsr.load_model(made).descriptor.metrics.items():
        step.figure(title, value, "dB" if "psnr" in title else "")
    rows = list(csv.DictReader((folder / "log.csv").open(newline="")))
    for stage, _ in recipe.stages:
        speeds = [float(row["images_per_second"]) for row in rows if row["stage"] == stage]
        if speeds:
            step.figure(f"{stage}: the loop", sorted(speeds)[len(speeds) // 2], "images/s")


def recipe_of(name: str, words: list[str]) -> Recipe:
    """The bundle's recipe on the bundle's data."""
    return load_recipe(HOME / "recipes" / f"{name}.yaml", [f"data.root={HOME / 'data'}", *words])


def planned(step: Step, name: str, seconds: float) -> tuple[list[str], list[tuple[str, float, str]]]:
    """What to change in the recipe so that it fits, and what was measured: images a second of both stages."""
    part: dict[str, Any] = step.settings["training"]
    started, recipe = time.monotonic(), recipe_of(name, [])
    rates: list[tuple[str, float, str]] = []
    each: dict[str, float] = {}
    for stage, _ in recipe.stages:
        bare, loop = measured(step, name, stage, part["probe"])
        each[stage] = dict(recipe.stages)[stage].batch / loop
        rates += [(f"{stage}: the bare step", bare, "images/s"), (f"{stage}: patches and steps", loop, "images/s")]
    left = max(1.0, SHARE * (seconds - (time.monotonic() - started)))
    whole = sum(each[stage] * content.steps for stage, content in recipe.stages)
    factor = min(part["most"], left / whole)
    words, total = [], 0
    for stage, content in recipe.stages:
        steps = max(1, math.floor(factor * content.steps))
        total += steps
        words.append(f"{stage}.steps={steps}")
        warm = content.optimiser.warmup_steps
        words += [f"{stage}.optimiser.warmup_steps={min(warm, steps // 4)}"]
    if recipe.adversarial is not None:
        words.append(f"adversarial.ramp={min(recipe.adversarial.ramp, math.floor(factor * recipe.adversarial.steps))}")
    every = max(1, round(part["every"] / max(each.values())))
    words += [f"checkpoint_every={every}", f"log_every={max(1, total // 100)}", f"validate_every={max(1, total // 8)}"]
    return words, rates


def measured(step: Step, name: str, stage: str, count: int) -> tuple[float, float]:
    """Images a second of a stage: of its steps on a batch that is there, and with patches drawn as in training."""
    other = "adversarial" if stage == "content" else "content"
    words = [f"{stage}.steps={4 * count}", f"device={step.device}"]
    words += ["adversarial=null"] if other == "adversarial" else ["content.steps=0"]
    recipe = recipe_of(name, words)
    run = Run(recipe, step.place)
    run.begin_stage()
    part = run.stage
    patches = stage_patches(recipe, part, training_scenes(recipe), 0)
    drawn = iter(batches(patches, part.batch, 0))
    kept = _moved(next(drawn), step)
    for _ in range(max(1, count // 3)):
        one_step(run, kept)
    found = []
    for some in (iter([kept] * count), (_moved(batch, step) for batch in islice(drawn, count))):
        if step.cuda:
            torch.cuda.synchronize(step.place)
        started = time.perf_counter()
        for batch in some:
            one_step(run, batch)
        if step.cuda:
            torch.cuda.synchronize(step.place)
        found.append(count * part.batch / (time.perf_counter() - started))
    return found[0], found[1]


def _moved(batch: Mapping[str, torch.Tensor], step: Step) -> dict[str, torch.Tensor]:
    return {name: part.to(step.place, memory_format=torch.channels_last) for name, part in batch.items()}


def told(step: Step, made: Path, name: str) -> str:
    """The model beside the others; a digest of the pixels that it makes."""
    models = step.results / "models"
    models.mkdir(exist_ok=True)
    shutil.copy(made, models / f"{name}.safetensors")
    model = geomedsr.load_model(models / f"{name}.safetensors")
    bands = model.descriptor.channels
    y, x = np.mgrid[:24, :20]
    texture = np.stack([1000 + 500 * np.sin(x / (2 + b)) * np.cos(y / 3) for b in range(bands)]).astype("uint16")
    sr = geomedsr.upscale(Scene.from_array(texture).with_range(0, 2000), model, device="cpu", precision="float32")
    return hashlib.sha256(everything(sr).tobytes()).hexdigest()[:16]


main(work)
