"""A recipe's real pairs: found, opened, cut to what they share, matched."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace

from geomedsr.errors import RecipeError, SceneWarning
from geomedsr.geometry.grid import Window
from geomedsr.io import open_scene
from geomedsr.pairs.placement import Placement, placement, tell_unplaced
from geomedsr.scene.scene import Scene
from geomedsr.training.data import HELD, in_memory, kept_out, size_in_bytes, split, warn_of_both_sides
from geomedsr.training.pairs import ScenePair, matched
from geomedsr.training.patches import training_bands
from geomedsr.training.recipe import PairEntry, Recipe
from geomedsr.training.validation import SIDE

#: Endings of files that go with rasters of the same name.
_BESIDE = {".xml", ".ovr", ".msk", ".tfw", ".wld", ".prj", ".json", ".txt", ".md", ".csv"}

#: An entry, and the full paths of its fine and its coarse raster.
Found = tuple[PairEntry, tuple[str, str]]


def training_pairs(recipe: Recipe) -> list[ScenePair]:
    """The real pairs to draw from; small ones are read into memory.

    Raises:
        RecipeError: a folder holds no partners, or no line relates the values of two scenes.
        InputError: a scene cannot be read, or two make no pair.
    """
    return _pairs(recipe, split_pairs(recipe)[0], max(stage.patch for _, stage in recipe.stages))


def validation_pairs(recipe: Recipe) -> list[ScenePair]:
    """The real pairs kept out."""
    train, held = split_pairs(recipe)
    warn_of_both_sides([(e.window, p[0]) for e, p in train], [(e.window, p[0]) for e, p in held])
    return _pairs(recipe, held, SIDE)


def split_pairs(recipe: Recipe) -> tuple[list[Found], list[Found]]:
    """What is trained on and what is validated on, folders matched.

    Raises:
        RecipeError: folders hold no partners, or ``hold_out`` leaves nothing on one side.
    """
    train, held = (
        [(entry, paths) for entry in entries for paths in _partners(recipe.data.root, entry)]
        for entries in (recipe.data.pairs, recipe.data.validation_pairs)
    )
    if recipe.data.hold_out and train:
        kept = kept_out(recipe, sorted({fine for _, (fine, _) in train}))
        held += [pair for pair in train if pair[1][0] in kept]
        train = [pair for pair in train if pair[1][0] not in kept]
    return train, held


def trained_on(recipe: Recipe) -> list[str]:
    """The full paths of all that is trained on, scenes or both sides of pairs."""
    scenes, _ = split(recipe)
    guides = [entry.guide.path for entry, _ in scenes if entry.guide and entry.guide.path]
    found = [path for _, path in scenes] + list(dict.fromkeys(os.path.join(recipe.data.root, path) for path in guides))
    return found + [path for _, paths in split_pairs(recipe)[0] for path in paths]


def _partners(root: str, entry: PairEntry) -> list[tuple[str, str]]:
    """The two files of an entry, or those of its two folders that have the same name, without its ending."""
    fine, coarse = os.path.join(root, entry.fine), os.path.join(root, entry.coarse)
    if not (_is_folder(fine) and _is_folder(coarse)):
        return [(fine, coarse)]
    here, there = _by_stem(fine), _by_stem(coarse)
    common, single = sorted(here.keys() & there.keys()), sorted(here.keys() ^ there.keys())
    if not common:
        raise RecipeError(
            f"the folders {fine} and {coarse}, which share no file name", "a coarse raster for each fine one", "rename"
        )
    if single:
        names = ", ".join(single[:5]) + " …" * (len(single) > 5)
        warnings.warn(f"{len(single)} of {fine} or {coarse} without a partner: {names}", SceneWarning, stacklevel=4)
    return [(here[stem], there[stem]) for stem in common]


def _is_folder(path: str) -> bool:
    """Whether a path is a folder of rasters, not a raster that is a folder, as Zarr stores are."""
    return os.path.isdir(path) and not path.rstrip("/").endswith(".zarr")


def _by_stem(folder: str) -> dict[str, str]:
    """The files of a folder by name without ending, less hidden ones and those that go with others."""
    found: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        stem, ending = os.path.splitext(name)
        if name.startswith(".") or ending.lower() in _BESIDE:
            continue
        if stem in found:
            raise RecipeError(
                f"{os.path.basename(found[stem])} and {name} in {folder}", "each name once", "move one elsewhere"
            )
        found[stem] = os.path.join(folder, name)
    return found


def _pairs(recipe: Recipe, entries: Sequence[Found], side: int) -> list[ScenePair]:
    """Opened, cut to what they share, small ones read into memory, and matched for windows of ``side`` fine pixels.

    One line tells of all those that sizes alone place, before any is read.
    """
    placed = [_placed(recipe, entry, paths) for entry, paths in entries]
    tell_unplaced([place for _, _, place, _ in placed])
    pairs, left, part = [], HELD, recipe.generator
    for fine, coarse, place, area in placed:
        # What is shared is a scene of its own: its value scale comes from it alone.
        fine = replace(fine.crop(place.cover(area)), scale=None)
        fine = fine.with_physical_range(*recipe.values.range) if recipe.values.scale == "physical" else fine
        coarse = coarse.crop(area)
        left -= size_in_bytes(fine) + size_in_bytes(coarse)
        if left >= 0:
            fine, coarse = in_memory(fine), in_memory(coarse)
        pairs.append(matched(fine, coarse, part.scale, max(side // part.scale, 1)))
    return pairs


def _placed(recipe: Recipe, entry: PairEntry, paths: tuple[str, str]) -> tuple[Scene, Scene, Placement, Window]:
    """A pair's scenes, opened; where the one lies on the other; and the coarse pixels of the entry that both show."""
    part = recipe.generator
    fine, coarse = (
        training_bands(open_scene(path) if bands is None else open_scene(path).select(bands), part.channels, part.bands)
        for path, bands in zip(paths, (entry.fine_bands, entry.coarse_bands), strict=True)
    )
    if entry.window is not None:
        coarse.check(Window(*entry.window))
    place = placement(fine, coarse, part.scale)
    area = place.overlap if entry.window is None else place.overlap.common(Window(*entry.window))
    if min(area.width, area.height) < 1:
        raise RecipeError(
            f"the pair {fine.name} and {coarse.name} with a window outside their overlap",
            f"one that meets columns {place.overlap.col} to {place.overlap.stop[1]} and rows {place.overlap.row} "
            f"to {place.overlap.stop[0]} of the coarse raster",
            "correct it",
        )
    return fine, coarse, place, area
