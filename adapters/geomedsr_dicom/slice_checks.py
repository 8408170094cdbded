"""Checks of the headers of new slices: their positions, and the slices that they come from."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from geomedsr.checks import Check
from geomedsr.geometry import Factors
from geomedsr.scene.scene import Scene
from geomedsr_dicom.attributes import first, load, number, quiet, values, whole
from geomedsr_dicom.frames import Frame

#: The tolerance of lengths in mm: decimal strings are rounded.
_NEAR = 1e-3

#: Attributes that change in new slices, besides those that change in every derived image.
OWN = (
    *("InstanceNumber", "SliceThickness", "SpacingBetweenSlices", "SliceLocation", "NumberOfFrames"),
    *("DimensionOrganizationSequence", "DimensionIndexSequence"),
)


def slice_checks(source: Scene, result: Scene) -> list[Check]:
    """Checks of the headers of new slices; empty for a result with as many slices as its source."""
    parts = result.shape[0] // source.shape[0]
    if parts == 1:
        return []
    with quiet():
        headers = {path: load(path)[0] for path in result.files}
    pairs = [
        (source.headers[i // parts], made, _Said(headers[made.path], made)) for i, made in enumerate(result.headers)
    ]
    return [
        _lineage(pairs),
        _depths(source, result, [said for _, _, said in pairs], parts),
        _numbers(headers, [(made, said) for _, made, said in pairs]),
    ]


class _Said:
    """The header entries for one slice."""

    def __init__(self, ds: Dataset, frame: Frame) -> None:
        groups = ds.get("PerFrameFunctionalGroupsSequence")
        own, shared = (groups[frame.index], first(ds, "SharedFunctionalGroupsSequence")) if groups else (ds, None)
        group = first(own, "PixelMeasuresSequence") or (first(shared, "PixelMeasuresSequence") if shared else None)
        self.measures = group or ds
        self.derivation = (first(own, "DerivationImageSequence") if groups else ds) or Dataset()
        self.content = (first(own, "FrameContentSequence") if groups else None) or Dataset()
        self.location = number(own.get("SliceLocation"))


def _lineage(pairs: list[tuple[Frame, Frame, _Said]]) -> Check:
    """Whether each slice names the slice at its position as its first source."""
    wrong = 0
    for before, _, said in pairs:
        named = first(said.derivation, "SourceImageSequence") or Dataset()
        frame = whole(named.get("ReferencedFrameNumber"))
        wrong += named.get("ReferencedSOPInstanceUID") != before.uid or frame not in (None, before.index + 1)
    return Check("each slice names the one that it comes from", not wrong, f"{wrong} slices" if wrong else "")


def _depths(source: Scene, result: Scene, said: list[_Said], parts: int) -> Check:
    """Whether SliceThickness, SpacingBetweenSlices and SliceLocation are right, if present."""
    name = "slice thickness, spacing and location as new slices have them"
    planes = source.grid.refined(Factors(frame=parts)).planes
    apart = abs(planes[1].depth - planes[0].depth)
    faults = dict.fromkeys(("SliceThickness", "SpacingBetweenSlices", "SliceLocation"), 0)
    for plane, one in zip(planes, said, strict=True):
        thickness, spacing = (number(one.measures.get(name)) for name in ("SliceThickness", "SpacingBetweenSlices"))
        if plane.thickness is not None and thickness is not None:
            faults["SliceThickness"] += not math.isclose(thickness, plane.thickness, abs_tol=_NEAR)
        if spacing:
            faults["SpacingBetweenSlices"] += not math.isclose(abs(spacing), apart, abs_tol=_NEAR)
    depths = [plane.depth for plane in result.grid.planes]
    for (here, one), (there, other) in zip(
        zip(depths[:-1], said[:-1], strict=True), zip(depths[1:], said[1:], strict=True), strict=True
    ):
        if one.location is not None and other.location is not None:
            way = abs(other.location - one.location)
            faults["SliceLocation"] += not math.isclose(way, abs(there - here), rel_tol=0.06, abs_tol=_NEAR)
    counted = [f"{name} ({count} slices)" for name, count in faults.items() if count]
    return Check(name, not counted, "; ".join(counted))


def _numbers(headers: dict[str, Dataset], made: list[tuple[Frame, _Said]]) -> Check:
    """Whether instance numbers, and positions among the frames of an image, are unique."""
    faults = []
    if len(headers) > 1 and len({whole(ds.get("InstanceNumber")) for ds in headers.values()}) < len(headers):
        faults.append("InstanceNumber")
    indices = [(frame.path, *map(int, values(said.content.get("DimensionIndexValues")))) for frame, said in made]
    if any(len(index) > 1 for index in indices) and len(set(indices)) < len(indices):
        faults.append("DimensionIndexValues")
    name = "every instance and frame has a number of its own"
    return Check(name, not faults, f"the same for several: {', '.join(faults)}" if faults else "")
