"""``geomedsr calibrate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from geomedsr.cli.output import print_json
from geomedsr.errors import ModelError, OutputError
from geomedsr.fitness import ABOUT, fitness, ranges_of
from geomedsr.models import available, load_model
from geomedsr.models.descriptor import Usual
from geomedsr.models.store import with_card, write_model
from geomedsr.training import load_recipe
from geomedsr.training.data import training_scenes, validation_scenes


def run(options: argparse.Namespace) -> None:
    """Measure a recipe's scenes, and write the ranges into the model's file."""
    target = _target(options)
    recipe = load_recipe(options.data[0], options.data[1:])
    model = load_model(options.model)
    card = model.descriptor
    if recipe.name != card.name:
        raise ModelError(f"the recipe {recipe.name} for the model {card.name}", "the model's own", "name that")
    measured = [fitness(scene, card.name) for scene in (*training_scenes(recipe), *validation_scenes(recipe))]
    usual = Usual(figures=ranges_of(measured), scenes=len(measured))
    write_model(target, with_card(model.path, card.model_copy(update={"usual": usual})))
    if options.json:
        print_json({"output": str(target), "usual": usual.model_dump(mode="json")})
        return
    print(f"{target}: what is usual, of {len(measured)} scenes")
    for name, ends in usual.figures.items():
        print(f"  {ABOUT[name].title}: {ABOUT[name].words_of(ends)}")


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
