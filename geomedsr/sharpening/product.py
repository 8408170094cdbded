"""All bands of a product at its finest resolution, and the panchromatic band of one as a guide."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr._version import __version__
from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry import Window
from geomedsr.inference.adapting import Adapting
from geomedsr.inference.process import process
from geomedsr.models import Model, load_model
from geomedsr.models.ports import IMAGE
from geomedsr.providers import provider
from geomedsr.scene.bands import continuous, find
from geomedsr.scene.joining import JoinedSource
from geomedsr.scene.picking import position
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.resampling import RepeatedSource
from geomedsr.scene.scene import Scene
from geomedsr.sharpening.choosing import (
    SENTINEL2,
    SENTINEL2_COARSE,
    SENTINEL2_FINE,
    carried_over,
    default_name,
    pan,
    port_of,
    seen,
)
from geomedsr.sharpening.guides import ALIGNED, fitted, relation
from geomedsr.sharpening.joined import Made, joined
from geomedsr.sharpening.regression import REGRESSION, regression

#: The order of Sentinel-2's bands, which is that of its products.
_ORDER = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


@dataclass(frozen=True)
class Plan:
    """What is made of a product: its parts on grids that divide each other, the finest first, and the names of the
    bands that are asked for.
    """

    parts: tuple[Scene, ...]
    names: tuple[str, ...]

    @property
    def fine(self) -> Scene:
        """The finest part."""
        return self.parts[0]

    def factor(self, part: Scene) -> int:
        """How many times coarser a part is than the finest."""
        return self.fine.shape[3] // part.shape[3]

    def wanted(self, part: Scene) -> list[str]:
        """Those of a part's bands that are asked for, and that no finer part has."""
        finer = {band.name for other in self.parts[: self.parts.index(part)] for band in other.bands}
        return [band.name for band in part.bands if band.name in self.names and band.name not in finer]


def panchromatic(product: Scene) -> bool:
    """Whether the finest part of a product is one band, said to be panchromatic, and there are others."""
    if len(product.resolutions) < 2:
        return False
    fine = continuous(product.at(product.resolutions[0]))
    return len(fine.bands) == 1 and pan(fine) is not None


def planned(product: Scene, bands: Sequence[str | int] | None) -> Plan:
    """The parts of a product with the bands that are asked for: by default all spectral ones, not masks and classes.

    Raises:
        InputError: one resolution alone, no such band, or parts whose grids do not divide each other.
    """
    every = [product.at(size) for size in product.resolutions]
    parts = [part for part in every if part is every[0] or _coarser(part, every[0])]
    if len(parts) < 2:
        raise InputError(
            f"{product.name} with pixels of one size, and no guide",
            "a product with finer bands, or a guide",
            "give a guide: --guide FINE, such as the panchromatic band of the product's Level 1",
        )
    known = [band for part in parts for band in part.bands]
    if bands is None:
        tell_left([part for part in every if part not in parts])
        names = [band.name for band in known if band.kind == "continuous" and _spectral(band)]
    else:
        names = [known[position(known, band)].name for band in bands]
        if not names:
            listed = ", ".join(dict.fromkeys(band.name for band in known))
            raise InputError("no band", f"some of {listed}", "name at least one")
    return Plan(tuple(_divided(parts)), tuple(dict.fromkeys(names)))


def _coarser(part: Scene, fine: Scene) -> bool:
    """Whether the pixels of a part are larger than another's: thermal bands of Landsat are delivered on a finer grid
    than they were measured on.
    """
    one, other = part.grid.affine, fine.grid.affine
    return one is None or other is None or abs(one.determinant) > abs(other.determinant) * (1 + ALIGNED)


def tell_left(parts: Sequence[Scene]) -> None:
    """Warn of parts that are not sharpened."""
    for part in parts:
        names, size = ", ".join(band.name for band in part.bands), (part.provenance.chosen.resolution or 0)
        warnings.warn(
            f"{part.name}: {names}, measured at {size:g}, is left out, as nothing finer shows what it sees; "
            f"`geomedsr upscale --resolution {size:g}` makes it finer by itself",
            SceneWarning,
            stacklevel=5,
        )


def with_panchromatic(product: Scene, bands: Sequence[str | int] | None) -> tuple[Scene, Scene]:
    """The part of a product that its panchromatic band sharpens, or some of its bands, and that band.

    Raises:
        InputError: no such band, or one of another part.
    """
    fine, coarse, *others = (product.at(size) for size in product.resolutions)
    if bands is None:
        tell_left(others)
        return coarse, fine
    for part, remedy in [
        (fine, "leave it out; --with-guide adds it"),
        *((part, f"`geomedsr upscale --bands {part.bands[0].name}` makes it finer by itself") for part in others),
    ]:
        if wrong := [band.name for band in part.bands if band.name.casefold() in {str(b).casefold() for b in bands}]:
            listed = ", ".join(band.name for band in coarse.bands)
            raise InputError(
                f"band {wrong[0]} of {product.name}, which {fine.bands[0].name} does not sharpen",
                f"some of {listed}",
                remedy,
            )
    return coarse.select(bands), fine


def _spectral(band: Any) -> bool:
    """Whether a band is one of a wavelength, which products say."""
    return "IMAGERY" in band.tags


def _divided(parts: Sequence[Scene]) -> list[Scene]:
    """The parts cut to the whole pixels of the coarsest that all of them cover.

    Raises:
        InputError: grids of which one is not whole times finer than another, or that do not meet.
    """
    fine, coarsest = parts[0], parts[-1]
    for part in parts[1:]:
        across = relation(part, fine)
        factor = round(across.scale[0])
        off = [abs(scale - factor) * length for scale, length in zip(across.scale, part.grid.shape[::-1], strict=True)]
        off += [abs(shift - round(shift)) for shift in across.shift]
        if max(off) > ALIGNED:
            raise InputError(
                f"{part.name}, whose parts at two resolutions lie on grids that do not divide each other",
                "whole pixels of the one in each of the other",
                "open them as files, and give the finer one with --guide",
            )
    common = Window(0, 0, *coarsest.grid.shape[::-1])
    for part in parts[:-1]:
        across = relation(coarsest, part)
        (left, top), (width, height) = across.shift, part.grid.shape[::-1]
        scale = round(across.scale[0])
        first = -(-round(-left) // scale), -(-round(-top) // scale)
        last = (width - round(left)) // scale, (height - round(top)) // scale
        common = common.common(Window(first[0], first[1], last[0] - first[0], last[1] - first[1]))
    if min(common.width, common.height) < 1:
        raise InputError(f"{fine.name}, whose parts share no pixel", "parts of one place", "take the whole product")
    return [_cut(part, coarsest, common) for part in parts]


def _cut(part: Scene, coarsest: Scene, common: Window) -> Scene:
    """A part, where the coarsest has a window."""
    window, scale = common, 1
    if part is not coarsest:
        across = relation(coarsest, part)
        scale = round(across.scale[0])
        window = common.scaled(scale).shifted(*map(round, across.shift))
    if window == Window(0, 0, *part.grid.shape[::-1]):
        return part
    warnings.warn(
        f"{part.name} is cut to the {common.width * scale} × {common.height * scale} pixels that all its parts cover",
        SceneWarning,
        stacklevel=5,
    )
    return part.crop(window)


def sharpen_product(
    product: Scene,
    model: str | os.PathLike[str] | Model | None,
    bands: Sequence[str | int] | None,
    with_guide: bool = False,
    adapt: Adapting | None = None,
    **how: Any,
) -> Scene:
    """The bands of a product at its finest resolution, one scene in the product's order, or in that of ``bands``, after
    which the finest ones follow ``with_guide``.

    Bands of the finest part are as they are. Those of half its resolution are made by a model that is guided by them;
    those of others by a regression on all finer bands, as there is too little to train on; a band that shows the sky
    (B10 of Sentinel-2) is repeated. All block means are kept.

    Raises:
        InputError: what :func:`planned` raises, or a model to be adapted where none is trained for such bands.
    """
    plan = planned(product, bands)
    if with_guide:
        finest = [band.name for band in plan.fine.bands if _spectral(band)]
        plan = replace(plan, names=tuple(dict.fromkeys([*plan.names, *finest])))
    if adapt is not None and not any(_kinds(plan, part, model)[0] for part in plan.parts[1:]):
        raise InputError(
            f"{product.name}, of whose bands none is made by a trained model", "some that are", "leave --adapt out"
        )
    own = [band.name for band in plan.fine.bands if band.name in plan.names]
    made = [Made(plan.fine.select(own))] if own else []
    for part in plan.parts[1:]:
        joint, others, carried = _kinds(plan, part, model)
        if joint:
            made.append(Made(_by_model(plan, part, joint, model, adapt, how), plan.factor(part)))
        if others:
            _tell_regression(plan, part, others, model)
            made.append(Made(_by_regression(plan, part, others, how), plan.factor(part)))
        if carried:
            made.append(Made(_repeated(part.select(carried), plan), plan.factor(part)))
    first = next((part.scene.provenance for part in made if part.scene.provenance.made), Provenance())
    chosen = replace(product.provenance.chosen, bands=None if bands is None else tuple(plan.names), resolution=None)
    last = replace(first.model, factor=1)
    provenance = replace(first, chosen=chosen, software=__version__, source=product.name, model=last)
    order = _ORDER if bands is None else plan.names
    result = joined(made, replace(made[0].scene, name=f"{product.name} sharpened"), provenance, order)
    return replace(result, parts=None)


def _kinds(
    plan: Plan, part: Scene, model: str | os.PathLike[str] | Model | None
) -> tuple[list[str], list[str], list[str]]:
    """Of the bands of a part that are wanted: those that a model makes, those of a regression, and those that are
    carried over.
    """
    carried = {band.name for band in carried_over(part).bands if band.kind == "nearest"}
    guided = model is not None or len(find(plan.fine.bands, SENTINEL2_FINE)) == len(SENTINEL2_FINE)
    all_there = guided and set(SENTINEL2_COARSE) <= {band.name for band in part.bands}
    joint = set(SENTINEL2_COARSE) if plan.factor(part) == 2 and all_there and model != REGRESSION else set()
    wanted = plan.wanted(part)
    own, kept = [n for n in wanted if n in joint], [n for n in wanted if n in carried]
    return own, [name for name in wanted if name not in {*own, *kept}], kept


def _tell_regression(
    plan: Plan, part: Scene, names: Sequence[str], model: str | os.PathLike[str] | Model | None
) -> None:
    """Warn of bands that a joint model would make, were all of its bands there."""
    there = {band.name for scene in plan.parts for band in scene.bands if scene in (plan.fine, part)}
    lacking = [name for name in (*SENTINEL2_COARSE, *SENTINEL2_FINE) if name not in there]
    if model is None and plan.factor(part) == 2 and lacking and set(names) & set(SENTINEL2_COARSE):
        warnings.warn(
            f"{part.name} without {', '.join(lacking)}, which {SENTINEL2} needs: {', '.join(names)} "
            f"{'are' if len(names) > 1 else 'is'} made by a regression",
            SceneWarning,
            stacklevel=5,
        )


def _by_model(
    plan: Plan,
    part: Scene,
    names: Sequence[str],
    model: str | os.PathLike[str] | Model | None,
    adapt: Adapting | None,
    how: dict[str, Any],
) -> Scene:
    """Bands of a joint model on the finest grid: all are computed, and those wanted kept."""
    image = part.select(SENTINEL2_COARSE)
    loaded = model if isinstance(model, Model) else load_model(model or default_name(image, plan.fine, 2))
    guide = seen(plan.fine, port_of(loaded), loaded.descriptor.name)
    if adapt is not None:
        loaded = provider("model.adapted")(loaded, image, guide, adapt, how.get("device", "auto"))
    made = _made(loaded, image, guide, how)
    places = [[band.name for band in made.bands].index(name) for name in names]
    source = JoinedSource.of([made.source]).select(places)
    ranges = made.provenance.ranges and tuple(made.provenance.ranges[i] for i in places)
    return replace(
        made,
        source=source,
        bands=tuple(made.bands[i] for i in places),
        scale=made.values.select(places),
        provenance=replace(made.provenance, ranges=ranges),
    )


def _by_regression(plan: Plan, part: Scene, names: Sequence[str], how: dict[str, Any]) -> Scene:
    """Bands on the finest grid, by what all finer ones explain of them."""
    image, guide = part.select(names), _guides(plan, part)
    return _made(regression(image, guide, plan.factor(part)), image, guide, how)


def _made(model: Model, image: Scene, guide: Scene, how: dict[str, Any]) -> Scene:
    made = process(model, image=image, guide=guide, **how)[IMAGE]
    return replace(made, provenance=replace(made.provenance, model=replace(made.provenance.model, guide="as it is")))


def _repeated(part: Scene, plan: Plan) -> Scene:
    """Bands on the finest grid, each pixel repeated, in the finest bands' type if that holds them."""
    factor, fine = plan.factor(part), plan.fine.dtype
    type_ = fine if np.can_cast(part.dtype, fine) else part.dtype
    return replace(
        part,
        source=RepeatedSource(part.source, factor, str(type_)),
        grid=part.grid.scaled(factor),
        provenance=replace(part.provenance, ranges=(None,) * len(part.bands)),
    )


def _guides(plan: Plan, part: Scene) -> Scene:
    """All spectral bands that are finer than a part, on the finest grid: interpolated where they are not so fine."""
    found: list[Scene] = []
    for other in plan.parts[: plan.parts.index(part)]:
        known = {band.name for scene in found for band in scene.bands}
        names = [b.name for b in other.bands if b.kind == "continuous" and _spectral(b) and b.name not in known]
        if not names:
            continue
        scene = other.select(names)
        if other is not plan.fine:
            scene = fitted(part, scene, relation(part, scene), plan.factor(part), stored=True, coarser=True).scene
        found.append(scene)
    if not found:
        raise InputError(f"{part.name}, which has no finer spectral band", "bands to be guided by", "give a guide")
    source = JoinedSource.of([scene.source for scene in found])
    return replace(found[0], source=source, bands=tuple(band for scene in found for band in scene.bands), scale=None)
