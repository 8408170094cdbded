"""The slices of a file: where each lies and what its values mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from geomedsr.grid import Plane
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


class Refused(Exception):
    """A header that cannot be used: what was got, expected, and the remedy."""


@dataclass(frozen=True)
class Frame:
    """One slice: which frame of which file, and what holds for it alone.

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


def classic_frame(path: str, ds: Dataset) -> Frame:
    """The one slice of a single-frame image.

    Raises:
        Refused: it does not say where it lies, or what its values mean.
    """
    if not ds.get("SOPInstanceUID"):
        raise Refused("a slice without a SOPInstanceUID", "one", "correct it with `dcmodify`")
    if int(ds.get("NumberOfFrames") or 1) != 1:
        raise Refused("several frames in a single-frame image", "one slice per file", "see `dciodvfy`")
    return Frame(
        path=path,
        index=0,
        uid=str(ds.SOPInstanceUID),
        plane=_plane(ds, ds, ds),
        **_rescale(ds, str(ds.get("RescaleType") or "")),
        padding=_padding(ds),
        phases=_phases(ds),
    )


def enhanced_frames(path: str, ds: Dataset) -> tuple[Frame, ...]:
    """The slices of a multi-frame image (PS3.3 C.7.6.16), in the file's order.

    Raises:
        Refused: as above.
    """
    shared = first(ds, "SharedFunctionalGroupsSequence") or Dataset()
    own = list(ds.get("PerFrameFunctionalGroupsSequence") or [])
    count = int(ds.get("NumberOfFrames") or 1)
    if len(own) != count:
        raise Refused(f"{len(own)} functional groups for {count} frames", "one per frame", "see `dciodvfy`")
    frames = []
    for index, item in enumerate(own):

        def group(name: str, item: Dataset = item) -> Dataset:
            return first(item, name) or first(shared, name) or Dataset()

        for kind in ("CT", "MR"):
            frame_type = [str(v).upper() for v in values(group(f"{kind}ImageFrameTypeSequence").get("FrameType"))]
            if "LOCALIZER" in frame_type[2:]:
                raise Refused("a localizer (scout)", "a series of slices", "take another series")
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
    row, column = np.array(axes[:3]), np.array(axes[3:])
    if abs(row @ row - 1) > 0.01 or abs(column @ column - 1) > 0.01 or abs(row @ column) > 0.01:
        raise Refused("an ImageOrientationPatient that is no pair of unit vectors at right angles", "one", "correct it")
    return Plane(
        position=(place[0], place[1], place[2]),
        along_row=(axes[0], axes[1], axes[2]),
        along_column=(axes[3], axes[4], axes[5]),
        spacing=(spacing[0], spacing[1]),
    )


def _rescale(ds: Dataset, kind: str) -> dict[str, Any]:
    slope, intercept = ds.get("RescaleSlope"), ds.get("RescaleIntercept")
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):
        raise Refused(f"a rescale slope of {slope:g}", "a positive number", "correct it")
    return {"slope": slope, "intercept": intercept, "units": kind}


def _padding(ds: Dataset) -> tuple[int, int] | None:
    """PS3.3 C.7.5.1.1.2: one value, or all from it to the range limit, in either order."""
    first = ds.get("PixelPaddingValue")
    if first is None:
        return None
    last = ds.get("PixelPaddingRangeLimit")
    ends = [int(v) for v in (first, first if last is None else last)]
    bits = int(ds.BitsAllocated)
    if ds.get("PixelRepresentation") == 1:  # written as unsigned in some files
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
