"""``geomedsr train``."""

from __future__ import annotations

import argparse

from geomedsr.training import load_recipe, train
from geomedsr.training.distributed import place


def run(options: argparse.Namespace) -> None:
    """Make a model from a recipe."""
    recipe = load_recipe(options.config, options.overrides)
    path = train(recipe, options.out or f"runs/{recipe.name}", quiet=options.quiet)
    if not options.quiet and place()[0] == 0:
        print(path)
