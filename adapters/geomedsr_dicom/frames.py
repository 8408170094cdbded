"""The slices of a file: where each lies and what its values mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from geomedsr.geometry.grid import Plane
from geomedsr_dicom.attributes import first, number, values

#: What tells the times, echoes and directions of a 4-D series apart, in the order in which it is tried.
PHASES = (
    "TemporalPositionIdentifier",
    "TriggerTime",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "AcquisitionNumber",
    "AcquisitionTime",
)


#: The refusal of a scout.
LOCALIZER = ("a localizer (scout)", "a series of slices", "take another series")

#: Axes that differ by more than the first number from orthogonal unit vectors are corrected, with a warning; by more
#: than the second, they are refused.
SKEW, MOST_SKEW = 1e-4, 0.01


#: The RescaleType of values without a unit (PS3.3 C.11.1.1.2).
UNSPECIFIED = "US"


class Refused(Exception):
    """Raised for a header that cannot be used: what was got, what is expected, and the remedy."""


@dataclass(frozen=True)
class Frame:
    """One slice: its file, its frame number, and its own attributes.

    ``phases`` are the values of :data:`PHASES` (and last the instance number), None where absent. Values from
    ``padding[0]`` to ``padding[1]`` are no data.
    """

    path: str
    index: int
    uid: str
    plane: Plane
    slope: float
    intercept: float
    units: str
    padding: tuple[int, int] | None
    phases: tuple[float | None, ...]


def classic_frames(path: str, ds: Dataset) -> tuple[Frame, ...]:
    """The slices of an image without functional groups: usually one frame, sometimes several.

    The positions of several frames come from GridFrameOffsetVector, else from the distance between slices; the frames
    of a cine are in one place.

    Raises:
        Refused: the position or the meaning of values is missing.
    """
    if not ds.get("SOPInstanceUID"):
        raise Refused("a slice without a SOPInstanceUID", "one", "correct it with `dcmodify`")
    plane, normal = _plane(ds, ds, ds), np.zeros(3)
    offsets = _offsets(ds)
    if any(offsets):
        normal = np.array(plane.normal)
    rescale, padding, phases = _rescale(ds, str(ds.get("RescaleType") or "")), _padding(ds), _phases(ds)
    frames = []
    for index, offset in enumerate(offsets):
        moved = plane.moved(offset * normal) if offset else plane
        frames.append(
            Frame(
                path=path,
                index=index,
                uid=str(ds.SOPInstanceUID),
                plane=moved,
                **rescale,
                padding=padding,
                phases=phases,
            )
        )
    return tuple(frames)


def _offsets(ds: Dataset) -> list[float]:
    """The distance of each frame from the first along the normal, in mm, for an image without functional groups."""
    count = int(ds.get("NumberOfFrames") or 1)
    offsets = [float(v) for v in values(ds.get("GridFrameOffsetVector"))]
    if len(offsets) == count:
        return [v - offsets[0] for v in offsets]
    over_time = any(pointer in (0x00181063, 0x00181065) for pointer in values(ds.get("FrameIncrementPointer")))
    step = 0.0 if over_time else number(ds.get("SpacingBetweenSlices")) or number(ds.get("SliceThickness")) or 0.0
    return [index * step for index in range(count)]


def enhanced_frames(path: str, ds: Dataset) -> tuple[Frame, ...]:
    """The slices of a multi-frame image (PS3.3 C.7.6.16), in the file's order.

    Raises:
        Refused: as above.
    """
    shared = first(ds, "SharedFunctionalGroupsSequence") or Dataset()
    items = list(ds.get("PerFrameFunctionalGroupsSequence") or [])
    count = int(ds.get("NumberOfFrames") or 1)
    if len(items) != count:
        raise Refused(f"{len(items)} functional groups for {count} frames", "one per frame", "see `dciodvfy`")
    frames = []
    for index, item in enumerate(items):

        def group(name: str, item: Dataset = item) -> Dataset:
            """A functional group of the frame: its own attributes, completed by the shared ones."""
            own, common = first(item, name), first(shared, name)
            if not own or not common:
                return own or common or Dataset()
            said = Dataset()
            said.update(common)
            said.update(own)
            return said

        for kind in ("CT", "MR"):
            frame_type = [str(v).upper() for v in values(group(f"{kind}ImageFrameTypeSequence").get("FrameType"))]
            if "LOCALIZER" in frame_type[2:]:
                raise Refused(*LOCALIZER)
        value = group("PixelValueTransformationSequence")
        phases = Dataset()
        for name in ("FrameContentSequence", "MREchoSequence", "MRDiffusionSequence", "CardiacSynchronizationSequence"):
            phases.update(group(name))
        frames.append(
            Frame(
                path=path,
                index=index,
                uid=str(ds.SOPInstanceUID),
                plane=_plane(
                    group("PixelMeasuresSequence"), group("PlaneOrientationSequence"), group("PlanePositionSequence")
                ),
                **_rescale(value, str(value.get("RescaleType") or "")),
                padding=_padding(ds),
                phases=(
                    number(phases.get("TemporalPositionIndex")),
                    number(phases.get("NominalCardiacTriggerDelayTime")),
                    None,
                    number(phases.get("EffectiveEchoTime")),
                    number(phases.get("DiffusionBValue")),
                    *(None,) * (len(PHASES) - 5),
                    float(index),
                ),
            )
        )
    return tuple(frames)


def _plane(measures: Dataset, orientation: Dataset, position: Dataset) -> Plane:
    spacing = _numbers(measures, "PixelSpacing", 2, "no spacing of its pixels")
    axes = _numbers(orientation, "ImageOrientationPatient", 6, "no orientation")
    place = _numbers(position, "ImagePositionPatient", 3, "no position")
    if min(spacing) <= 0:
        raise Refused("a PixelSpacing that is not positive", "distances in mm", "correct it")
    if skew(axes) > MOST_SKEW:
        raise Refused("an ImageOrientationPatient that is no pair of unit vectors at right angles", "one", "correct it")
    if skew(axes) > SKEW:
        axes = _upright(axes)
    return Plane(
        position=(place[0], place[1], place[2]),
        along_row=(axes[0], axes[1], axes[2]),
        along_column=(axes[3], axes[4], axes[5]),
        spacing=(spacing[0], spacing[1]),
        thickness=_thickness(measures),
    )


def _thickness(measures: Dataset) -> float | None:
    """In mm; None where it is absent or zero."""
    stated = number(measures.get("SliceThickness"))
    return stated if stated is not None and 0 < stated < math.inf else None


def skew(axes: list[float]) -> float:
    """How far the six numbers of an ImageOrientationPatient are from two orthogonal unit vectors."""
    row, column = np.array(axes[:3]), np.array(axes[3:])
    return float(max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)))


def largest_skew(ds: Dataset) -> float:
    """The largest skew in an image, whose frames may have different axes."""
    items = [*(ds.get("SharedFunctionalGroupsSequence") or []), *(ds.get("PerFrameFunctionalGroupsSequence") or [])]
    skews = [
        values((first(item, "PlaneOrientationSequence") or item).get("ImageOrientationPatient"))
        for item in (ds, *items)
    ]
    return max((skew([float(v) for v in axes]) for axes in skews if len(axes) == 6), default=0.0)


def _upright(axes: list[float]) -> list[float]:
    """The nearest pair of orthogonal unit vectors; both axes are turned by the same angle."""
    u, _, vt = np.linalg.svd(np.array(axes).reshape(2, 3), full_matrices=False)
    return [float(v) for v in (u @ vt).ravel()]


def _rescale(ds: Dataset, kind: str) -> dict[str, Any]:
    slope, intercept = ds.get("RescaleSlope"), ds.get("RescaleIntercept")
    if slope is None and intercept is None and kind.upper() in ("", "HU"):
        kind = UNSPECIFIED  # there is no evidence of Hounsfield units
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):
        raise Refused(f"a rescale slope of {slope:g}", "a positive number", "correct it")
    return {"slope": slope, "intercept": intercept, "units": kind}


def _padding(ds: Dataset) -> tuple[int, int] | None:
    """The padding (PS3.3 C.7.5.1.1.2): one value, or the range from it to the range limit, in either order."""
    first = ds.get("PixelPaddingValue")
    if first is None:
        return None
    last = ds.get("PixelPaddingRangeLimit")
    ends = [int(v) for v in (first, first if last is None else last)]
    bits = int(ds.BitsAllocated)
    if ds.get("PixelRepresentation") == 1:  # some files store it as unsigned
        ends = [v - 2**bits if v >= 2 ** (bits - 1) else v for v in ends]
    return min(ends), max(ends)


def _phases(ds: Dataset) -> tuple[float | None, ...]:
    return (*(number(ds.get(name)) for name in PHASES), number(ds.get("InstanceNumber")))


def _numbers(ds: Dataset, keyword: str, count: int, what: str) -> list[float]:
    found = values(ds.get(keyword))
    if len(found) != count:
        raise Refused(f"{what} ({keyword})", f"{count} numbers", "take a series that says where its pixels lie")
    numbers = [float(v) for v in found]
    if not np.isfinite(numbers).all():
        raise Refused(f"{keyword} that is not finite", f"{count} numbers", "correct it")
    return numbers
