"""``geomedsr evaluate``."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from geomedsr.cli.output import print_json
from geomedsr.errors import InputError, OutputError
from geomedsr.io import open_scene
from geomedsr.io.files import page_target, write_page
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.interval_figures import IntervalFigures, interval_figures, markdown
from geomedsr.metrics.methods import USUAL
from geomedsr.models import Model, load_model
from geomedsr.scene.scene import Scene


def run(options: argparse.Namespace) -> None:
    """Measure a model on references."""
    for path in (options.csv, options.markdown):
        if path is not None and not os.access(os.path.dirname(path) or ".", os.W_OK):
            raise OutputError(f"{path}, in a folder that cannot be written", "one that can", "choose another")
    page = None if options.html is None else page_target(options.html, (".html",), options.overwrite)
    model = load_model(options.model)
    reference = None
    if options.reference is not None:
        bands = options.reference_bands or options.bands
        reference = _chosen(open_scene(options.reference, force=True, nodata=options.nodata), bands)
    elif options.reference_bands is not None:
        raise InputError("--reference-bands without --reference", "both", "leave it out, or name the reference")
    scenes = [_chosen(scene, options.bands) for scene in _scenes(options.data, options.nodata)]
    intervals: list[IntervalFigures] = []
    if options.interval is not None:
        if reference is not None:
            raise InputError("--interval with --reference", "references that are degraded", "leave one of them out")
        intervals = interval_figures(model, scenes, options.interval)
    result = evaluate(
        model,
        scenes,
        reference=reference,
        realism=options.realism or (),
        against=options.against or USUAL,
        operator=options.operator,
        value_range=tuple(options.range) if options.range else None,
        above=options.above,
        vgg_file=options.vgg,
    )
    words = result.markdown() + _table(model, intervals)
    for path, text in ((options.csv, result.csv()), (options.markdown, words)):
        if path is not None:
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                raise OutputError(
                    f"{path} ({error.strerror})", "a file that can be written", "choose another"
                ) from error
    if page is not None:
        from geomedsr.viewing.evaluation import evaluation_page

        write_page(page, evaluation_page(result, model, intervals).encode())
    if options.json:
        print_json(result.json() | ({"intervals": [each.json() for each in intervals]} if intervals else {}))
    elif not options.quiet:
        print(words, end="")


def _table(model: Model, intervals: Sequence[IntervalFigures]) -> str:
    """The table of intervals, below that of methods."""
    facts = model.descriptor.interval
    return "" if facts is None or not intervals else "\n" + markdown(intervals, len(facts.scores), facts.kind)


def _chosen(scene: Scene, bands: list[str] | None) -> Scene:
    return scene if bands is None else scene.select(bands)


def _scenes(words: list[str], nodata: str | None) -> list[Scene]:
    """Paths, and recipes' validation scenes with their overrides."""
    from geomedsr.training import load_recipe
    from geomedsr.training.data import validation_scenes
    from geomedsr.training.recipe_file import shipped_recipes

    overrides = [word for word in words if re.match(r"[a-z_]+(\.\w+)*=", word) and not Path(word).exists()]
    recipes = [w for w in words if w.endswith((".yaml", ".yml")) or (w in shipped_recipes() and not Path(w).exists())]
    if overrides and not recipes:
        raise InputError(f"{overrides[0]} without a recipe", "scenes, or a recipe and its overrides", "name one")
    scenes: list[Scene] = []
    for path in (word for word in words if word not in overrides):
        if path in recipes:
            scenes += validation_scenes(load_recipe(path, overrides))
        else:
            scenes.append(open_scene(path, force=True, nodata=nodata))
    if not scenes:
        raise InputError("no reference", "rasters, series, volumes, or a recipe with validation scenes", "name some")
    return scenes
