"""Is the self-test right? Where truth can be made, its gain beside the true one, for the models that make ×2.

    python benchmarks/selftest.py DATA

DATA is a folder with the validation scenes of the recipes satellite-x2, ct-x2 and mr-x2. Each scene is brought down by
its model's operator: that is the input. The true gain over bicubic is what the model gains on it, measured against the
scene; the self-test's is what it finds on the input alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from geomedsr import selftest
from geomedsr.errors import InputError
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import divisible
from geomedsr.models import load_model
from geomedsr.operators import get
from geomedsr.training import load_recipe
from geomedsr.training.data import validation_scenes

MODELS = ("satellite-x2", "ct-x2", "mr-x2")


def measured(root: str) -> Iterator[tuple[str, str, float, float]]:
    """Model, scene, true gain and self-test's, in dB."""
    for name in MODELS:
        model = load_model(name)
        card = model.descriptor
        operator = get(card.operator).reduction
        for scene in validation_scenes(load_recipe(name, [f"data.root={root}"])):
            fine = divisible(scene, card.scale)
            try:
                true, told = (selftest(each, model).gain.value for each in (fine, reduced(fine, card.scale, operator)))
            except InputError as error:
                print(f"{scene.name}: {error}")
                continue
            yield name, scene.name, true, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    rows = list(measured(parser.parse_args().data))
    print("| model | scene | true gain, dB | self-test, dB | difference |\n|---|---|---|---|---|")
    for model, scene, true, told in rows:
        print(f"| {model} | {scene} | {true:+.2f} | {told:+.2f} | {told - true:+.2f} |")
    for model in MODELS:
        away = np.array([told - true for name, _, true, told in rows if name == model])
        print(f"{model}: {away.mean():+.2f} dB on average, {np.abs(away).mean():.2f} dB without sign, n = {len(away)}")


if __name__ == "__main__":
    main()
