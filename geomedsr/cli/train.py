"""``geomedsr train``."""

from __future__ import annotations

import argparse

from geomedsr.training import load_recipe, train
from geomedsr.training.distributed import place


def run(options: argparse.Namespace) -> None:
    """Make a model from a recipe, or the head of half-widths of one that is there."""
    recipe = load_recipe(options.config, options.overrides)
    out = options.out or f"runs/{recipe.name}"
    if options.interval_of is not None:
        from geomedsr.training.interval import train_interval

        path = train_interval(recipe, options.interval_of, out, quiet=options.quiet)
    else:
        path = train(recipe, out, quiet=options.quiet)
    if not options.quiet and place()[0] == 0:
        print(path)
