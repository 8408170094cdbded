"""Training: a content stage, then an adversarial one. This page is all of it; its parts are beside it.

A step's batch depends on the seed and the step's number alone, and a checkpoint holds all that a step changes, so a run
that was stopped goes on as if it had not been. Under torchrun every process runs this page with its share of each
batch; the first alone validates and writes.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn

from geomedsr.devices import keep_memory
from geomedsr.errors import DeviceError
from geomedsr.models import save_model
from geomedsr.scene.scene import Scene
from geomedsr.training.data import (
    batches,
    crossing,
    guides,
    prepare_ahead,
    stage_patches,
    training_scenes,
    validation_scenes,
)
from geomedsr.training.describe import describe
from geomedsr.training.distributed import process_group
from geomedsr.training.folder import alone, made, writing
from geomedsr.training.logger import Logger
from geomedsr.training.pair_data import trained_on, training_pairs, validation_pairs
from geomedsr.training.pairs import ScenePair
from geomedsr.training.patches import TARGET
from geomedsr.training.recipe import Recipe
from geomedsr.training.run import Run
from geomedsr.training.slice_validation import SliceValidation
from geomedsr.training.step import step
from geomedsr.training.validation import Validation

MODEL, BEST = "model.safetensors", "best.safetensors"


def train(recipe: Recipe, out: str | os.PathLike[str], quiet: bool = False) -> Path:
    """Run a recipe, or go on with it where ``out`` holds a part of it.

    Leaves in ``out``: ``model.safetensors`` (the averaged weights of both stages), whose path is returned;
    ``best.safetensors`` (those that validated best in the latest stage), ``log.csv`` and ``log.jsonl``,
    ``checkpoint.pt`` and the one before it, and pictures of the validation in ``validation/``.

    Raises:
        RecipeError: the recipe does not fit its data, ``out`` holds another recipe's run, or a loss is not finite.
        OutputError: ``out`` cannot be made or written.
        InputError: a scene cannot be read.
        ModelError: unknown architecture or options, or no weights of VGG-19 for a perceptual loss.
        DeviceError: no such device, its memory does not suffice, or another process of the run ended.
    """
    folder = made(Path(out))
    keep_memory()
    with (
        process_group(recipe.device) as (group, device),
        group.warning_once(),
        alone(folder) if group.first else nullcontext(),
        writing(folder),
    ):
        return _train(Run(recipe, device, group), folder, quiet)


def _train(run: Run, folder: Path, quiet: bool) -> Path:
    recipe, group = run.recipe, run.group
    if group.first:
        run.load(folder)
    run.agree()
    if run.step >= recipe.steps and (folder / MODEL).exists():
        return folder / MODEL
    scenes, pairs = training_scenes(recipe), training_pairs(recipe)
    drawn_from = {name: stage_patches(recipe, stage, scenes, i, pairs) for i, (name, stage) in enumerate(recipe.stages)}
    held = (validation_scenes(recipe), validation_pairs(recipe)) if group.first else ((), ())
    validation = _validation(run, *held)
    with Logger(folder, recipe, run.step, quiet) if group.first else nullcontext() as logger:
        while run.step < recipe.steps:
            run.begin_stage()
            stage, name = run.stage, run.stage_name
            patches = drawn_from[name]
            ahead = prepare_ahead(patches, run.device)
            for batch in batches(patches, stage.batch, run.stage_step, ahead, group, stage.accumulate):
                there = {k: part.to(run.device, memory_format=torch.channels_last) for k, part in batch.items()}
                rate = run.learning_rate
                try:
                    terms = step(run, there)
                except torch.cuda.OutOfMemoryError as error:
                    count = len(there[TARGET])
                    raise DeviceError(
                        f"too little memory on {run.device} for {count} patches of {stage.patch} × {stage.patch}",
                        "a step that fits",
                        f"raise {name}.accumulate, lower {name}.batch or {name}.patch, or set precision=bfloat16",
                    ) from error
                if logger is None:
                    continue
                logger.add(run, name, terms, rate, stage.batch)
                last = run.step == recipe.steps or run.stage_name != name
                if last or run.step % recipe.validate_every == 0:
                    scores = validation.scores(run.average)
                    logger.validated(scores, validation.bicubic)
                    if validation.is_best(name, scores, run.best):
                        _save(run, folder / BEST, {})
                    validation.picture(run.average, folder / "validation" / f"step-{run.step:07d}.png")
                if last or run.step % recipe.log_every == 0:
                    logger.write(run)
                if last or run.step % recipe.checkpoint_every == 0:
                    run.save(folder)
    return _finish(run, validation, folder / MODEL) if group.first else folder / MODEL


def _validation(run: Run, scenes: Sequence[Scene], pairs: Sequence[ScenePair]) -> Validation | SliceValidation:
    """What a recipe's scenes and pairs kept out are measured by."""
    recipe = run.recipe
    if recipe.slices is not None:
        return SliceValidation(recipe, scenes, crossing(recipe, held=True) if scenes else (), run.device)
    return Validation(recipe, scenes, run.device, pairs, guides(recipe, scenes, held=True) if scenes else ())


def _finish(run: Run, validation: Validation | SliceValidation, path: Path) -> Path:
    """Write the model: content weights, adversarial ones if there are any, and how both validated."""
    network = run.finished()
    scores = validation.scores(network)
    metrics = {f"{name}_bicubic": value for name, value in validation.bicubic.items()}
    if run.content is None:
        metrics |= scores
    else:
        metrics |= validation.scores(_content(run)) | {f"{name}_adversarial": v for name, v in scores.items()}
    _save(run, path, metrics, network)
    return path


def _save(run: Run, path: Path, metrics: dict[str, float], network: nn.Module | None = None) -> None:
    """The average as it is; in the adversarial stage, behind the content weights that it came from."""
    names = tuple(dict.fromkeys(Path(path).name for path in trained_on(run.recipe)))
    two = run.content is not None
    facts = {"metrics": metrics, "training_data": names, "adversarial": two}
    card = describe(run.recipe).model_copy(update=facts)
    save_model(_content(run) if two else network or run.average, card, path, run.average.state_dict() if two else None)


def _content(run: Run) -> nn.Module:
    """The network that the content stage ended with."""
    assert run.content is not None
    network = copy.deepcopy(run.average)
    network.load_state_dict(run.content)
    return network
