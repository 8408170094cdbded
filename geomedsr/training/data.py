"""A recipe's scenes, and the batches drawn from them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from geomedsr.adapters import open_scene
from geomedsr.errors import RecipeError
from geomedsr.grid import Window
from geomedsr.scene import Scene
from geomedsr.sources import ArraySource
from geomedsr.training.patches import Pair, Patches, continuous
from geomedsr.training.recipe import Recipe, SceneEntry, StagePart

#: Scenes are kept decoded, the smallest first, up to so many bytes in all.
_HELD = 2**30


def training_scenes(recipe: Recipe) -> list[Scene]:
    """The scenes to draw from; small ones are read into memory.

    Raises:
        RecipeError: a path matches nothing, or bands do not fit.
        InputError: a scene cannot be read.
    """
    scenes = _open(recipe, recipe.data.train)
    left = _HELD
    for index in sorted(range(len(scenes)), key=lambda i: _bytes(scenes[i])):
        left -= _bytes(scenes[index])
        if left >= 0:
            scenes[index] = _held(scenes[index])
    return scenes


def validation_scenes(recipe: Recipe) -> list[Scene]:
    """The scenes kept out, band for band as the network wants them."""
    return [continuous(scene, recipe.generator.channels) for scene in _open(recipe, recipe.data.validation)]


def stage_patches(recipe: Recipe, stage: StagePart, scenes: Sequence[Scene], order: int) -> Patches:
    """What a stage, the ``order``-th of its recipe, draws from: each draws its own sequence."""
    foreground = recipe.foreground
    return Patches(
        scenes,
        stage.patch,
        recipe.generator.scale,
        recipe.chain,
        channels=recipe.generator.channels,
        augment=recipe.augment,
        above=foreground.above if foreground else 0.0,
        share=foreground.share if foreground else 0.0,
        seed=2 * recipe.seed + order,
        length=stage.steps * stage.batch,
    )


def batches(patches: Patches, size: int, start: int, ahead: bool = True) -> Iterator[Pair]:
    """The batches from step ``start`` on, ``(B, C, H, W)`` fine and coarse.

    ``ahead``: each is prepared by another thread while those before are used. See :func:`prepare_ahead`.
    """

    def collect(step: int) -> Pair:
        fine, coarse = zip(*(patches[i] for i in range(step * size, (step + 1) * size)), strict=True)
        return torch.stack(fine), torch.stack(coarse)

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


def prepare_ahead(patches: Patches, device: torch.device) -> bool:
    """Whether another thread should prepare batches: where the step leaves the CPU free, or scenes are read from disk.

    On a CPU the step keeps every core busy. A thread beside it, though it works for 4 % of the time, then stalls the
    team of the others: the loop ran at 86 % of the bare step with it, at 96 % without.
    """
    return device.type != "cpu" or not all(isinstance(scene.source, ArraySource) for scene in patches.scenes)


def _open(recipe: Recipe, entries: Sequence[SceneEntry]) -> list[Scene]:
    return [_scene(recipe, entry, path) for entry in entries for path in _paths(recipe.data.root, entry.path)]


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
    if entry.window is not None:
        # A training window is a scene of its own: its value scale comes from it alone.
        scene = replace(scene.crop(Window(*entry.window)), scale=None)
    return scene.with_physical_range(*recipe.values.range) if recipe.values.scale == "physical" else scene


def _bytes(scene: Scene) -> int:
    frames, bands, height, width = scene.shape
    return frames * bands * height * width * (scene.dtype.itemsize + 1)


def _held(scene: Scene) -> Scene:
    frames, _, height, width = scene.shape
    everything = Window(0, 0, width, height)
    values = scene.source.read(slice(0, frames), everything)
    valid = scene.source.valid(slice(0, frames), everything)
    # The value scale is the lazy scene's: it is measured the same way however the scene is kept.
    return replace(scene, source=ArraySource(values, None if valid.all() else valid), scale=scene.values)
