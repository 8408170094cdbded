"""Are corrupted scenes told from clean ones? Warnings of fitness on scenes that set neither a range nor a limit.

    python benchmarks/fitness.py DATA [RECIPE …] [--limits]

DATA is the folder of the recipes' scenes. Usual ranges are those of a recipe's training and validation scenes; limits
are those of geomedsr/fitness/figures.py, which ``--limits`` derives from the same scenes of all recipes. Two tables are
printed. *Kept out*: all other rasters, series and volumes of the recipe's domain in DATA, parts of rasters that the
recipe leaves over, and sample slices of pydicom. *Left out in turn*: each training or validation scene, with the ranges
of all others; the limits saw it. Each scene is taken as it is, and corrupted in six ways: enlarged ×2 by nearest
neighbour and by cubic convolution, blurred (σ 1 pixel), with white noise of 5 % of the value range, as JPEG of quality
30, and clipped at its 90th percentile.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import torch
import torch.nn.functional as F

from geomedsr.degradations.blur import Blur, Ellipse
from geomedsr.degradations.jpeg import JPEG
from geomedsr.errors import GeomedsrError
from geomedsr.fitness import Fitness, fitness, ranges_of
from geomedsr.geometry import Box, Window
from geomedsr.geometry.grid import Grid
from geomedsr.io import contents_of, open_scene
from geomedsr.scene.bands import continuous
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, ArraySource
from geomedsr.training import load_recipe
from geomedsr.training.data import split, training_scenes, validation_scenes
from geomedsr.training.recipe import Recipe

RECIPES = ("satellite-x2", "ct-x2", "mr-x2")

#: What is not of the kind that models are made for.
_ODD = ("sentinel1", "umbra")

#: What satellites' recipes leave over of rasters that they use.
_OVER = {
    "sentinel2_coast_20m.tif": Window(0, 500, 750, 150),
    "sentinel2_sahara_200m.tif": Window(0, 240, 549, 120),
    "sentinel2_b01_60m.tif": Window(0, 700, 1000, 300),
    "landsat8_robinson_pan_15m.tif": Window(540, 0, 234, 500),
}

#: Where pydicom's sample slices lie, and which are of use, by domain.
_SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
_SLICES = {
    "CT": ("693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "CT_small.dcm"),
    "MR": ("examples_overlay.dcm",),
}

#: The most rows and columns, bands, and frames of a scene that are corrupted.
_SIDE, _BANDS, _FRAMES = 768, 4, 4


def kept_out(root: str, recipe: Recipe) -> Iterator[Scene]:
    """Scenes of a recipe's domain of which it uses nothing, and parts of rasters that it leaves over."""
    known = {Path(path).resolve() for part in split(recipe) for _, path in part}
    folders = {"satellite": ("satellite", "sequences"), "CT": ("ct",), "MR": ("mr", "sequences")}[recipe.domain]
    paths = [path for folder in folders for path in sorted((Path(root) / folder).rglob("*"))]
    paths += [_SAMPLES / name for name in _SLICES.get(recipe.domain, ())]
    for path in paths:
        single = path.suffix in (".tif", ".nii", ".gz") or path.parent == _SAMPLES
        series = path.is_dir() and not any(child.is_dir() for child in path.iterdir())
        used = bool(known & {path.resolve(), *path.resolve().parents})
        over = _OVER.get(path.name) if recipe.domain == "satellite" else None
        if not (single or series) or (used and over is None) or any(word in path.name for word in _ODD):
            continue
        try:
            keys = [None] if single else [item.key for item in (contents_of(str(path)) or _None()).items]
            for key in keys:
                scene = open_scene(str(path), series=key)
                if (scene.domain or recipe.domain) == recipe.domain or path.suffix == ".gz":
                    scene = replace(scene, domain=recipe.domain, name=f"{path.parent.name}/{path.name}")
                    yield scene.crop(over) if used and over is not None else scene
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


#: Figures with the corruption that their limits are set by, and whether they rise with it.
SET_BY = {
    "repeats": ("×2 nearest", True),
    "blocks": ("JPEG", True),
    "noise": ("noise", True),
    "edge": ("blur", False),
    "fall": ("×2 cubic", False),
    "saturated": ("clipped", True),
}

#: A scene's domain and name, how it was corrupted, and its figures.
Row = tuple[str, str, str, dict[str, float]]


def measured(scenes: Iterable[Scene], domain: str) -> list[Row]:
    """The figures of scenes, as they are and corrupted."""
    rows = []
    for scene in map(part, scenes):
        for how, each in [("clean", scene), *corrupted(scene)]:
            rows.append((domain, scene.name, how, dict(fitness(each).figures)))
    return rows


def limits(rows: list[Row]) -> None:
    """Print half-way points between clean and corrupted scenes, of ratios in logarithms."""
    print("| figure | clean, its end | corrupted, its end | half-way |\n|---|---|---|---|")
    for name, (corruption, rises) in SET_BY.items():
        clean, worse = ([f[name] for *_, how, f in rows if how == w and name in f] for w in ("clean", corruption))
        one, other = (float(np.percentile(v, p if rises else 100 - p)) for v, p in ((clean, 95), (worse, 5)))
        ratio = name in ("repeats", "blocks", "noise")
        half = math.sqrt(one * other) if ratio else (one + other) / 2
        print(f"| {name} | {one:.2f} | {other:.2f} | {half:.2f} |")


def table(rows: list[Row], known: list[Row], *, in_turn: bool) -> None:
    """Print how many of some scenes are warned of, with the usual ranges of others."""
    counts: Counter[tuple[str, str, bool]] = Counter()
    for domain, name, how, figures in rows:
        others = [f for d, n, h, f in known if (d, h) == (domain, "clean") and not (in_turn and n == name)]
        usual = ranges_of([Fitness("", each) for each in others])
        warning = Fitness(name, figures, domain, usual).warning
        counts[domain, how, warning is not None] += 1
        if (warning is None) != (how == "clean"):
            print(f"{'false' if how == 'clean' else 'missed'}: {how}, {name}: {warning or ''}")
    ways = list(dict.fromkeys(how for _, _, how, _ in rows))
    print(f"\n| domain | {' | '.join(ways)} |\n|{'---|' * (len(ways) + 1)}")
    for domain in dict.fromkeys(domain for domain, *_ in rows):
        cells = (
            f"{counts[domain, how, True]} of {counts[domain, how, True] + counts[domain, how, False]}" for how in ways
        )
        print(f"| {domain} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--limits", action="store_true", help="print what sets the limits, and stop")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    known: list[Row] = []
    others: list[Row] = []
    for name in options.recipes:
        recipe = load_recipe(name, [f"data.root={options.data}"])
        known += measured([*training_scenes(recipe), *validation_scenes(recipe)], recipe.domain)
        if not options.limits:
            others += measured(kept_out(options.data, recipe), recipe.domain)
    if options.limits:
        limits(known)
        return
    print("Kept out:\n")
    table(others, known, in_turn=False)
    print("\nLeft out in turn:\n")
    table(known, known, in_turn=True)


if __name__ == "__main__":
    main()
