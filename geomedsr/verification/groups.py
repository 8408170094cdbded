"""Results whose bands were made in different ways: what each group of them was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.scene.provenance import Provenance, provenance_of
from geomedsr.scene.provenance.made_of import Group
from geomedsr.scene.resampling import RepeatedSource
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import CroppedSource
from geomedsr.sharpening.guides import fitted, relation


@dataclass(frozen=True)
class GroupOf:
    """A group of a result's bands: they alone, as a result of their own, and the part of the source they are of."""

    group: Group
    source: Scene
    result: Scene


def of_image(result: Scene) -> Scene:
    """The bands of a result that are the image's own, made finer: without those of other inputs beside them."""
    provenance = provenance_of(result)
    beside = {band for group in provenance.groups or () if group.of is not None for band in group.bands}
    if not beside:
        return result
    return _alone(result, [i for i, band in enumerate(result.bands) if band.name not in beside])


def groups_of(source: Scene, result: Scene) -> list[GroupOf]:
    """The groups of a result of a product, each with the part of the product that holds its bands.

    Raises:
        InputError: the product has no such band, or none on a grid of which the result's is whole times finer.
    """
    provenance = provenance_of(result)
    scenes = [source.at(size) for size in source.resolutions] or [source]
    found = []
    for group in provenance.groups or ():
        places = [i for i, band in enumerate(result.bands) if band.name in group.bands]
        if group.of is not None or not places:
            continue
        names = [result.bands[i].name for i in places]
        part = _holding(scenes, names, group.factor, provenance, result)
        alone = _alone(result, places)
        own = provenance_of(alone)
        model = replace(own.model, name=group.model or own.model.name, version=group.version, factor=group.factor)
        found.append(
            GroupOf(group, part, replace(alone, provenance=replace(own, model=model, groups=None), tags=result.tags))
        )
    return [replace(of, source=_typed(of.source, result.dtype)) for of in found]


def _typed(source: Scene, dtype: np.dtype[Any]) -> Scene:
    """A source in a result's type, where that holds its numbers, as that of other bands beside may be wider."""
    if source.dtype == dtype or not np.can_cast(source.dtype, dtype) or dtype.kind != source.dtype.kind:
        return source
    return replace(source, source=RepeatedSource(source.source, 1, str(dtype)))


def _alone(result: Scene, places: Sequence[int]) -> Scene:
    """Some bands of a result; what it says of the others is left out."""
    provenance = provenance_of(result)
    ranges = provenance.ranges
    if ranges is not None and len(ranges) == len(result.bands):
        ranges = tuple(ranges[i] for i in places)
    return replace(
        result,
        source=result.source.select(list(places)),
        bands=tuple(result.bands[i] for i in places),
        scale=None,
        provenance=replace(provenance, ranges=ranges),
    )


def _holding(
    scenes: Sequence[Scene], names: Sequence[str], factor: int, provenance: Provenance, result: Scene
) -> Scene:
    """The part of a source that holds bands, so many times coarser than a result, where that lies."""
    for scene in scenes:
        with suppress(InputError):
            part = scene.select(names)
            if part.grid.affine is None or result.grid.affine is None:
                return part
            across = ~part.grid.scaled(factor).affine @ result.grid.affine  # type: ignore[operator]
            if abs(across.a - 1) > 1e-6 or abs(across.e - 1) > 1e-6:
                continue
            box = Box(
                (0, round(across.f), round(across.c)),
                (1, round(across.f) + result.shape[2], round(across.c) + result.shape[3]),
            )
            coarse = box.coarsened(Factors.in_plane(factor))
            if not coarse.inside(part.shape) or coarse.refined(Factors.in_plane(factor)) != box:
                continue
            return replace(
                part, source=CroppedSource(part.source, coarse.window), grid=part.grid.cropped(coarse.window)
            )
    listed = ", ".join(names)
    raise InputError(
        f"bands {listed} of {result.name}",
        f"a part of the source that holds them, {factor} times coarser, in whole pixels",
        "give what it was made of",
    )


def guide_check(source: Scene, result: Scene, guide: Scene | None) -> Iterator[Check]:
    """Whether a guide's bands in a result are the guide's."""
    group = next((group for group in provenance_of(result).groups or () if group.of is not None), None)
    if group is None:
        return
    promise = f"bands {', '.join(group.bands)} are the {group.of}'s"
    if guide is None:
        yield Check(promise, None, f"to check them, give --input {group.of}=FILE")
        return
    factor = result.shape[3] // source.shape[3]
    places = [i for i, band in enumerate(result.bands) if band.name in group.bands]
    wanted = fitted(source, guide.select(list(group.bands)), relation(source, guide), factor, stored=True).scene
    wrong = 0
    for box in Box.whole(result.shape).tiles((1, 1024, 1024)):
        known = wanted.source.valid(box)
        differ = wanted.source.read(box) != result.source.read(box)[:, places]
        wrong += int((differ & known).sum())
    yield Check(promise, wrong == 0, f"{wrong} pixels differ" if wrong else "")
