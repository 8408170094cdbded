"""Recipes that travel: what they draw from and validate on, cut down to what fits, as arrays in files of NumPy's.

A scene becomes a stack of tiles, a series some of its slices; each keeps the value scale of the whole, and as large a
share of it as all scenes can have, so that they are drawn from as often as before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from geomedsr.degradations import chain
from geomedsr.errors import GeomedsrError
from geomedsr.geometry.box import Box
from geomedsr.geometry.grid import Grid, Window
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource
from geomedsr.training import Recipe, load_recipe
from geomedsr.training.data import split, training_scenes, validation_scenes
from geomedsr_arrays import save

#: The side of a tile to draw from, unless patches are larger; of one to validate on; and how many of these.
SIDE, SEEN, MOST = 256, 192, 12

#: Stand-ins for the scenes of each domain, in a checkout.
SAMPLES = {
    "satellite": "examples/sentinel2_coast/reference.tif",
    "CT": "examples/ct_abdomen",
    "MR": "examples/mr_thigh",
}

#: A frame, and a window of it, None for the whole.
Place = tuple[slice, Window | None]


@dataclass(frozen=True)
class Piece:
    """A scene of a recipe: where it will lie, what is cut out of it, and whether it is validated on."""

    path: str
    scene: Scene
    side: int | None
    run: int
    held: bool

    def cut(self, share: float) -> Scene:
        """So large a share of it; of what is validated on the same, always."""
        places: list[Place] = [(slice(i, i + 1), None) for i in range(self.scene.shape[0])]
        if self.side is not None and len(places) == 1:
            places = [(slice(0, 1), window) for window in tiles(self.scene, self.side)]
        count = MOST if self.held else max(1, self.run, round(share * len(places)))
        if self.run > 1:  # neighbours stay neighbours
            first = max(0, (len(places) - count) // 2)
            return stacked(self.scene, places[first : first + count])
        return stacked(self.scene, spread(places, count))


def carried(names: Sequence[str], data: str | None, out: Path, most: float, root: Path) -> list[str]:
    """Write recipes and their arrays into ``out``, in at most so many bytes; the recipes' names.

    Raises:
        GeomedsrError: a recipe trains on real pairs, or not even a tile of each scene fits.
    """
    recipes = [prepared(name, data, root) for name in names]
    pieces: dict[str, Piece] = {}
    for recipe in recipes:
        entries = travelling(recipe, pieces)
        (out / "recipes").mkdir(parents=True, exist_ok=True)
        (out / "recipes" / f"{recipe.name}.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    share = 1.0
    for _ in range(8):
        size = sum(written(piece, share, out / "data") for piece in pieces.values())
        if size <= most:
            return [recipe.name for recipe in recipes]
        share *= 0.95 * most / size
    raise GeomedsrError(
        f"{size / 2**20:.1f} MiB of arrays, of {len(pieces)} scenes", f"{most / 2**20:.1f}", "raise --data-mib"
    )


def prepared(name: str, data: str | None, root: Path) -> Recipe:
    """A recipe on its data, or on the sample of its domain."""
    recipe = load_recipe(name)
    if recipe.data.pairs or recipe.data.validation_pairs:
        raise GeomedsrError(
            f"the recipe {name}, which trains on real pairs", "one that makes its pairs", "leave it out"
        )
    if data is None and recipe.data.root.partition("/")[0] == "data":
        sample = root / SAMPLES[recipe.domain]
        where, what = (sample.parent, sample.name) if sample.is_file() else (sample, ".")
        entry = f"{{path: {what}, attribution: see the sample's README}}"
        words = [f"data.root={where}", f"data.train=[{entry}]", f"data.validation=[{entry}]"]
        return load_recipe(name, [*words, f"content.patch={min(96, recipe.content.patch)}"])
    below = Path(recipe.data.root)
    if data is not None and below.parts[:1] == ("data",):
        return load_recipe(name, [f"data.root={Path(data, *below.parts[1:])}"])
    return recipe


def travelling(recipe: Recipe, pieces: dict[str, Piece]) -> dict[str, object]:
    """A recipe whose scenes are arrays, as plain values; what these are to hold goes into ``pieces``."""
    part, (train, held) = recipe.generator, split(recipe)
    side = max(SIDE, *(stage.patch for _, stage in recipe.stages))
    whole = chain(recipe.chain, part.scale).reduction.whole
    found: dict[str, list[dict[str, str]]] = {"train": [], "validation": []}
    sides = ("train", train, training_scenes(recipe)), ("validation", held, validation_scenes(recipe))
    for key, entries, scenes in sides:
        for (entry, path), scene in zip(entries, scenes, strict=True):
            if scene.shape[0] == 1 and whole:
                cut = None
            else:
                cut = SEEN // part.scale * part.scale if key == "validation" else side
            words = [
                Path(path).name.partition(".")[0],
                key,
                *(map(str, entry.window or ())),
                *map(str, entry.bands or ()),
            ]
            words += [str(cut), *(["n", str(part.neighbours)] if part.neighbours else [])]
            name = "-".join("".join(c for c in word if c.isalnum() or c in "_=") for word in words if word) + ".npz"
            if name in pieces and pieces[name].scene.files != scene.files:
                name = f"{len(pieces)}-{name}"
            run = 2 * part.neighbours + 1
            pieces.setdefault(name, Piece(name, scene, cut, run, key == "validation"))
            found[key].append({"path": name, "attribution": entry.attribution})
    content: dict[str, object] = recipe.model_dump(mode="json")
    content["data"] = {"root": "data", "licence": recipe.data.licence, **found}
    return content


def written(piece: Piece, share: float, folder: Path) -> int:
    """Write a piece; its bytes."""
    folder.mkdir(exist_ok=True)
    save(piece.cut(share), folder / piece.path)
    return (folder / piece.path).stat().st_size


def tiles(scene: Scene, side: int) -> list[Window]:
    """Square windows that cover a scene, those at its ends shifted inwards, where half or more is data."""
    height, width = scene.shape[2:]
    side = min(side, height, width)
    windows = [Window(col, row, side, side) for row in starts(height, side) for col in starts(width, side)]
    good = [window for window in windows if scene.source.valid(Box.of(0, window)).mean() >= 0.5]
    return good or windows[:1]


def starts(length: int, side: int) -> Iterator[int]:
    """Where pieces of a length begin that cover it, the last one ending with it."""
    yield from range(0, length - side, side)
    yield length - side


def spread(things: Sequence[Place], count: int) -> list[Place]:
    """So many of them, evenly."""
    count = min(count, len(things))
    return [things[(2 * i + 1) * len(things) // (2 * count)] for i in range(count)]


def stacked(scene: Scene, places: Sequence[Place]) -> Scene:
    """Some frames, or windows of them, as frames, on the value scale of the whole."""
    values, valid, scale = [], [], scene.values
    for frames, window in places:
        window = window or Window(0, 0, scene.shape[3], scene.shape[2])
        values.append(scene.source.read(Box.of(frames, window))[0])
        valid.append(scene.source.valid(Box.of(frames, window))[0])
    picks = [frames.start for frames, _ in places]
    if len(scale.low) > 1:
        scale = replace(scale, low=tuple(scale.low[i] for i in picks), high=tuple(scale.high[i] for i in picks))
    stack, mask = np.stack(values), np.stack(valid)
    tiled = any(window is not None for _, window in places)
    planes = () if tiled or not scene.grid.planes else tuple(scene.grid.planes[i] for i in picks)
    return replace(
        scene,
        source=ArraySource(stack, None if mask.all() else mask, tuple(band.nodata for band in scene.bands)),
        grid=Grid(stack.shape[2:], planes=planes),
        name=os.path.basename(scene.name),
        rescale=tuple(scene.rescale[i] for i in picks) if scene.rescale else (),
        scale=scale,
        headers=None,
    )
