"""A model of new slices that goes on training on the volume itself.

Rows and columns of the volume's own slices stand for thin slices, and are made thick by its own profile (SMORE: Zhao et
al. 2021, doi 10.1109/TMI.2020.3037187). Some slices are kept out, and tell whether anything was gained there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from geomedsr.errors import InputError, ModelError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.profile import Profile
from geomedsr.inference.adapting import Adapting
from geomedsr.losses import L1, Stationarity
from geomedsr.models import Model
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.slices import Slices
from geomedsr.models.store import build
from geomedsr.scene.profiles import apart
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource
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
from geomedsr.training.recipe import (
    DataPart,
    ForegroundPart,
    GeneratorPart,
    Recipe,
    SceneEntry,
    SlicesPart,
    ValuesPart,
)
from geomedsr.training.slice_validation import SliceValidation
from geomedsr.training.slices import SlicePatches
from geomedsr.training.stages import ContentPart

#: One slice of so many is kept out; pixels of slices that are trained on, at most.
_KEPT_OUT, _PIXELS = 5, 1 << 24

#: The side of patches, at most, and in slices at least; how many make a step.
_PATCH, _LEAST, _BATCH = 80, 3, 16

#: Rows that one thin slice may stand for, at most; what of a patch is more than air.
_STRETCH, _FOREGROUND = 4.0, ForegroundPart(above=0.07, share=0.1)

#: Steps across old faces count so much beside the mean absolute error.
_STATIONARITY = Stationarity(weight=0.02)


def adapted_slices(model: Model, scene: Scene, factor: int, how: Adapting, device: str = "auto") -> Model:
    """A model after more training on the slices of a series, for this factor and the series' profile alone, written to
    a file of its own; as it was, where nothing was gained on slices kept out.

    The same scene, seed, number of steps and threads give the same weights. The file's card says how many steps were
    made, of which model, and how both did on what was kept out.

    Args:
        model: one of new slices, loaded from a file.
        scene: the series, which knows its profile.
        factor: how many slices come from each.
        how: how long, with which seed, and where the model goes.
        device: where it trains.

    Raises:
        ModelError: a model of no file, or of another architecture.
        InputError: slices too small to be made thick.
        OutputError: the model's file is there already, or cannot be written.
    """
    card, profile = model.descriptor, scene.profile or Profile()
    if not os.path.isfile(model.path) or not isinstance(model.module, Slices):
        raise ModelError(
            f"the model {card.name}, which is none of new slices from a file", "ct-slices, say", "leave --adapt out"
        )
    if min(scene.shape[2:]) < _LEAST * factor:
        raise InputError(
            f"{scene.name} of {scene.shape[3]} × {scene.shape[2]} pixels, to adapt a model to",
            f"at least {_LEAST * factor} × {_LEAST * factor}",
            "leave --adapt out",
        )

    def lesson() -> Lesson:
        held = set(range(_KEPT_OUT // 2, scene.shape[0], _KEPT_OUT))
        trained = [frame for frame in range(scene.shape[0]) if frame not in held]
        step = -(-len(trained) * scene.shape[2] * scene.shape[3] // _PIXELS)
        seen, kept = _part(scene, trained[::step]), _part(scene, sorted(held)[::step])
        return Lesson(
            lambda steps: _recipe(model, scene, factor, profile, how.seed, steps),
            lambda recipe: _patches(recipe, seen, factor),
            lambda recipe, network, place: _scores(recipe, kept, factor, profile, network, place),
            lambda network, made: _alone(network, made, factor),
        )

    facts = {"scene": fingerprint(scene), "factor": factor, "profile": profile.width}
    return taught(model, scene.name, how, facts, lesson, device)


def _part(scene: Scene, frames: Sequence[int]) -> Scene:
    """Some slices, in memory, on the whole series' value scale."""
    box = Box.whole(scene.shape)
    boxes = [Box((frame, *box.start[1:]), (frame + 1, *box.stop[1:])) for frame in frames]
    values, valid = (np.concatenate([read(box) for box in boxes]) for read in (scene.source.read, scene.source.valid))
    scale = scene.values
    if len(scale.low) > 1:
        low, high = (tuple(ends[frame] for frame in frames) for ends in (scale.low, scale.high))
        scale = ValueScale(low, high, scale.origin)
    grid = replace(scene.grid, planes=())
    return replace(
        scene, source=ArraySource(values, valid), grid=grid, rescale=(), scale=scale, headers=None, profile=None
    )


def _recipe(model: Model, scene: Scene, factor: int, profile: Profile, seed: int, steps: int) -> Recipe:
    """What is done, as a recipe: it is told in the model's card."""
    card = model.descriptor
    side = min(_PATCH, *scene.shape[2:])
    between, pixel = (apart(scene) or 1.0) / factor, min(scene.grid.planes[0].spacing)
    wide = (profile.width or 1.0,) * 2
    return Recipe(
        name=adapted_name(card),
        version=adapted_version(card, steps),
        description=adapted_description(card, steps, scene.name),
        seed=seed,
        generator=GeneratorPart(
            architecture=card.architecture,
            scale=1,
            neighbours=card.neighbours,
            heads=card.heads or ((factor, 1, 1),),
            options=card.options,
            start=model.path,
        ),
        operator=card.operator,
        domain=card.domain,
        values=ValuesPart(scale=card.value_scale, range=card.value_range),
        foreground=_FOREGROUND,
        slices=SlicesPart(
            boxes=float(profile.box), bells=wide, stretch=(1.0, float(np.clip(between / pixel, 1.0, _STRETCH)))
        ),
        data=DataPart(
            train=(SceneEntry(path=scene.name, attribution="; ".join(card.attribution) or "none"),),
            licence=card.licence,
        ),
        augment=Augment(gain=(0.9, 1.1), offset=0.02),
        content=ContentPart(
            steps=steps,
            batch=_BATCH,
            patch=max(side, factor),
            losses=(L1(), _STATIONARITY),
            optimiser=optimiser(steps),
        ),
        precision=card.precision,
        inference_precision=card.precision,
    )


def _patches(recipe: Recipe, seen: Scene, factor: int) -> SlicePatches:
    """What is drawn from."""
    stage, part, looked = recipe.content, recipe.generator, recipe.foreground
    assert recipe.slices is not None
    assert looked is not None
    return SlicePatches(
        [seen],
        [False],
        stage.patch,
        (factor,),
        part.neighbours,
        recipe.slices,
        augment=recipe.augment,
        above=looked.above,
        share=looked.share,
        seed=2 * recipe.seed,
        length=stage.steps * stage.batch,
        batch=stage.batch,
    )


def _scores(
    recipe: Recipe, kept: Scene, factor: int, profile: Profile, network: nn.Module, device: torch.device
) -> dict[str, float]:
    """PSNR, in dB of the value scale's range, on slices kept out, and that of cubic interpolation."""
    validation = SliceValidation(recipe, [kept], [False], device, (factor,), (profile,))
    return {"psnr": validation.scores(network)["psnr"], "psnr_bicubic": validation.bicubic["psnr"]}


def _alone(network: nn.Module, card: Descriptor, factor: int) -> tuple[nn.Module, Descriptor]:
    """The network with the one head that was trained on."""
    head = Factors(factor, 1, 1)
    made = card.model_copy(update={"heads": (tuple(head),), "frame_factor": factor})
    own = build(made)
    own.load_state_dict({name: network.state_dict()[name] for name in own.state_dict()})
    return own, made
