"""Results whose bands were made in different ways: what each group of them was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors, Window
from geomedsr.models.half_width import PORT
from geomedsr.scene.areas import AreaSource, inside
from geomedsr.scene.provenance import Provenance, provenance_of
from geomedsr.scene.provenance.made_of import Group
from geomedsr.scene.resampling import PlacedSource, RepeatedSource
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, CroppedSource, WrappingSource
from geomedsr.sharpening.choosing import APART
from geomedsr.sharpening.guides import fitted, relation


@dataclass(frozen=True)
class GroupOf:
    """A group of a result's bands: they alone, as a result of their own, and the part of the source they are of."""

    group: Group
    source: Scene
    result: Scene


def of_image(result: Scene) -> Scene:
    """The bands of a result that are the image's own, made finer: without those of other inputs and half-widths beside
    them."""
    provenance = provenance_of(result)
    beside = {band for group in provenance.groups or () if group.of is not None for band in group.bands}
    beside |= set(half_widths_in(result))
    if not beside:
        return result
    return _alone(result, [i for i, band in enumerate(result.bands) if band.name not in beside])


def half_widths_in(result: Scene) -> list[str]:
    """The names of bands that are half-widths of other bands, by what the result states."""
    if provenance_of(result).interval.nominal is None:
        return []
    names = {f"{band.name}_{PORT.name}" for band in result.bands}
    return [band.name for band in result.bands if band.name in names]


def half_widths_of(result: Scene) -> Scene | None:
    """The half-widths beside a result's image, as a scene of their own; None if there are none."""
    names = half_widths_in(result)
    return _alone(result, [i for i, band in enumerate(result.bands) if band.name in names]) if names else None


def interval_check(result: Scene) -> list[Check]:
    """Whether half-widths beside an image are positive wherever it is data; nothing without them."""
    names = [band.name for band in result.bands]
    wide = half_widths_in(result)
    if not wide:
        return []
    nominal = provenance_of(result).interval.nominal
    pairs = [(names.index(name.removesuffix(f"_{PORT.name}")), names.index(name)) for name in wide]
    faults = 0
    for box in Box.whole(result.shape).tiles((1, 1024, 1024)):
        values, valid = result.source.read(box), result.source.valid(box)
        for image, width in pairs:
            faults += int((valid[:, image] & ~(valid[:, width] & (values[:, width] > 0))).sum())
    detail = f"{len(wide)} bands, for {nominal:g} of the pixels" if not faults else f"{faults} pixels are not"
    return [Check("half-widths are positive wherever the image is data", not faults, detail)]


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
        part, shown = _holding(scenes, names, group.factor, provenance, result)
        alone = _alone(result, places)
        if shown is not None:
            part, alone = _as_shown(part, alone, shown)
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
) -> tuple[Scene, _Shown | None]:
    """The part of a source that holds bands, so many times coarser than a result, where that lies; and what of it the
    result shows, if that is not all.
    """
    by = Factors.in_plane(factor)
    for scene in scenes:
        with suppress(InputError):
            part = scene.select(names)
            if part.grid.affine is None or result.grid.affine is None:
                return part, None
            across = ~part.grid.scaled(factor).affine @ result.grid.affine  # type: ignore[operator]
            if abs(across.a - 1) > 1e-6 or abs(across.e - 1) > 1e-6:
                continue
            col, row = round(across.c), round(across.f)
            box = Box((0, row, col), (result.shape[0], row + result.shape[2], col + result.shape[3]))
            coarse = box.coarsened(by)
            if not coarse.inside(part.shape):
                continue
            found = replace(
                part, source=CroppedSource(part.source, coarse.window), grid=part.grid.cropped(coarse.window)
            )
            window = coarse.refined(by).within(box).window
            shown = _Shown(window, result.grid.shape, factor, *_area(provenance))
            return found, None if shown.area is None and coarse.refined(by) == box else shown
    listed = ", ".join(names)
    raise InputError(
        f"bands {listed} of {result.name}",
        f"a part of the source that holds them, {factor} times coarser, in whole pixels",
        "give what it was made of",
    )


def _area(provenance: Provenance) -> tuple[str | None, int, tuple[int, int]]:
    """The polygons that bound a result, how many of its pixels are one of theirs, and where its first pixel lies on
    them, (row, column), in its own.
    """
    by = provenance.model.factor or 1
    col, row, *_ = provenance.chosen.window or (Fraction(0),) * 4
    return provenance.chosen.aoi, by, (round(row * by), round(col * by))


@dataclass(frozen=True)
class _Shown:
    """Which coarse pixels a result shows as a whole.

    ``window`` is where the coarse image lies, in the result's pixels, of which there are ``size``, ``factor`` to a
    coarse one. ``area`` are polygons in pixels ``by`` times coarser than the result's, as of an
    :class:`~geomedsr.scene.areas.AreaSource`.
    """

    window: Window
    size: tuple[int, int]
    factor: int
    area: str | None
    by: int
    origin: tuple[int, int]

    def whole(self, coarse: Box) -> Array:
        """Boolean ``(y, x)``: the coarse pixels of a box of which every fine one is shown."""
        fine = coarse.refined(Factors.in_plane(self.factor)).shifted((0, self.window.row, self.window.col))
        _, row, col = fine.start
        _, height, width = fine.shape
        rows, cols = np.arange(row, row + height), np.arange(col, col + width)
        there = ((rows >= 0) & (rows < self.size[0]))[:, None] & ((cols >= 0) & (cols < self.size[1]))
        if self.area is not None:
            lines, columns = ((axis + first) // self.by for axis, first in zip((rows, cols), self.origin, strict=True))
            own = (np.arange(axis[0], axis[-1] + 1) for axis in (lines, columns))
            there = there & inside(self.area, *own)[np.ix_(lines - lines[0], columns - columns[0])]
        blocks = there.reshape(height // self.factor, self.factor, width // self.factor, self.factor)
        return np.asarray(blocks.all((1, 3)))


@dataclass(frozen=True)
class _ShownSource(WrappingSource):
    """A source that is 0, and no data, where a coarse pixel, so many times as large as its own, is not wholly shown."""

    shown: _Shown
    factor: int

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return np.where(self._known(box), self.whole.read(box), np.zeros((), self.dtype))

    def valid(self, box: Box) -> Array:
        """True where a pixel is data, and all of its coarse one is shown."""
        return np.asarray(self.whole.valid(box) & self._known(box))

    def _known(self, box: Box) -> Array:
        by = Factors.in_plane(self.factor)
        coarse = box.coarsened(by)
        return by.repeated(self.shown.whole(coarse)[None, None])[box.within(coarse.refined(by)).index]


def _as_shown(source: Scene, result: Scene, shown: _Shown) -> tuple[Scene, Scene]:
    """Source and result with no data where the result shows pixels of the source in part, on grids that fit."""
    fills = tuple(0 if band.nodata is None else band.nodata for band in result.bands)
    placed = PlacedSource(result.source, shown.window, fills)
    return (
        replace(source, source=_ShownSource(source.source, shown, 1)),
        replace(
            result, source=_ShownSource(placed, shown, shown.factor), grid=result.grid.cropped(shown.window), scale=None
        ),
    )


def area_check(result: Scene) -> Iterator[Check]:
    """Whether a result holds data inside its polygons alone."""
    provenance = provenance_of(result)
    area, by, origin = _area(provenance)
    if area is None:
        return
    bounded, wrong = AreaSource(result.source, area, (0,) * len(result.bands), by, origin), 0
    for box in Box.whole(result.shape).tiles((1, 1024, 1024)):
        wrong += int((result.source.valid(box) & ~bounded.inside(box)).sum())
    yield Check("no data outside the polygons", wrong == 0, f"{wrong} pixels differ" if wrong else "")


def guide_check(source: Scene, result: Scene, guide: Scene | None) -> Iterator[Check]:
    """Whether a guide's bands in a result are the guide's."""
    group = next((group for group in provenance_of(result).groups or () if group.of is not None), None)
    if group is None or provenance_of(source).groups is not None:
        return
    promise = f"bands {', '.join(group.bands)} are the {group.of}'s"
    if guide is None:
        yield Check(promise, None, f"to check them, give --input {group.of}=FILE")
        return
    if group.model is not None:
        yield Check(promise, None, f"they were made {group.factor} times finer since, by {group.model}")
        return
    factor = result.shape[3] // source.shape[3]
    places = [i for i, band in enumerate(result.bands) if band.name in group.bands]
    there = {band.name for band in guide.bands}
    names = [name if name in there else name.removeprefix(APART) for name in group.bands]
    wanted = fitted(source, guide.select(names), relation(source, guide), factor, stored=True).scene
    wrong = 0
    for box in Box.whole(result.shape).tiles((1, 1024, 1024)):
        known = wanted.source.valid(box)
        differ = wanted.source.read(box) != result.source.read(box)[:, places]
        wrong += int((differ & known).sum())
    yield Check(promise, wrong == 0, f"{wrong} pixels differ" if wrong else "")
