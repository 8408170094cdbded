"""``geomedsr calibrate``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from geomedsr.cli.output import print_json
from geomedsr.errors import InputError, ModelError, OutputError
from geomedsr.fitness import ABOUT
from geomedsr.io import open_scene
from geomedsr.metrics.coverage import TOLD
from geomedsr.models import Descriptor, available, load_model
from geomedsr.models.files import with_card, write_model
from geomedsr.training import load_recipe
from geomedsr.training.calibrate import Calibration, of_recipe, of_scenes
from geomedsr.training.recipe_file import shipped_recipes


def run(options: argparse.Namespace) -> None:
    """Measure scenes, and write what they tell into the model's file."""
    target = _target(options)
    model = load_model(options.model)
    if model.descriptor.adversarial and model.realism:
        model = model.with_realism(0)
    overrides = [word for word in options.data if re.match(r"[a-z_]+(\.\w+)*=", word) and not Path(word).exists()]
    words = [word for word in options.data if word not in overrides]
    recipes = [w for w in words if w.endswith((".yaml", ".yml")) or (w in shipped_recipes() and not Path(w).exists())]
    scenes = [open_scene(word) for word in words if word not in recipes]
    if len(recipes) > 1 or (overrides and not recipes):
        raise InputError(
            f"{len(recipes)} recipes with {len(overrides)} overrides", "the model's recipe, scenes, or both", "see help"
        )
    if recipes:
        recipe = load_recipe(recipes[0], overrides)
        if recipe.name != model.descriptor.name:
            raise ModelError(
                f"the recipe {recipe.name} for the model {model.descriptor.name}", "the model's own", "name that"
            )
        found = of_recipe(model, recipe, scenes)
    else:
        found = of_scenes(model, scenes, options.kind or "")
    write_model(target, with_card(model.path, found.card))
    if options.json:
        card = found.card.model_dump(mode="json")
        parts = {name: card.get(name) for name in ("usual", "interval")}
        print_json({"output": str(target), **parts, "left_out_coverage": dict(found.coverage)})
        return
    print(f"{target}: written")
    _tell_usual(found.card)
    _tell_interval(found)


def _tell_usual(card: Descriptor) -> None:
    if card.usual.figures:
        print(f"usual, of {card.usual.scenes} scenes:")
    for name, ends in card.usual.figures.items():
        print(f"  {ABOUT[name].title}: {ABOUT[name].words_of(ends)}")


def _tell_interval(found: Calibration) -> None:
    facts = found.card.interval
    if facts is None or not found.coverage:
        return
    n = len(facts.scores)
    print(f"interval, of {n} {facts.kind}; each one's coverage at {TOLD:g} if the others alone had calibrated:")
    for name, covered in found.coverage:
        print(f"  {name}: {covered:.3f}")
    print(
        f"with --interval-conservative, {n} of {n + 1} new {facts.kind} reach the nominal coverage, if they are alike"
    )


def _target(options: argparse.Namespace) -> Path:
    if options.out is not None:
        target = Path(options.out)
        if target.exists() and not options.overwrite:
            raise OutputError(f"{target}, which exists", "a new name", "add --overwrite to replace it")
        return target
    if options.model in available():
        raise OutputError(
            f"no --out for the shipped model {options.model}", "a file to write", "add --out FILE.safetensors"
        )
    return Path(options.model)
