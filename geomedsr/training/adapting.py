"""What all models that go on training on the scene itself have in common: how long, whether it helped, and the file."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geomedsr.devices import choose_device, keep_memory
from geomedsr.errors import ModelError, OutputError, SceneWarning
from geomedsr.inference.adapting import Adapting
from geomedsr.models import Model, load_model, save_model
from geomedsr.models.descriptor import Descriptor
from geomedsr.progress import bar
from geomedsr.scene.scene import Scene
from geomedsr.training.data import AnyPatches, batches
from geomedsr.training.describe import describe
from geomedsr.training.recipe import Recipe
from geomedsr.training.run import Run
from geomedsr.training.stages import OptimiserPart
from geomedsr.training.step import step

#: Steps that measure how long one takes, after a first one; and how many are made, at least and at most.
_TIMED, FEWEST, _MOST = 3, 10, 20000

_RATE = 2e-4

Scores = Callable[[Recipe, nn.Module, torch.device], dict[str, float]]


@dataclass(frozen=True)
class Lesson:
    """What a model learns of a scene.

    ``recipe`` is what is done in so many steps, which is told in the model's card, ``patches`` what is drawn from, and
    ``scores`` how a network does on what was kept out, ``psnr`` and ``psnr_bicubic``; empty where nothing was.
    ``saved`` is the network, and its card, that are written.
    """

    recipe: Callable[[int], Recipe]
    patches: Callable[[Recipe], AnyPatches]
    scores: Scores
    saved: Callable[[nn.Module, Descriptor], tuple[nn.Module, Descriptor]] = lambda network, card: (network, card)


def taught(
    model: Model, name: str, how: Adapting, facts: Mapping[str, Any], lesson: Callable[[], Lesson], device: str
) -> Model:
    """A model after its lesson on the scene ``name``, written to a file of its own; as it was, where nothing was gained
    on what was kept out.

    The same scene, seed, number of steps and threads give the same weights. ``facts`` tell the scene from others; the
    card holds them. ``lesson`` is made only where there is no model that was made in the same way before.

    Raises:
        OutputError: the model's file is there already, or cannot be written.
    """
    facts = {"of": model.sha256, "seed": how.seed, **facts, **how.asked}
    if (known := _known(how, facts)) is not None:
        return known
    plan = lesson()
    keep_memory()
    place = choose_device(device)
    recipe = plan.recipe(how.steps or FEWEST)
    if how.steps is None:
        recipe = plan.recipe(_fitting(recipe, plan, how.minutes, place))
    run = Run(recipe, place)
    before = plan.scores(recipe, run.average, place)
    _train(run, plan.patches(recipe), how.progress)
    metrics = plan.scores(recipe, run.average, place)
    metrics |= {"psnr_before": before["psnr"]} if before else {}
    if metrics and metrics["psnr"] <= metrics["psnr_before"]:
        warnings.warn(
            f"{recipe.steps} steps of adapting gained nothing on the part of {name} kept out "
            f"({metrics['psnr_before']:.2f} to {metrics['psnr']:.2f} dB): {model.descriptor.name} is used as it is",
            SceneWarning,
            stacklevel=4,
        )
        return model
    network, made = plan.saved(run.average, describe(recipe))
    training = {**made.training, "adapted": facts}
    save_model(network, made.model_copy(update={"training": training, "metrics": metrics}), how.path)
    return load_model(how.path)


def adapted_name(card: Descriptor) -> str:
    """The name of a model that has been trained on."""
    return f"{card.name.removesuffix('-adapted')}-adapted"


def adapted_version(card: Descriptor, steps: int) -> str:
    """Its version."""
    return f"{card.version.partition('+')[0]}+{steps}steps"


def adapted_description(card: Descriptor, steps: int, scene: str) -> str:
    """What it is."""
    return f"{card.name} {card.version}, trained on for {steps} steps on {scene}, for it alone."


def optimiser(steps: int) -> OptimiserPart:
    """How fast a model learns that is trained already."""
    return OptimiserPart(learning_rate=_RATE, final_learning_rate=1e-6, warmup_steps=min(20, steps // 4))


def fingerprint(*scenes: Scene) -> str:
    """What tells scenes from others, without reading them all: their grids, and their value scales."""
    scales = [(scene.values.low, scene.values.high) for scene in scenes]
    names = [scene.name for scene in scenes]
    facts: Sequence[object] = [*names, *(s.shape for s in scenes), [b.name for b in scenes[0].bands], str(scales)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _known(how: Adapting, facts: dict[str, Any]) -> Model | None:
    """A model that was made in the same way before.

    Raises:
        OutputError: there is another file, or its place cannot hold one.
    """
    path = Path(how.path)
    if not path.parent.is_dir():
        raise OutputError(f"the model {path} in a folder that does not exist", "one that does", "make it first")
    if not path.exists():
        return None
    try:
        found = load_model(path)
    except ModelError:
        found = None
    if found is not None and found.descriptor.training.get("adapted") == facts:
        return found
    if how.overwrite and path.is_file():
        return None
    raise OutputError(f"{path}, which exists", "no file, or a model adapted to this scene alike", "add --overwrite")


def _train(run: Run, patches: AnyPatches, progress: bool) -> None:
    run.begin_stage()
    stage = run.recipe.content
    with bar(stage.steps, unit="step", title="adapting", wanted=progress) as shown:
        for batch in batches(patches, stage.batch, 0, ahead=False):
            step(run, {k: part.to(run.device, memory_format=torch.channels_last) for k, part in batch.items()})
            shown.update(1)


def _fitting(recipe: Recipe, plan: Lesson, minutes: float, device: torch.device) -> int:
    """How many steps fit into a time, as a few of them tell; what these learn is forgotten."""
    run = Run(recipe, device)
    run.begin_stage()
    drawn = batches(plan.patches(recipe), recipe.content.batch, 0, ahead=False)
    began = 0.0
    for count, batch in enumerate(drawn):
        if count == 1:
            began = time.perf_counter()
        if count > _TIMED:
            break
        step(run, {k: part.to(device, memory_format=torch.channels_last) for k, part in batch.items()})
    each = (time.perf_counter() - began) / _TIMED
    return int(min(max(minutes * 60 / each, FEWEST), _MOST))
