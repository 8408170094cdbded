"""How good are intervals of scenes that others calibrated for? Each validation scene, with all others as units.

    python benchmarks/intervals.py DATA MODEL … [--more FILE …]

DATA is the folder of the recipes' scenes; MODEL a shipped model, or a model file, with a head of half-widths.
``--more`` names scenes or patients besides those of the recipe; those that were trained on are refused. Told are:
coverage of a nominal 0.9, of each quarter of the pixels by width, the median half-width in stored values, AURC over the
mean error, AURC if pixels were sorted by their errors themselves, and the rank correlation of half-width and error.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

import numpy as np

from geomedsr.io import open_scene
from geomedsr.metrics.coverage import TOLD, Unit, calibrated, factors_of, scale_within
from geomedsr.metrics.interval_figures import spearman
from geomedsr.models import Model, load_model
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training import load_recipe
from geomedsr.training.calibrate import check_untrained, replace_facts
from geomedsr.training.data import validation_scenes


def aurc(errors: Array, order: Array) -> float:
    """The area under the curve of mean error against the share of pixels in this order, over the mean error."""
    return float((np.cumsum(errors[order]) / np.arange(1, errors.size + 1)).mean() / errors.mean())


def row(scene: Scene, unit: Unit, others: Sequence[Unit], model: Model) -> str:
    """A line of the table."""
    scores, typical = calibrated(others)
    assert model.descriptor.interval is not None
    facts = replace_facts(model.descriptor.interval, scores=scores, typical=typical)
    factors = factors_of(scale_within(unit, typical), facts, TOLD, conservative=False)
    off = np.concatenate(unit.errors.errors)
    wide = np.concatenate([unit.errors.stored(band, factor) for band, factor in enumerate(factors)])
    order = np.argsort(wide, kind="stable")
    quarters = " ".join(f"{(off[part] <= wide[part]).mean():.2f}" for part in np.array_split(order, 4))
    numbers = f"{aurc(off, order):.2f} | {aurc(off, np.argsort(off)):.2f} | {spearman(wide, off):.2f}"
    return f"| {scene.name} | {(off <= wide).mean():.3f} | {quarters} | {np.median(wide):.0f} | {numbers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--more", nargs="*", default=[])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.models:
        model = load_model(name)
        model = model.with_realism(0) if model.realism else model
        more = [open_scene(path) for path in options.more]
        assert model.descriptor.interval is not None
        check_untrained(more, model.descriptor.interval)
        scenes = [*validation_scenes(load_recipe(model.descriptor.name, [f"data.root={options.data}"])), *more]
        units = [Unit.of(scene, model) for scene in scenes]
        print(f"\n{name}: {len(units)} units\n")
        print("| scene | coverage | quarters by width | median half-width | AURC | AURC by error | Spearman |")
        print("|---|---|---|---|---|---|---|")
        for i, (scene, unit) in enumerate(zip(scenes, units, strict=True)):
            print(row(scene, unit, [other for j, other in enumerate(units) if j != i], model), flush=True)


if __name__ == "__main__":
    main()
