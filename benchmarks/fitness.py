"""Are corrupted scenes told from clean ones? Warnings of fitness on scenes that set no range and no limit.

    python benchmarks/fitness.py DATA [MODEL …]

DATA is the folder of the recipes' scenes. Usual ranges are those of a recipe's training scenes alone. Clean: its
validation scenes and all other rasters, series and volumes of its domain in DATA that it was not trained on. Each of
them is then corrupted in six ways: enlarged ×2 by nearest neighbour and by cubic convolution, blurred (σ 1 pixel),
with white noise of 5 % of the value range, as JPEG of quality 30, and clipped at its 90th percentile.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.degradations.blur import Blur, Ellipse
from geomedsr.degradations.jpeg import JPEG
from geomedsr.errors import GeomedsrError
from geomedsr.fitness import Range, fitness, ranges_of
from geomedsr.geometry import Box, Window
from geomedsr.geometry.grid import Grid
from geomedsr.io import contents_of, open_scene
from geomedsr.scene.bands import continuous
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, ArraySource
from geomedsr.training import load_recipe
from geomedsr.training.data import split, training_scenes, validation_scenes

MODELS = ("satellite-x4", "ct-x2", "mr-x2")

#: What is not of the kind that models are made for.
_ODD = ("sentinel1", "umbra", "rat_brain", "_pan_15m")

#: The most rows and columns, bands, and frames of a scene that are corrupted.
_SIDE, _BANDS, _FRAMES = 1024, 4, 4


def clean(root: str, name: str) -> Iterator[Scene]:
    """Scenes of a model's domain that it was not trained on."""
    recipe = load_recipe(name, [f"data.root={root}"])
    yield from validation_scenes(recipe)
    known = {Path(path).resolve() for part in split(recipe) for _, path in part}
    folders = {"satellite": ("satellite", "sequences"), "CT": ("ct",), "MR": ("mr", "sequences")}[recipe.domain]
    paths = [path for folder in folders for path in sorted((Path(root) / folder).rglob("*"))]
    for path in paths:
        raster = path.suffix in (".tif", ".nii", ".gz")
        series = path.is_dir() and not any(child.is_dir() for child in path.iterdir())
        if not (raster or series) or path.resolve() in known or any(word in path.name for word in _ODD):
            continue
        if any(parent in known for parent in path.resolve().parents):
            continue
        try:
            keys = [None] if raster else [item.key for item in (contents_of(str(path)) or _None()).items]
            for key in keys:
                scene = open_scene(str(path), series=key)
                if (scene.domain or recipe.domain) == recipe.domain or path.suffix == ".gz":
                    yield replace(scene, domain=recipe.domain, name=f"{path.parent.name}/{path.name}")
        except GeomedsrError as error:
            print(f"left out: {path.name}: {error}")


class _None:
    items = ()


def part(scene: Scene) -> Scene:
    """Up to so many pixels, bands and frames of a scene, from its middle, in memory."""
    scene = continuous(scene)
    frames, _, height, width = scene.shape
    rows, cols = min(height, _SIDE), min(width, _SIDE)
    window = Window((width - cols) // 2, (height - rows) // 2, cols, rows)
    picks = sorted({int((i + 0.5) * frames / min(frames, _FRAMES)) for i in range(min(frames, _FRAMES))})
    values = np.concatenate([scene.source.read(Box.of(frame, window))[:, :_BANDS] for frame in picks])
    valid = np.concatenate([scene.source.valid(Box.of(frame, window))[:, :_BANDS] for frame in picks])
    return made(scene, values, valid)


def made(scene: Scene, values: Array, valid: Array) -> Scene:
    """A scene of such values, otherwise as another; its value scale is its own where that is of percentiles."""
    bands = scene.bands[: values.shape[1]]
    source = ArraySource(values, valid, tuple(band.nodata for band in bands))
    scale = scene.values if scene.values.origin == "physical" else None
    return Scene(source, Grid(values.shape[2:]), bands, name=scene.name, scale=scale, domain=scene.domain)


def corruptions(scene: Scene) -> dict[str, Callable[[Array], Array]]:
    """By name: values ``(frame, band, y, x)``, float64, in and out."""
    low, span = scene.values.bounds(slice(0, 1))
    rng = np.random.default_rng(0)

    def normal(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Array], Array]:
        return lambda v: change(torch.from_numpy((v - low) / span)).numpy() * span + low

    def inner(v: Array) -> Array:
        height, width = (n // 2 for n in v.shape[2:])
        return v[..., height // 2 : height // 2 + height, width // 2 : width // 2 + width]

    def cubic(v: Array) -> Array:
        return F.interpolate(torch.from_numpy(inner(v)), scale_factor=2, mode="bicubic").numpy()

    return {
        "×2 nearest": lambda v: inner(v).repeat(2, -1).repeat(2, -2),
        "×2 cubic": cubic,
        "blur": normal(lambda z: Blur().apply(z, Ellipse(1, 1, 0))),
        "noise": lambda v: v + rng.normal(0, 0.05, v.shape) * span,
        "JPEG": normal(lambda z: JPEG().apply(z, 30)),
        "clipped": lambda v: np.minimum(v, np.percentile(v, 90, (0, 2, 3), keepdims=True)),
    }


def corrupted(scene: Scene) -> Iterator[tuple[str, Scene]]:
    """A scene in memory, corrupted in each way, in its type."""
    values, valid = scene.source.read(Box.whole(scene.shape)), scene.source.valid(Box.whole(scene.shape))
    valid = valid.all() & np.ones(1, bool) if valid.all() else valid
    for name, change in corruptions(scene).items():
        changed = change(values.astype(np.float64))
        if values.dtype.kind in "iu":
            ends = np.iinfo(values.dtype)
            changed = np.clip(np.rint(changed), ends.min, ends.max)
        there = np.broadcast_to(valid, values.shape)
        if name.startswith("×2"):
            height, width = (n // 2 for n in there.shape[2:])
            there = there[..., height // 2 : height // 2 + height, width // 2 : width // 2 + width]
            there = there.repeat(2, -1).repeat(2, -2)
        yield name, made(scene, changed.astype(values.dtype), there)


def measured(root: str, name: str) -> tuple[dict[str, Range], list[tuple[str, str, str | None]]]:
    """The usual ranges, and scene, corruption and warning of each."""
    usual = ranges_of([fitness(s) for s in training_scenes(load_recipe(name, [f"data.root={root}"]))])
    rows = []
    for scene in clean(root, name):
        scene = part(scene)
        for how, each in [("clean", scene), *corrupted(scene)]:
            rows.append((scene.name, how, fitness(each, name, usual).warning))
    return usual, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="*", default=MODELS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[tuple[str, str, bool]] = Counter()
    for name in options.models:
        _, rows = measured(options.data, name)
        for scene, how, warning in rows:
            counts[name, how, warning is not None] += 1
            if (warning is None) != (how == "clean"):
                print(f"{'false' if how == 'clean' else 'missed'}: {how}, {scene}: {warning or ''}")
    ways = list(dict.fromkeys(how for _, how, _ in counts))
    print(f"| model | {' | '.join(ways)} |\n|{'---|' * (len(ways) + 1)}")
    for name in options.models:
        cells = (f"{counts[name, how, True]} of {counts[name, how, True] + counts[name, how, False]}" for how in ways)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
