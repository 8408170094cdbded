"""How good are intervals of scenes that others calibrated for? Each validation scene, with all others as units.

    python benchmarks/intervals.py DATA MODEL … [--more FILE …] [--plot FILE.png]

DATA is the folder of the recipes' scenes; MODEL a shipped model, or a model file, with a head of half-widths.
``--more`` names scenes or patients besides those of the recipe; those that were trained on are refused. Told are:
coverage of a nominal 0.9, of each quarter of the pixels by width, the median half-width in stored values, AURC over the
mean error, AURC if pixels were sorted by their errors themselves, and the rank correlation of half-width and error.
``--plot`` draws, for each model, coverage against what was asked (reliability), and the mean error of the pixels that
are left where those of the widest intervals are left out, over the mean error (sparsification).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from geomedsr.io import open_scene
from geomedsr.metrics.coverage import TOLD, Unit, calibrated, factors_of, scale_within
from geomedsr.metrics.interval_figures import spearman
from geomedsr.models import Model, load_model
from geomedsr.models.descriptor import NOMINALS
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training import load_recipe
from geomedsr.training.calibrate import check_untrained, replace_facts
from geomedsr.training.data import validation_scenes


def aurc(errors: Array, order: Array) -> float:
    """The area under the curve of mean error against the share of pixels in this order, over the mean error."""
    return float((np.cumsum(errors[order]) / np.arange(1, errors.size + 1)).mean() / errors.mean())


@dataclass(frozen=True)
class LeftOut:
    """A scene's errors, the half-widths for :data:`TOLD` that the others make, and its coverage at NOMINALS."""

    scene: str
    off: Array
    wide: Array
    reliability: tuple[float, ...]

    @classmethod
    def of(cls, scene: Scene, unit: Unit, others: Sequence[Unit], model: Model) -> LeftOut:
        """From its own unit, and those that calibrate."""
        scores, typical = calibrated(others)
        assert model.descriptor.interval is not None
        facts = replace_facts(model.descriptor.interval, scores=scores, typical=typical)
        scale, off = scale_within(unit, typical), np.concatenate(unit.errors.errors)

        def stored(nominal: float) -> Array:
            factors = factors_of(scale, facts, nominal, conservative=False)
            return np.concatenate([unit.errors.stored(band, factor) for band, factor in enumerate(factors)])

        shares = tuple(float((off <= stored(nominal)).mean()) for nominal in NOMINALS)
        return cls(scene.name, off, stored(TOLD), shares)

    @property
    def row(self) -> str:
        """A line of the table."""
        off, wide = self.off, self.wide
        order = np.argsort(wide, kind="stable")
        quarters = " ".join(f"{(off[part] <= wide[part]).mean():.2f}" for part in np.array_split(order, 4))
        numbers = f"{aurc(off, order):.2f} | {aurc(off, np.argsort(off)):.2f} | {spearman(wide, off):.2f}"
        return f"| {self.scene} | {(off <= wide).mean():.3f} | {quarters} | {np.median(wide):.0f} | {numbers} |"


def plot(found: dict[str, list[LeftOut]], path: str) -> None:
    """Reliability and sparsification, a row for each model."""
    figure = Figure(figsize=(9, 4 * len(found)), dpi=100, layout="constrained")
    for (name, scenes), (left, right) in zip(found.items(), figure.subplots(len(found), 2, squeeze=False), strict=True):
        left.plot((0.4, 1), (0.4, 1), "k--", lw=1)
        right.plot((0, 1), (1, 1), "k--", lw=1)
        for each in scenes:
            left.plot(NOMINALS, each.reliability, ".-", label=each.scene)
            curve = np.cumsum(each.off[np.argsort(each.wide, kind="stable")]) / np.arange(1, each.off.size + 1)
            kept = np.linspace(0.02, 1, 99)
            right.plot(1 - kept, curve[(kept * each.off.size).astype(int) - 1] / each.off.mean(), label=each.scene)
        left.set(title=f"{name}: reliability", xlabel="nominal share", ylabel="share that is covered")
        right.set(title="sparsification", xlabel="share of pixels left out, widest first", ylabel="error left, of all")
        right.set_ylim(0, 1.1)
        left.legend(fontsize=7)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--more", nargs="*", default=[])
    parser.add_argument("--plot", metavar="FILE.png")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, list[LeftOut]] = {}
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
            left = LeftOut.of(scene, unit, [other for j, other in enumerate(units) if j != i], model)
            found.setdefault(name, []).append(left)
            print(left.row, flush=True)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
