"""The slices of a result: their positions, the source slices that they come from, and the header entries for both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import DS

from geomedsr.geometry.grid import Plane
from geomedsr.scene.frames import Lineage
from geomedsr_dicom.attributes import load, number, values, whole
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.uids import Uids

#: Dimension pointers of a multi-frame image that give a frame's position: InStackPositionNumber and
#: ImagePositionPatient.
_PLACES = (0x00209057, 0x00200032)

#: How far SliceLocation may deviate from the position of slices, relative to the distance.
_ASTRAY = 0.05


@dataclass(frozen=True)
class ResultSlice:
    """A slice of a result, the ``number``-th from 0.

    ``sources`` are the slices that it comes from: first the one whose header it inherits, then the context slices. It
    is the ``part``-th from 0, along the normal, of ``parts`` slices made from the first; these are ``apart`` mm from
    each other.
    """

    number: int
    plane: Plane
    sources: tuple[Frame, ...]
    part: int = 0
    parts: int = 1
    apart: float = 0.0

    @property
    def source(self) -> Frame:
        """The source slice at its position."""
        return self.sources[0]

    @property
    def offset(self) -> float:
        """Its distance from the source slice along the normal, in mm."""
        return self.plane.depth - self.source.plane.depth


def result_slices(frames: Sequence[Frame], planes: Sequence[Plane], lineage: Lineage) -> tuple[ResultSlice, ...]:
    """The slices of a result at ``planes``, made from ``frames``."""
    if not lineage:
        pairs = zip(frames, planes, strict=True)
        return tuple(ResultSlice(i, plane, (frame,)) for i, (frame, plane) in enumerate(pairs))
    apart = abs(planes[1].depth - planes[0].depth) if len(lineage) > len(frames) else 0.0
    made: list[ResultSlice] = []
    for _, group in groupby(range(len(lineage)), key=lambda i: lineage[i][0]):
        numbers = list(group)
        for part, i in enumerate(numbers):
            sources = tuple(frames[of] for of in lineage[i])
            made.append(ResultSlice(i, planes[i], sources, part, len(numbers), apart))
    return tuple(made)


def by_file(slices: Iterable[ResultSlice]) -> dict[str, list[ResultSlice]]:
    """The slices that are made from each file, in the order of its frames."""
    found: dict[str, list[ResultSlice]] = {}
    for slice_ in slices:
        found.setdefault(slice_.source.path, []).append(slice_)
    return {path: _in_order(own) for path, own in found.items()}


def _in_order(slices: list[ResultSlice]) -> list[ResultSlice]:
    """New slices sorted along the normal, or against it if the file's frames are."""
    frames = sorted((slice_.source for slice_ in slices), key=lambda frame: frame.index)
    way = 1 if frames[-1].plane.depth >= frames[0].plane.depth else -1
    return sorted(slices, key=lambda slice_: (slice_.source.index, way * slice_.part))


def locations_follow(frames: Sequence[Frame]) -> float | None:
    """Whether SliceLocation grows along the normal (1) or against it (-1); None if it does not follow the slices."""
    ends = frames[0], frames[-1]
    way = ends[1].plane.depth - ends[0].plane.depth
    if not way:
        return 1.0
    locations = [number(load(frame.path, specific_tags=["SliceLocation"])[0].get("SliceLocation")) for frame in ends]
    if locations[0] is None or locations[1] is None:
        return 1.0
    slope = (locations[1] - locations[0]) / way
    return float(np.sign(slope)) if abs(abs(slope) - 1) <= _ASTRAY else None


def thinner(ds: Dataset, slice_: ResultSlice) -> None:
    """Update SliceThickness and SpacingBetweenSlices (C.7.6.2), if present, for new slices."""
    if slice_.parts == 1:
        return
    if slice_.plane.thickness is not None and ds.get("SliceThickness"):
        ds.SliceThickness = decimal(slice_.plane.thickness)
    if ds.get("SpacingBetweenSlices"):
        ds.SpacingBetweenSlices = decimal(slice_.apart)


def placed(ds: Dataset, slice_: ResultSlice, along: float | None) -> None:
    """Update the attributes of a single-frame image that depend on a new slice's place in its series."""
    if slice_.parts == 1:
        return
    thinner(ds, slice_)
    ds.InstanceNumber = slice_.number + 1
    if (location := number(ds.get("SliceLocation"))) is not None:
        if along is None:
            del ds.SliceLocation
        else:
            ds.SliceLocation = decimal(location + along * slice_.offset)


def stacked(ds: Dataset, slices: Sequence[ResultSlice], uids: Uids) -> None:
    """Update the stack and dimension indices of a multi-frame image's frames (C.7.6.16.2.2, C.7.6.17)."""
    if slices[0].parts == 1:
        return
    contents = [(item.get("FrameContentSequence") or [Dataset()])[0] for item in ds.PerFrameFunctionalGroupsSequence]
    places = _renumbered([whole(content.get("InStackPositionNumber")) for content in contents], slices)
    for content, place in zip(contents, places, strict=False):
        content.InStackPositionNumber = place
    pointers = [int(item.get("DimensionIndexPointer") or 0) for item in ds.get("DimensionIndexSequence") or []]
    at = next((i for i, pointer in enumerate(pointers) if pointer in _PLACES), len(pointers) - 1)
    indices = [values(content.get("DimensionIndexValues")) for content in contents]
    places = _renumbered([index[at] if 0 <= at < len(index) else None for index in indices], slices)
    for content, index, place in zip(contents, indices, places, strict=False):
        content.DimensionIndexValues = [place if i == at else value for i, value in enumerate(index)]
    for name in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in ds.get(name) or []:
            if "DimensionOrganizationUID" in item:
                item.DimensionOrganizationUID = uids.dimensions(str(item.DimensionOrganizationUID))


def _renumbered(old: Sequence[int | None], slices: Sequence[ResultSlice]) -> list[int]:
    """New position numbers from 1, with one for each new slice; empty if a frame has no number."""
    numbers = [number for number in old if number is not None]
    if len(numbers) < len(old):
        return []
    depths = [slice_.source.plane.depth for slice_ in slices]
    grows = numbers[int(np.argmax(depths))] >= numbers[int(np.argmin(depths))]
    parts = (slice_.part if grows else slice_.parts - 1 - slice_.part for slice_ in slices)
    return [(number - 1) * slice_.parts + part + 1 for number, slice_, part in zip(numbers, slices, parts, strict=True)]


def decimal(value: float) -> Any:
    """A decimal string of at most 16 characters."""
    return DS(float(value if abs(value) < 1e-6 else np.round(value, 12)) + 0.0, auto_format=True)
