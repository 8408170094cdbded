"""A model that goes on training on the scene that it is to sharpen, by Wald's protocol.

Image and guide are brought down by the model's factor, and the image itself is what the network is to make of them
(Wald, Ranchin and Mangolini 1997, Photogrammetric Engineering & Remote Sensing 63), as in training. A part of the scene
is kept out, and tells whether anything was gained there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from geomedsr.degradations.block_mean import BlockMean
from geomedsr.errors import InputError, ModelError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.inference.adapting import Adapting
from geomedsr.losses import Consistency, LogMSE
from geomedsr.models import Model
from geomedsr.models.descriptor import Descriptor
from geomedsr.scene.bands import continuous
from geomedsr.scene.sampling import spread_windows
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Scene
from geomedsr.training.adapting import (
    Lesson,
    adapted_description,
    adapted_name,
    adapted_version,
    fingerprint,
    optimiser,
    taught,
)
from geomedsr.training.augment import Augment
from geomedsr.training.guides import Guide, beside
from geomedsr.training.patches import Patches
from geomedsr.training.recipe import DataPart, GeneratorPart, GuideEntry, Recipe, SceneEntry
from geomedsr.training.stages import ContentPart
from geomedsr.training.validation import Validation

#: Coarse pixels that are trained on, at most, in blocks of this side: about 60 MiB with ten bands.
_PIXELS, _SIDE = 1 << 20, 256

#: One block of so many is kept out; of a scene of one block, that share of its rows or columns.
_KEPT_OUT = 5

#: The sides of patches, in coarse pixels, and how many make a step.
_PATCH, _LEAST, _BATCH = 64, 16, 8


@dataclass(frozen=True)
class _Parts:
    """Image and guide, as one scene each, of what is trained on and of what is kept out."""

    trained: tuple[Scene, ...]
    held: tuple[Scene, ...]
    own: int


def adapted(model: Model, image: Scene, guide: Scene, how: Adapting, device: str = "auto") -> Model:
    """A model after more training on an image and its guide, written to a file of its own; as it was, where nothing
    was gained on what was kept out.

    The same scene, seed, number of steps and threads give the same weights. The file's card says how many steps were
    made, of which model, and how both did on what was kept out.

    Args:
        model: one with a guide, loaded from a file.
        image: the scene to be sharpened, of one frame.
        guide: its guide as the model sees it, on the result's grid.
        how: how long, with which seed, and where the model goes.
        device: where it trains.

    Raises:
        ModelError: a model of no file, such as a regression, or one without one guide.
        InputError: a scene of several frames, or with too few pixels of data.
        OutputError: the model's file is there already, or cannot be written.
    """
    card = model.descriptor
    if not os.path.isfile(model.path) or len(card.ports.inputs) != 1 or not card.ports.inputs[0].bands:
        raise ModelError(
            f"the model {card.name}, which is not trained",
            "one that is, with a guide of named bands",
            "leave --adapt out",
        )
    if image.shape[0] != 1:
        raise InputError(f"{image.name} of {image.shape[0]} frames, to adapt a model to", "one", "sharpen one date")
    image = continuous(image)

    def lesson() -> Lesson:
        parts = _parts(image, guide, card)
        return Lesson(
            lambda steps: _recipe(model, image, guide, parts, how.seed, steps),
            lambda recipe: _patches(recipe, parts),
            lambda recipe, network, place: _scores(recipe, parts, place, network),
        )

    return taught(model, image.name, how, {"scene": fingerprint(image, guide)}, lesson, device)


def _parts(image: Scene, guide: Scene, card: Descriptor) -> _Parts:
    """Blocks spread over a scene.

    Raises:
        InputError: hardly any of them holds data.
    """
    _, own, height, width = image.shape
    windows = spread_windows(height, width, _PIXELS, _SIDE)
    windows = [window for window in windows if _share(image, window) > 0.5]
    if len(windows) == 1:
        held, rest = _strips(image, windows[0], card.scale)
    else:
        whole = [window for window in windows if _share(image, window) == 1]
        held = whole[_KEPT_OUT // 2 :: _KEPT_OUT]
        rest = [window for window in windows if window not in held]
    rest = [window for window in rest if min(window.width, window.height) >= _LEAST]
    if not rest:
        raise InputError(
            f"{image.name} of {width} × {height} pixels, to adapt a model to",
            f"at least {_LEAST} × {_LEAST} with data",
            "leave --adapt out",
        )
    scale = _scale(image.values, guide.values)
    made = [[replace(beside(image, guide, card.scale, w), scale=scale) for w in of] for of in (rest, held)]
    return _Parts(tuple(made[0]), tuple(made[1]), own)


def _share(image: Scene, window: Window) -> float:
    """The share of a window that is data in all bands."""
    return float(image.source.valid(Box.of(0, window)).all(1).mean())


def _strips(image: Scene, window: Window, scale: int) -> tuple[list[Window], list[Window]]:
    """A strip at an edge of a window that is all data, to be kept out, and the rest; no strip where there is none."""
    (col, row), (width, height) = (window.col, window.row), (window.width, window.height)
    deep, across = (n // _KEPT_OUT // scale * scale for n in (height, width))
    pairs = [
        (Window(col, row + height - deep, width, deep), Window(col, row, width, height - deep)),
        (Window(col, row, width, deep), Window(col, row + deep, width, height - deep)),
        (Window(col + width - across, row, across, height), Window(col, row, width - across, height)),
        (Window(col, row, across, height), Window(col + across, row, width - across, height)),
    ]
    for held, rest in pairs:
        if min(held.width, held.height) >= _LEAST // 2 and _share(image, held) == 1:
            return [held], [rest]
    return [], [window]


def _scale(*scales: ValueScale) -> ValueScale:
    """The value scales of image and guide, for both as one scene."""
    low, high = (tuple(end for scale in scales for end in getattr(scale, side)[0]) for side in ("low", "high"))
    return ValueScale((low,), (high,))


def _recipe(model: Model, image: Scene, guide: Scene, parts: _Parts, seed: int, steps: int) -> Recipe:
    """What is done, as a recipe: it is told in the model's card."""
    card = model.descriptor
    side = min(min(scene.shape[2:]) for scene in parts.trained)
    attribution = "; ".join(card.attribution) or "none"
    return Recipe(
        name=adapted_name(card),
        version=adapted_version(card, steps),
        description=adapted_description(card, steps, image.name),
        seed=seed,
        generator=GeneratorPart(
            architecture=card.architecture,
            scale=card.scale,
            channels=card.channels,
            bands=card.bands,
            options=card.options,
            ports=card.ports,
            start=model.path,
        ),
        operator=card.operator,
        degradation=(BlockMean(blur=(0, 0, 0.25)),),
        domain=card.domain,
        data=DataPart(
            train=(SceneEntry(path=image.name, guide=GuideEntry(path=guide.name), attribution=attribution),),
            licence=card.licence,
        ),
        augment=Augment(gain=(0.9, 1.1), offset=0.02),
        content=ContentPart(
            steps=steps,
            batch=_BATCH,
            patch=min(_PATCH, side) // card.scale * card.scale,
            losses=(LogMSE(weight=0.0025), Consistency()),
            optimiser=optimiser(steps),
        ),
        precision=card.precision,
        inference_precision=card.precision,
    )


def _patches(recipe: Recipe, parts: _Parts) -> Patches:
    """What is drawn from."""
    stage, part = recipe.content, recipe.generator
    return Patches(
        parts.trained,
        stage.patch,
        part.scale,
        recipe.chain,
        channels=part.channels,
        ports=part.ports.inputs,
        guides=_guides(parts, parts.trained),
        augment=recipe.augment,
        seed=2 * recipe.seed,
        length=stage.steps * stage.batch,
    )


def _guides(parts: _Parts, scenes: Sequence[Scene]) -> list[Guide]:
    return [Guide(parts.own, parts.own) for _ in scenes]


def _scores(recipe: Recipe, parts: _Parts, device: torch.device, network: nn.Module) -> dict[str, float]:
    """PSNR, in dB of the value scale's range, on what was kept out, and bicubic's; empty without it."""
    if not parts.held:
        return {}
    validation = Validation(recipe, parts.held, device, guides=_guides(parts, parts.held))
    return {"psnr": validation.scores(network)["psnr"], "psnr_bicubic": validation.bicubic["psnr"]}
