"""How the planes of a series lie in space, and whether they are evenly stacked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from geomedsr.geometry.grid import Plane

#: A stack is no regular grid, as volume files describe, if a step differs from the median by more than this share, or
#: if the stack is tilted by more than this angle.
UNEVEN, TILT_DEGREES = 0.05, 1.0

#: Positions nearer than this are the same (mm).
_SAME = 1e-3

#: Positions in a group no wider than the second number (mm) are also the same, if the next group is at least the first
#: number times as far away. Scanners write the position of one slice at several times with a few micrometres of jitter.
_RATIO, _JITTER = 20.0, 0.05


def same_place(depths: Sequence[float] | np.ndarray, least: float = _SAME) -> float:
    """The distance along a line, in mm, up to which two slices lie in the same place.

    It is ``least``, but at least a micrometre, or the jitter of one slice at several times where that is larger.
    """
    line = np.sort(np.asarray(depths, np.float64))
    gaps, least = np.diff(line), max(least, _SAME)
    ends = np.flatnonzero(gaps > _JITTER)
    if not ends.size:
        return least
    widths = line[np.append(ends, len(line) - 1)] - line[np.append(0, ends + 1)]
    widest = float(widths.max())
    return max(least, widest) if widest <= _JITTER and _RATIO * widest <= gaps[ends].min() else least


@dataclass(frozen=True)
class Stacking:
    """How a series of parallel planes, in their order, is stacked.

    ``step`` is the median distance between neighbours along the normal, in mm (0 for a single position); ``uneven``
    the largest relative deviation from it; ``missing`` the number of slices that would fit in the gaps; ``duplicates``
    the number of slices in the same place as the one before. ``tilt`` is the angle in degrees between the normal and
    the line from the first slice to the last, or between the normals of two slices, whichever is larger.
    """

    step: float
    uneven: float
    missing: int
    duplicates: int
    tilt: float

    @classmethod
    def of(cls, planes: Sequence[Plane]) -> Stacking:
        """The stacking of planes that are already sorted."""
        normal = np.array(planes[0].normal)
        first, last = (np.array(p.position) for p in (planes[0], planes[-1]))
        depths = [float(np.dot(p.position, normal)) for p in planes]
        steps = np.array([b - a for a, b in pairwise(depths)])
        same = same_place(depths)
        moving = steps[np.abs(steps) > same]
        step = float(np.median(moving)) if moving.size else 0.0
        tilt = max(_angle(normal, np.array(p.normal)) for p in planes)
        if abs(depths[-1] - depths[0]) > same:
            tilt = max(tilt, _angle(normal, last - first))
        missing = int(np.maximum(np.rint(moving / step) - 1, 0).sum()) if step else 0
        uneven = float(np.abs(moving / step - 1).max()) if step else 0.0
        return cls(step, uneven, missing, len(steps) - len(moving), tilt)

    @property
    def faults(self) -> list[str]:
        """What keeps the stack from being a regular grid, in words."""
        found = []
        if self.missing:
            found.append(f"gaps where {self.missing} slice{'s' * (self.missing != 1)} would fit")
        elif self.uneven > UNEVEN:
            found.append(f"slice spacing that differs by up to {self.uneven:.0%} from {abs(self.step):.4g} mm")
        if self.duplicates:
            found.append(f"{self.duplicates} slice{'s' * (self.duplicates != 1)} at the position of another")
        if self.tilt > TILT_DEGREES:
            found.append(f"slices stacked {self.tilt:.1f}° off their normal")
        return found


def volumes_of(planes: Sequence[Plane]) -> int:
    """How many times the same stack of slices is repeated, as in a time series; 1 for a single volume."""
    places = np.array([p.position for p in planes])
    near = max(_SAME, 0.01 * min(planes[0].spacing))
    again = np.flatnonzero(np.linalg.norm(places - places[0], axis=1) <= near)
    if len(again) < 2:
        return 1
    count = int(again[1])
    if len(planes) % count or not np.array_equal(again, np.arange(0, len(planes), count)):
        return 1
    apart = np.linalg.norm(places.reshape(-1, count, 3) - places[:count], axis=2)
    return len(planes) // count if apart.max() <= near else 1


def volume_length(planes: Sequence[Plane]) -> int:
    """The number of slices in one volume of a series; all slices, if they lie in one place."""
    length = len(planes) // volumes_of(planes)
    return length if length > 1 else len(planes)


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """The angle between two directions regardless of sign, in degrees."""
    cosine = abs(float(np.dot(one, other))) / float(np.linalg.norm(one) * np.linalg.norm(other))
    return math.degrees(math.acos(min(1.0, cosine)))
