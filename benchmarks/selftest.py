"""Is the self-test right? Where truth can be made, its gain beside the true one, for the models that make ×2.

    python benchmarks/selftest.py DATA

DATA is a folder with the scenes of the recipes satellite-x2, ct-x2 and mr-x2. Each scene is brought down by its model's
operator: that is the input. The true gain over bicubic is what the model gains on it, measured against the scene; the
self-test's is what it finds on the input alone. *Expected* is the self-test's less the mean difference that all other
scenes of the recipe, training and validation, had. Sharpness is the spectral power at 0.4–0.5 cycles a pixel beside
that at 0.05–0.1 (:func:`geomedsr.fitness.measures.edge`), of the scene and of the input. Validation scenes are told one
by one; last is the rank correlation, over all scenes, of the self-test's error with how much sharper the input is.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geomedsr import selftest
from geomedsr.errors import InputError
from geomedsr.fitness import fitness
from geomedsr.metrics.interval_figures import spearman
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import divisible
from geomedsr.metrics.selftest import ENOUGH
from geomedsr.models import load_model
from geomedsr.operators import get
from geomedsr.training import load_recipe
from geomedsr.training.data import training_scenes, validation_scenes

MODELS = ("satellite-x2", "ct-x2", "mr-x2")


@dataclass(frozen=True)
class Told:
    """A scene's gains in dB, true and by the self-test, and its sharpness and its input's in dB, NaN where unknown."""

    scene: str
    kept_out: bool
    true: float
    told: float
    sharp: tuple[float, float]

    @property
    def off(self) -> float:
        """By how much the self-test is off."""
        return self.told - self.true


def measured(root: str, name: str) -> Iterator[Told]:
    """The scenes of a model's recipe that are not too small."""
    model = load_model(name)
    card = model.descriptor
    operator = get(card.operator).reduction
    recipe = load_recipe(name, [f"data.root={root}"])
    for kept_out, scenes in ((False, training_scenes(recipe)), (True, validation_scenes(recipe))):
        for scene in scenes:
            fine = divisible(scene, card.scale)
            coarse = reduced(fine, card.scale, operator)
            try:
                true, told = (selftest(each, model).gain.value for each in (fine, coarse))
            except InputError as error:
                print(f"{scene.name}: {error}")
                continue
            first, second = (fitness(each).figures.get("edge", float("nan")) for each in (fine, coarse))
            yield Told(scene.name, kept_out, true, told, (first, second))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    root = parser.parse_args().data
    warnings.simplefilter("ignore")
    print("| model | scene | sharpness, dB | of the input | true gain, dB | self-test | expected |")
    print("|---|---|---|---|---|---|---|")
    notes = []
    for model in MODELS:
        rows = list(measured(root, model))
        left = []
        for row in (row for row in rows if row.kept_out):
            others = [other.off for other in rows if other is not row]
            expected = row.told - float(np.mean(others)) if len(others) >= ENOUGH else None
            left += [] if expected is None else [expected - row.true]
            last = "" if expected is None else f"{expected:+.2f}"
            gains = f"{row.true:+.2f} | {row.told:+.2f} | {last}"
            print(f"| {model} | {row.scene} | {row.sharp[0]:.1f} | {row.sharp[1]:.1f} | {gains} |", flush=True)
        off = np.array([row.off for row in rows if row.kept_out])
        notes.append(f"{model}: {off.mean():+.2f} dB on average, {np.abs(off).mean():.2f} without sign, n = {len(off)}")
        if left:
            notes.append(f"  expected: {np.mean(left):+.2f} dB on average, {np.abs(left).mean():.2f} without sign")
        known = [row for row in rows if np.isfinite(row.sharp).all()]
        sharper = np.array([row.sharp[1] - row.sharp[0] for row in known])
        rank = spearman(sharper, np.array([row.off for row in known]))
        notes.append(f"  its error and how much sharper the input is: rank correlation {rank:+.2f}, n = {len(known)}")
    print("\n".join(notes))


if __name__ == "__main__":
    main()
