"""A recipe's scenes, and the batches drawn from them."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from geomedsr.errors import RecipeError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.io import open_scene
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource
from geomedsr.training.distributed import ProcessGroup
from geomedsr.training.guides import Guide, beside, mixing
from geomedsr.training.pairs import PairPatches, ScenePair
from geomedsr.training.patches import Example, Patches, training_bands
from geomedsr.training.recipe import Recipe, SceneEntry
from geomedsr.training.slices import SlicePatches, across, factors_of
from geomedsr.training.stages import AdversarialPart, StagePart

#: Scenes are kept decoded, the smallest first, up to so many bytes in all.
HELD = 2**30

#: What a stage draws from.
AnyPatches = Patches | PairPatches | SlicePatches


def training_scenes(recipe: Recipe) -> list[Scene]:
    """The scenes to draw from; small ones are read into memory.

    Raises:
        RecipeError: a path matches nothing, or bands do not fit.
        InputError: a scene cannot be read.
    """
    scenes = [_scene(recipe, entry, path) for entry, path in split(recipe)[0]]
    if recipe.slices is not None:
        return _planes(scenes, crossing(recipe))
    if recipe.guide is not None:  # which are in memory
        return scenes
    left = HELD
    for index in sorted(range(len(scenes)), key=lambda i: size_in_bytes(scenes[i])):
        left -= size_in_bytes(scenes[index])
        if left >= 0:
            scenes[index] = in_memory(scenes[index])
    return scenes


def validation_scenes(recipe: Recipe) -> list[Scene]:
    """The scenes kept out, band for band as the network wants them."""
    train, held = split(recipe)
    warn_of_both_sides([(e.window, path) for e, path in train], [(e.window, path) for e, path in held])
    scenes, part = [_scene(recipe, entry, path) for entry, path in held], recipe.generator
    if recipe.slices is not None:
        return _planes(scenes, crossing(recipe, held=True))
    return scenes if recipe.guide else [training_bands(scene, part.channels, part.bands) for scene in scenes]


def crossing(recipe: Recipe, held: bool = False) -> list[bool]:
    """Of each of a recipe's scenes, to train on or kept out, whether planes across its slices are used."""
    return [entry.across for entry, _ in split(recipe)[held]]


def _planes(scenes: Sequence[Scene], crossing: Sequence[bool]) -> list[Scene]:
    """Scenes in memory, as planes across their slices where those are used."""
    held = [in_memory(scene) for scene in scenes]
    return [across(scene) if cut else scene for scene, cut in zip(held, crossing, strict=True)]


def guides(recipe: Recipe, scenes: Sequence[Scene], held: bool = False) -> list[Guide]:
    """Of each of a recipe's scenes, to train on or kept out, which of its bands are the guide; empty without guides.

    Raises:
        RecipeError: a guide mixed of a single band.
    """
    port = recipe.guide
    if port is None:
        return []
    found = []
    for scene, (entry, _) in zip(scenes, split(recipe)[held], strict=True):
        assert entry.guide is not None
        alone, count = entry.guide.path is None, scene.shape[1]
        own = count if alone else recipe.generator.channels
        if not alone and recipe.generator.channels == 1:
            own = count - len(_guide(recipe, entry).bands)
        first = 0 if alone else own
        found.append(mixing(scene, own, first) if entry.guide.mixed else Guide(own, first))
    return found


def stage_patches(
    recipe: Recipe, stage: StagePart, scenes: Sequence[Scene], order: int, pairs: Sequence[ScenePair] = ()
) -> AnyPatches:
    """What a stage, the ``order``-th of its recipe, draws from: each draws its own sequence."""
    foreground = recipe.foreground
    zoom = stage.zoom if isinstance(stage, AdversarialPart) else None
    common: dict[str, Any] = {
        "channels": recipe.generator.channels,
        "augment": recipe.augment if zoom is None else recipe.augment.model_copy(update={"zoom": zoom}),
        "above": foreground.above if foreground else 0.0,
        "share": foreground.share if foreground else 0.0,
        "seed": 2 * recipe.seed + order,
        "length": stage.steps * stage.batch,
    }
    if recipe.slices is not None:
        part = recipe.generator
        more = common | {"batch": stage.batch}
        del more["channels"]
        return SlicePatches(
            scenes, crossing(recipe), stage.patch, factors_of(part.heads), part.neighbours, recipe.slices, **more
        )
    if pairs:
        return PairPatches(pairs, stage.patch, **common)
    return Patches(
        scenes,
        stage.patch,
        recipe.generator.scale,
        recipe.chain,
        bands=recipe.generator.bands,
        neighbours=recipe.generator.neighbours,
        ports=recipe.generator.ports.inputs,
        guides=guides(recipe, scenes),
        **common,
    )


def batches(
    patches: AnyPatches,
    size: int,
    start: int,
    ahead: bool = True,
    group: ProcessGroup | None = None,
    pieces: int = 1,
) -> Iterator[Example]:
    """The batches of ``size`` from step ``start`` on, by name, ``(B, C, H, W)``.

    ``ahead``: each is prepared by another thread while those before are used. See :func:`prepare_ahead`. Where a
    Of a process ``group``: this process's shard of each, which is used in so many ``pieces``.
    """
    together = group or ProcessGroup()

    def collect(step: int) -> Example:
        picks = together.shard(range(step * size, (step + 1) * size), pieces)
        drawn = [patches[i] for i in picks]
        return {name: torch.stack([example[name] for example in drawn]) for name in drawn[0]}

    steps = range(start, len(patches) // size)
    if not ahead:
        yield from map(collect, steps)
        return
    with ThreadPoolExecutor(1) as worker:
        upcoming = [worker.submit(collect, step) for step in steps[:2]]
        for step in steps:
            batch = upcoming.pop(0).result()
            if step + 2 in steps:
                upcoming.append(worker.submit(collect, step + 2))
            yield batch


def prepare_ahead(patches: AnyPatches, device: torch.device) -> bool:
    """Whether another thread should prepare batches: where the step leaves the CPU free, or scenes are read from disk.

    On a CPU the step keeps every core busy. A thread beside it, though it works for 4 % of the time, then stalls the
    group of the other threads: the loop ran at 86 % of the bare step with it, at 95 % without.
    """
    return device.type != "cpu" or not all(isinstance(scene.source, ArraySource) for scene in patches.scenes)


def split(recipe: Recipe) -> tuple[list[tuple[SceneEntry, str]], list[tuple[SceneEntry, str]]]:
    """What is trained on and what is validated on: entries and full paths, patterns expanded.

    Raises:
        RecipeError: a pattern matches nothing, or ``hold_out`` leaves nothing on one side.
    """
    train, held = (
        [(entry, path) for entry in entries for path in _paths(recipe.data.root, entry.path)]
        for entries in (recipe.data.train, recipe.data.validation)
    )
    if recipe.data.hold_out and train:
        kept = kept_out(recipe, sorted({path for _, path in train}))
        held += [pair for pair in train if pair[1] in kept]
        train = [pair for pair in train if pair[1] not in kept]
    return train, held


def kept_out(recipe: Recipe, paths: list[str]) -> set[str]:
    """A random share of them, the same for the same seed."""
    share = recipe.data.hold_out
    count = max(1, round(share * len(paths)))
    if count >= len(paths):
        raise RecipeError(
            f"data.hold_out {share:g} of {len(paths)} scene{'s' * (len(paths) != 1)}",
            "scenes left to train on, and at least one held out",
            "name more scenes, or name those for data.validation",
        )
    return set(np.random.default_rng(recipe.seed).permutation(paths)[:count])


def warn_of_both_sides(
    train: Sequence[tuple[tuple[int, int, int, int] | None, str]],
    held: Sequence[tuple[tuple[int, int, int, int] | None, str]],
) -> None:
    """Warn of what is trained on and validated on: windows, None the whole, and paths."""
    for window, path in held:
        if any(path == other and _overlap(window, its) for its, other in train):
            name = os.path.basename(path)
            warnings.warn(f"{name} is trained on and validated on: figures flatter", SceneWarning, stacklevel=3)


def _overlap(one: tuple[int, int, int, int] | None, other: tuple[int, int, int, int] | None) -> bool:
    """Whether two windows ``(col, row, width, height)`` share a pixel; None is the whole."""
    if one is None or other is None:
        return True
    return all(one[i] < other[i] + other[i + 2] and other[i] < one[i] + one[i + 2] for i in (0, 1))


def _paths(root: str, path: str) -> list[str]:
    full = os.path.join(root, path)
    if not glob.has_magic(path) or os.path.exists(full):
        return [full]
    found = sorted(glob.glob(full, recursive=True))
    if not found:
        raise RecipeError(f"{full}, which matches nothing", "scenes", "correct data.root or the path")
    return found


def _scene(recipe: Recipe, entry: SceneEntry, path: str) -> Scene:
    scene = open_scene(path)
    if entry.bands is not None:
        scene = scene.select(entry.bands)
    if entry.guide is not None:
        return _with_guide(recipe, entry, scene)
    if entry.window is not None:
        # A training window is a scene of its own: its value scale comes from it alone.
        scene = replace(scene.crop(Window(*entry.window)), scale=None)
    return scene.with_physical_range(*recipe.values.range) if recipe.values.scale == "physical" else scene


def _with_guide(recipe: Recipe, entry: SceneEntry, scene: Scene) -> Scene:
    """A scene's bands and behind them its guide's, in memory."""
    part, window = recipe.generator, Window(*entry.window) if entry.window else None
    assert entry.guide is not None
    image = training_bands(scene, part.channels, part.bands)
    if entry.guide.path is None:
        return in_memory(image if window is None else replace(image.crop(window), scale=None))
    return beside(image, _guide(recipe, entry), part.scale, window)


def _guide(recipe: Recipe, entry: SceneEntry) -> Scene:
    """An entry's guide, its bands in the order of the network's."""
    assert recipe.guide is not None
    assert entry.guide is not None
    assert entry.guide.path is not None
    found = open_scene(os.path.join(recipe.data.root, entry.guide.path))
    found = found if entry.guide.bands is None else found.select(entry.guide.bands)
    wanted = len(recipe.guide.bands)
    if not entry.guide.mixed and len(found.bands) != wanted:
        raise RecipeError(
            f"{found.name} of {len(found.bands)} band{'s' * (len(found.bands) != 1)} as a guide",
            f"{wanted}: {', '.join(recipe.guide.bands)}",
            "choose them with `bands`, or say mixed: true",
        )
    return found


def size_in_bytes(scene: Scene) -> int:
    """What a scene's values and validity take, decoded."""
    frames, bands, height, width = scene.shape
    return frames * bands * height * width * (scene.dtype.itemsize + 1)


def in_memory(scene: Scene) -> Scene:
    """The scene, read."""
    everything = Box.whole(scene.shape)
    values, valid = scene.source.read(everything), scene.source.valid(everything)
    # The value scale is the lazy scene's: it is measured the same way however the scene is kept.
    return replace(scene, source=ArraySource(values, None if valid.all() else valid), scale=scene.values)
