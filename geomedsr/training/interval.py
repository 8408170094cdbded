"""Training of the head that makes half-widths: on the frozen content weights of a model, by quantile regression.

The head learns, at each pixel, a quantile of the absolute difference between the result, projected as in use, and the
truth. It learns logarithms, so that flat and rough places, dark and bright bands count alike.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from geomedsr import operators
from geomedsr.devices import choose_device, keep_memory
from geomedsr.errors import RecipeError
from geomedsr.io import open_scene
from geomedsr.losses import Sample
from geomedsr.models import load_model
from geomedsr.models.compact import Compact
from geomedsr.models.descriptor import IntervalFacts
from geomedsr.models.files import with_card, write_model
from geomedsr.models.half_width import HalfWidthHead
from geomedsr.models.ports import IMAGE
from geomedsr.models.store import new_head
from geomedsr.scene.context import middle
from geomedsr.scene.digest import digest
from geomedsr.training.data import batches, prepare_ahead, split, stage_patches, training_scenes
from geomedsr.training.folder import alone, made, writing
from geomedsr.training.pair_data import training_pairs
from geomedsr.training.patches import TARGET
from geomedsr.training.recipe import Recipe
from geomedsr.training.schedule import learning_rate
from geomedsr.training.stages import IntervalPart

#: What of the model with its head is written into the folder.
MODEL = "model.safetensors"

#: Added to absolute errors before their logarithm, on the network's value scale: less than a count of 8 bits.
_LEAST = 5e-4


def train_interval(
    recipe: Recipe, model: str | os.PathLike[str], out: str | os.PathLike[str], quiet: bool = False
) -> Path:
    """Train a head of half-widths for a model, as the recipe's section ``interval`` says; ``out`` gets the model file.

    The image's weights, and the rest of the card, stay the same. The head is not calibrated yet: ``geomedsr calibrate``
    does that. A run that was stopped starts over, with the same result.

    Raises:
        RecipeError: the recipe has no section ``interval``, or is not that of the model.
        ModelError: no such model, or one whose architecture has no place for a head.
        OutputError: ``out`` cannot be made or written.
        InputError: a scene cannot be read.
    """
    part = recipe.interval
    if part is None:
        raise RecipeError(f"the recipe {recipe.name} without a section `interval`", "one", "add `interval: {}`")
    given = load_model(model)
    if given.descriptor.adversarial and given.realism:
        given = given.with_realism(0)
    card = given.descriptor
    facts = (recipe.name, recipe.generator.architecture, recipe.generator.scale, recipe.operator)
    if facts != (card.name, card.architecture, card.scale, card.operator):
        raise RecipeError(
            f"the recipe {recipe.name} for a head of the model {card.name}", "the model's own", "name that"
        )
    folder = made(Path(out))
    keep_memory()
    with alone(folder), writing(folder):
        head = _trained(recipe, part, given.module, new_head(given, part.hidden), quiet)  # type: ignore[arg-type]
        path = folder / MODEL
        seen = tuple(digest(open_scene(path)) for path in dict.fromkeys(path for _, path in split(recipe)[0]))
        card = card.model_copy(update={"interval": IntervalFacts(hidden=part.hidden, trained_on=seen)})
        write_model(path, with_card(given.path, card, head.state_dict()))
    return path


def _trained(recipe: Recipe, part: IntervalPart, network: Compact, head: HalfWidthHead, quiet: bool) -> HalfWidthHead:
    device, operator = choose_device(recipe.device), operators.get(recipe.operator)
    torch.manual_seed(recipe.seed)
    head = type(head)(head.first.in_channels, head.last.out_channels, part.hidden).to(device)
    network = network.to(device).eval()
    stage = part.stage
    patches = stage_patches(recipe, stage, training_scenes(recipe), len(recipe.stages), training_pairs(recipe))
    optimiser = torch.optim.AdamW(head.parameters(), lr=part.optimiser.learning_rate, betas=part.optimiser.betas)
    total = 0.0
    for step, batch in enumerate(batches(patches, part.batch, 0, prepare_ahead(patches, device))):
        there = {name: each.to(device) for name, each in batch.items()}
        with torch.no_grad():
            features = network.features(there[IMAGE])
            detail = F.pixel_shuffle(network.tail(features), network.scale)
            coarse = middle(there[IMAGE], network.channels)
            image = Sample.projected(detail + network.skip(coarse), coarse, operator, network.scale)
            error = (image - there[TARGET]).abs()
        widths = F.pixel_shuffle(head(features), network.scale)
        loss = pinball(widths, error, part.level)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(part.optimiser, step, part.steps)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), part.optimiser.clip_norm)
        optimiser.step()
        total += loss.item()
        if not math.isfinite(total):
            raise RecipeError(f"a loss of {loss.item()} in step {step + 1} of the head", "numbers", "lower its rate")
        if (step + 1) % recipe.log_every == 0:
            if not quiet:
                covered = float((error <= widths).float().mean())
                print(
                    f"interval {step + 1}/{part.steps}: pinball {total / recipe.log_every:.4f}, {covered:.3f} covered",
                    file=sys.stderr,
                )
            total = 0.0
    return head.cpu()


def pinball(widths: torch.Tensor, error: torch.Tensor, level: float) -> torch.Tensor:
    """The mean pinball loss of the logarithms of widths as a quantile of those of absolute errors; same shapes."""
    away = (error + _LEAST).log() - (widths + _LEAST).log()
    return torch.maximum(level * away, (level - 1) * away).mean()
