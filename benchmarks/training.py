"""How near the training loop comes to the bare step, on the release recipes.

    python benchmarks/training.py [FOLDER] [RECIPE …]

Bare: forward, losses, backward and optimiser steps on one batch that is there already. Loop: the same with patches
drawn, degraded and moved, losses logged; validation and checkpoints left out. FOLDER holds the recipes' data; without
it the shipped sample stands in for every scene. Look at the load first: beside another process these figures mean
nothing.
"""

import csv
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from geomedsr.devices import keep_memory
from geomedsr.training import load_recipe, train
from geomedsr.training.data import batches, stage_patches, training_scenes
from geomedsr.training.recipe import Recipe
from geomedsr.training.recipe_file import shipped_recipes
from geomedsr.training.run import Run
from geomedsr.training.step import step

SAMPLE = Path(__file__).parents[1] / "examples/sentinel2_coast"
STEPS = {"content": 150, "adversarial": 24}


def recipe_of(name: str, root: str | None, stage: str) -> Recipe:
    words = [f"content.steps={STEPS['content'] if stage == 'content' else 0}", "validate_every=1000000"]
    words += ["checkpoint_every=1000000", f"log_every={STEPS[stage] // 3}", "data.validation=[]", "foreground=null"]
    words += ["adversarial=null"] if stage == "content" else [f"adversarial.steps={STEPS[stage]}"]
    if root is None:
        words += [f"data={SAMPLE}", "data.train=[{path: reference.tif, attribution: x}]"]
    else:
        words += [f"data={root}"]
    return load_recipe(name, words)


def bare(recipe: Recipe) -> float:
    """Images per second of the step alone."""
    run = Run(recipe, torch.device("cpu"))
    run.begin_stage()
    stage = run.stage
    drawn = next(batches(stage_patches(recipe, stage, training_scenes(recipe), 0), stage.batch, 0))
    batch = {name: part.to(memory_format=torch.channels_last) for name, part in drawn.items()}
    count = min(stage.steps, 60) // 3
    step(run, batch)
    started = time.perf_counter()
    for _ in range(count):
        step(run, batch)
    return count * stage.batch / (time.perf_counter() - started)


def looped(recipe: Recipe) -> float:
    """Images per second of the loop, by its own log: the last third of its steps."""
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, folder, quiet=True)
        with open(Path(folder) / "log.csv", newline="") as file:
            return float(list(csv.DictReader(file))[-1]["images_per_second"])


def main(root: str | None, names: list[str]) -> None:
    """Print a Markdown table."""
    keep_memory()
    print(f"{os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}\n")
    print("| recipe | stage | bare, images/s | loop, images/s | loop of bare |\n|---|---|---|---|---|")
    for name in names:
        for stage in STEPS:
            recipe = recipe_of(name, root, stage)
            first = bare(recipe)
            loop = looped(recipe)
            both = (first + bare(recipe)) / 2
            print(f"| {name} | {stage} | {both:.1f} | {loop:.1f} | {loop / both:.0%} |", flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    folder = words.pop(0) if words and os.path.isdir(words[0]) else None
    main(folder, words or [name for name in shipped_recipes() if name != "quick"])
