"""Training: a content stage, then an adversarial one. This page is all of it; its parts are beside it.

A step's batch depends on the seed and the step's number alone, and a checkpoint holds all that a step changes, so a run
that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from geomedsr.devices import choose_device, keep_memory
from geomedsr.errors import DeviceError, OutputError
from geomedsr.models import save_model
from geomedsr.training.data import batches, prepare_ahead, stage_patches, training_scenes, validation_scenes
from geomedsr.training.describe import describe
from geomedsr.training.journal import Journal
from geomedsr.training.recipe import Recipe
from geomedsr.training.run import Run
from geomedsr.training.step import step
from geomedsr.training.validation import Validation

MODEL, BEST = "model.safetensors", "best.safetensors"


def train(recipe: Recipe, out: str | os.PathLike[str], quiet: bool = False) -> Path:
    """Run a recipe, or go on with it where ``out`` holds a part of it.

    Leaves in ``out``: ``model.safetensors`` (the averaged weights of both stages) and its path is returned;
    ``best.safetensors`` (those that validated best so far), ``log.csv`` and ``log.jsonl``, ``checkpoint.pt`` and the
    one before it, and pictures of the validation in ``validation/``.

    Raises:
        RecipeError: the recipe does not fit its data, ``out`` holds another recipe's run, or a loss is not finite.
        OutputError: ``out`` cannot be made or written.
        InputError: a scene cannot be read.
        ModelError: unknown architecture or options, or no weights of VGG-19 for a perceptual loss.
        DeviceError: no such device, or its memory does not suffice.
    """
    folder = _made(Path(out))
    keep_memory()
    run = Run(recipe, choose_device(recipe.device))
    run.load(folder)
    if run.step >= recipe.steps and (folder / MODEL).exists():
        return folder / MODEL
    scenes = training_scenes(recipe)
    drawn_from = {name: stage_patches(recipe, stage, scenes, i) for i, (name, stage) in enumerate(recipe.stages)}
    validation = Validation(recipe, validation_scenes(recipe), run.device)
    with Journal(folder, recipe, run.step, quiet) as journal:
        while run.step < recipe.steps:
            run.begin_stage()
            stage, name = run.stage, run.stage_name
            patches = drawn_from[name]
            for batch in batches(patches, stage.batch, run.stage_step, prepare_ahead(patches, run.device)):
                fine, coarse = (part.to(run.device, memory_format=torch.channels_last) for part in batch)
                rate = run.learning_rate
                try:
                    terms = step(run, fine, coarse)
                except torch.OutOfMemoryError as error:
                    raise DeviceError(
                        f"too little memory on {run.device} for {stage.batch} patches of {stage.patch} × {stage.patch}",
                        "a step that fits",
                        f"raise {name}.accumulate, lower {name}.batch or {name}.patch, or set precision=bfloat16",
                    ) from error
                journal.add(run.step, name, terms, rate, len(fine))
                last = run.step == recipe.steps or run.stage_name != name
                if last or run.step % recipe.validate_every == 0:
                    scores = validation.scores(run.average)
                    journal.validated(scores, validation.bicubic)
                    if validation.is_best(name, scores, run.best):
                        save_model(
                            run.average, describe(recipe).model_copy(update={"adversarial": False}), folder / BEST
                        )
                    validation.picture(run.average, folder / "validation" / f"step-{run.step:07d}.png")
                if last or run.step % recipe.log_every == 0:
                    journal.write()
                if last or run.step % recipe.checkpoint_every == 0:
                    run.save(folder)
    return _finish(run, validation, folder / MODEL)


def _finish(run: Run, validation: Validation, path: Path) -> Path:
    """Write the model: content weights, adversarial ones if there are any, and how both validated."""
    metrics: dict[str, float] = {}
    adversarial = None
    if run.content is not None:
        metrics = {f"{name}_adversarial": value for name, value in validation.scores(run.average).items()}
        adversarial = {key: value.clone() for key, value in run.average.state_dict().items()}
        run.average.load_state_dict(run.content)
    metrics |= validation.scores(run.average) | {f"{name}_bicubic": value for name, value in validation.bicubic.items()}
    save_model(run.average, describe(run.recipe).model_copy(update={"metrics": metrics}), path, adversarial)
    return path


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {folder} ({error.strerror})", "one that can be made", "choose another"
        ) from error
    return folder
