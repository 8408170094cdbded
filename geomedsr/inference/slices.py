"""New slices: how many, of which profile, and which series cannot have them."""

from __future__ import annotations

import os

from geomedsr.errors import InputError
from geomedsr.geometry.slices import finer_slices
from geomedsr.geometry.stacking import volume_length, volumes_of
from geomedsr.inference.adapting import Adapting
from geomedsr.inference.process import process
from geomedsr.models import Model, default_model, load_model
from geomedsr.models.ports import IMAGE
from geomedsr.models.store import default_slices
from geomedsr.providers import provider
from geomedsr.scene.profiles import apart, with_profile
from geomedsr.scene.scene import Scene

#: Fewer slices tell too little of what lies between them.
LEAST_SLICES = 4

#: ``slices`` of a result whose slices are as near to each other as its pixels.
ISOTROPIC = "isotropic"


def upscale_slices(
    scene: Scene,
    slices: int | str,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    in_plane: int = 1,
    in_plane_model: str | os.PathLike[str] | Model | None = None,
    profile: str | float | None = None,
    realism: float | None = None,
    adapt: Adapting | None = None,
    **options: object,
) -> Scene:
    """A series with ``slices`` new slices from each, then ``in_plane`` times finer in plane; lazy.

    See :func:`geomedsr.upscale` for the arguments; ``options`` are its others, for both models. ``realism`` is that of
    the last model.

    Raises:
        InputError: no series, too few slices, or slices that are not side by side; a factor or a profile that there is
            not.
    """
    if in_plane not in (1, 2):
        raise InputError(f"--in-plane {in_plane}", "1 or 2", "choose one of these")
    if in_plane == 1 and in_plane_model is not None:
        raise InputError("a model for pixels without --in-plane 2", "both, or none", "add --in-plane 2")
    first = model if isinstance(model, Model) else load_model(model or default_slices(scene.domain))
    card = first.descriptor
    offered = sorted({head[0] for head in card.heads or (tuple(card.factors),) if head[0] > 1 and head[2] == 1})
    if not offered:
        raise InputError(
            f"--slices {slices} by the model {card.name}", "a model of new slices", "name ct-slices or mr-slices"
        )
    check(scene)
    factor = factor_of(scene, slices, in_plane, offered)
    if card.value_scale == "physical":  # on which the profile is estimated
        scene = scene.with_physical_range(*card.value_range)
    scene = with_profile(scene, profile)
    if adapt is not None:
        first = provider("model.adapted_slices")(first, scene, factor, adapt, options.get("device", "auto"))
    if in_plane == 1:
        return process(first, image=scene, factors=(factor, 1, 1), realism=realism, **options)[IMAGE]  # type: ignore[arg-type]
    made = process(first, image=scene, factors=(factor, 1, 1), **options)[IMAGE]  # type: ignore[arg-type]
    second = in_plane_model if in_plane_model is not None else default_model(scene.domain)
    second = second if isinstance(second, Model) else load_model(second)
    if tuple(second.descriptor.factors) != (1, in_plane, in_plane):
        raise InputError(
            f"the model {second.descriptor.name} ({second.descriptor.factors.words}) for --in-plane {in_plane}",
            f"one of ×{in_plane} in plane",
            "name another with --in-plane-model",
        )
    return process(second, image=made, realism=realism, **options)[IMAGE]  # type: ignore[arg-type]


def check(scene: Scene) -> None:
    """Raise an InputError unless new slices can be made between those of a series."""
    planes = scene.grid.planes
    if not planes:
        raise InputError(f"--slices for {scene.name}, which is no series", "slices of CT or MR", "leave --slices out")
    length = volume_length(planes)
    if len(planes) > 1 and length == len(planes) and apart(scene) is None:
        raise InputError(
            f"--slices for {scene.name} of {len(planes)} images in one place, as of a cine",
            "slices side by side",
            "take a series that is a stack of slices",
        )
    if length < LEAST_SLICES:
        each = f" in each of {volumes_of(planes)} volumes" if length < len(planes) else ""
        raise InputError(
            f"--slices for {scene.name} of {length} slice{'s' * (length != 1)}{each}",
            f"at least {LEAST_SLICES}",
            "take a whole series",
        )
    finer_slices(planes, 2)


def factor_of(scene: Scene, asked: int | str, in_plane: int, offered: list[int]) -> int:
    """How many slices come from each.

    Raises:
        InputError: none of those that the model offers.
    """
    between, pixel = apart(scene) or 0.0, min(scene.grid.planes[0].spacing) / in_plane
    listed = f"{offered[0]} to {offered[-1]}" if len(offered) > 2 else " or ".join(map(str, offered))
    if asked == ISOTROPIC:
        nearest = max(1, round(between / pixel))
        if nearest in offered:
            return nearest
        what = f"--isotropic for slices {between:.3g} mm apart and pixels of {pixel:.3g} mm: {nearest} slices from each"
        remedy = f"choose --slices {min(offered, key=lambda each: abs(each - nearest))}"
        raise InputError(what, listed, "there is nothing to do" if nearest == 1 else remedy)
    if asked not in offered:
        raise InputError(f"--slices {asked}", f"{listed}, or --isotropic", "choose one of these")
    return int(asked)
