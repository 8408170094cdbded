"""``sharpen``: coarse bands as fine as a guide of the same place; a lazy scene."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.inference.adapting import Adapting
from geomedsr.inference.process import process
from geomedsr.models import Model, load_model
from geomedsr.models.ports import IMAGE
from geomedsr.providers import provider
from geomedsr.scene.scene import Band, Scene
from geomedsr.sharpening.choosing import APART, GUIDE, carried_over, default_name, port_of, seen
from geomedsr.sharpening.guides import Fitted, Relation, fitted, relation
from geomedsr.sharpening.joined import Made, joined
from geomedsr.sharpening.product import panchromatic, sharpen_product, with_panchromatic
from geomedsr.sharpening.registration import registered
from geomedsr.sharpening.regression import REGRESSION, regression
from geomedsr.sharpening.spectra import warning

#: The share of a result without a guide above which a warning says so.
_BARE = 0.001


def sharpen(
    coarse: Scene,
    guide: Scene | None = None,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    bands: Sequence[str | int] | None = None,
    with_guide: bool = False,
    register: bool | None = None,
    tile: int | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    precision: str | None = None,
    conserve: bool = True,
    adapt: Adapting | None = None,
) -> Scene:
    """The coarse scene with the detail of a guide, lazily: nothing is computed until it is read or written.

    The result's grid is the coarse one, divided by the model's factor. Where the guide's pixels are not the result's,
    the guide is brought onto it: by whole pixels, or else resampled, which a warning says. The mean of each block of
    the result is the coarse pixel, bit for bit in integers, whatever the guide shows.

    Args:
        coarse: the scene to be sharpened. Bands of classes and flags are repeated.
        guide: by default, of a product, its own finer bands: the result then holds all bands at the finest resolution.
            A finer scene of the same place and date, in the same CRS: a panchromatic band, or finer bands of the
            same instrument. It may be smaller than the coarse scene, where there is then no guide, or larger.
        model: a shipped model's name, a model file, a loaded model, or ``"regression"``, which is estimated on the
            scene and takes any guide; by default the one shipped for such a factor and such a guide.
        bands: of a product, some of its bands, of whatever resolution; by default all spectral ones.
        with_guide: the result holds the guide's bands, too, after the coarse scene's; those whose name the coarse scene
            has begin with ``guide_``. Of a product, the finest bands after those of ``bands``.
        register: measure how far the guide's content lies off, and move it; by default of a guide of one band, such as
            a panchromatic one. A few blocks of both are read now. Not of a product whose parts lie on one grid.
        tile: see :func:`geomedsr.upscale`, as for ``memory``, ``device``, ``precision`` and ``conserve``.
        memory: what writing the result may take.
        device: where the network runs.
        precision: what it computes in.
        conserve: keep the coarse scene's block means.
        adapt: let the model go on training on the scene first, which takes its time now, and leaves a model file. Of a
            product, the model of its joint bands.

    Raises:
        InputError: a guide that is coarser, lies elsewhere or in another CRS, or holds no data; bands that the model
            does not fit; and what :func:`geomedsr.process` raises.
        ModelError: no such model, none for such a guide, or one that takes no guide.
        DeviceError: no such device, or precision.
    """
    how: dict[str, Any] = {
        "tile": tile,
        "memory": memory,
        "device": device,
        "precision": precision,
        "conserve": conserve,
    }
    if guide is None and coarse.parts is None:
        raise InputError(f"no guide for {coarse.name}", "a finer scene of the same place", "give one: --guide FINE")
    if guide is None:
        if not panchromatic(coarse):
            if register:
                raise InputError(
                    f"{coarse.name}, whose parts lie on one grid, to be registered",
                    "two rasters",
                    "leave --register out",
                )
            return sharpen_product(coarse, model, bands, with_guide, adapt, **how)
        coarse, guide = with_panchromatic(coarse, bands)
    elif bands is not None:
        coarse = coarse.select(bands)
    kinds, coarse = [band.kind for band in coarse.bands], carried_over(coarse)
    found = relation(coarse, guide)
    if found.unplaced:
        _warn(f"{coarse.name} and {guide.name}, placed by sizes alone: neither has an affine")
    if model == REGRESSION:
        own, of_model, chosen = None, found.factor, guide
    else:
        own = model if isinstance(model, Model) else load_model(model or default_name(coarse, guide, found.factor))
        port = port_of(own)
        of_model, chosen = port.factors[1], seen(guide, port, own.descriptor.name)
    if len(chosen.bands) == 1 and (unseen := warning(coarse, chosen)) is not None:
        _warn(unseen)
    moved, shifted = "", False
    if register or (register is None and len(chosen.bands) == 1):
        before = found
        found, moved = registered(coarse, chosen.select([1]), found, of_model)
        shifted = found != before
    placed = _placed(coarse, chosen, found, of_model, moved, shifted)
    if own is None and adapt is not None:
        raise ModelError(f"the model {REGRESSION}, which is not trained", "one that is", "leave --adapt out")
    if own is None:
        own = regression(coarse, placed.scene, of_model)
    elif adapt is not None:
        own = provider("model.adapted")(own, coarse, placed.scene, adapt, device)
    made = process(
        own,
        image=coarse,
        guide=placed.scene,
        **how,
    )[IMAGE]
    provenance = replace(made.provenance, model=replace(made.provenance.model, guide=placed.how))
    of_kinds = tuple(replace(band, kind=kind) for band, kind in zip(made.bands, kinds, strict=True))
    name = f"{coarse.name} sharpened ×{own.descriptor.scale}"
    made = replace(made, provenance=provenance, bands=of_kinds, name=name)
    if not with_guide:
        return made
    beside = fitted(coarse, guide, found, own.descriptor.scale, stored=True).scene
    taken = {band.name for band in made.bands}
    beside = replace(beside, bands=tuple(_apart(b) if b.name in taken else b for b in beside.bands))
    return joined([Made(made, own.descriptor.scale), Made(_unmade(beside), of=GUIDE)], made, provenance)


def _placed(coarse: Scene, guide: Scene, found: Relation, factor: int, moved: str, shifted: bool) -> Fitted:
    """The guide on the grid of a result; warnings say what was done to it."""
    placed = fitted(coarse, guide, found, factor)
    if moved:
        placed = replace(placed, how=f"{moved}; {placed.how}")
    if placed.resampled or shifted:
        _warn(f"the guide {guide.name}, as the model sees it: {placed.how}")
    if placed.covered < 1 - _BARE:
        _warn(f"the guide {guide.name} covers {placed.covered:.1%} of {coarse.name}: elsewhere the result has no guide")
    _check_data(placed.scene, guide.name)
    return placed


def _check_data(guide: Scene, name: str) -> None:
    """Raise an InputError for a guide without data where the image is, as far as a sample of it shows."""
    if any(known is not None for known in guide.values.measured) or guide.values.origin == "given":
        return
    raise InputError(f"the guide {name}, which holds no data on the image", "one that does", "check its nodata value")


def _apart(band: Band) -> Band:
    """A band of the guide, under a name that the image's has not."""
    name = f"{APART}{band.name}"
    return replace(band, name=name, description=name)


def _unmade(scene: Scene) -> Scene:
    """A scene as it is in a result: what of it was chosen is not the result's to tell."""
    return replace(scene, provenance=replace(scene.provenance, chosen=type(scene.provenance.chosen)()))


def _warn(words: str) -> None:
    warnings.warn(words, SceneWarning, stacklevel=4)
