"""New slices between the slices of a series: where they lie, and which series allow none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry.stacking import Stacking, volumes_of

if TYPE_CHECKING:
    from geomedsr.geometry.grid import Plane

#: How far planes may lie from equal steps: this share of the step between new slices, or this many mm.
_UNEVEN, _ROUNDED = 0.05, 0.01

#: Slices are contiguous if thickness and distance differ by no more than this share of the distance.
_CONTIGUOUS = 0.05

#: What to do where no new slices can be made.
_OTHERWISE = "choose another series, or a model that leaves slices as they are"


def finer_slices(planes: Sequence[Plane], factor: int) -> tuple[Plane, ...]:
    """``factor`` planes from each, evenly spaced about its position along the stack.

    The outer faces of the stack stay where they are, and each plane lies at the mean position of the planes made from
    it. Several volumes in a row are handled one by one. Slices with a thickness get the new thickness.

    Raises:
        InputError: the slices are not contiguous, or not evenly stacked along their normal.
    """
    volumes = volumes_of(planes)
    length = len(planes) // volumes
    made: list[Plane] = []
    for first in range(0, len(planes), length):
        volume = planes[first : first + length]
        step = _step(volume, factor)
        thickness = abs(float(step @ np.array(volume[0].normal))) / factor
        along = [(part + 0.5) / factor - 0.5 for part in range(factor)]
        for plane in volume:
            own = plane if plane.thickness is None else replace(plane, thickness=thickness)
            made += [own.moved(share * step) for share in along]
    return tuple(made)


def _step(planes: Sequence[Plane], factor: int) -> np.ndarray:
    """The vector from one plane of a volume to the next, in mm."""
    first = planes[0]
    thicknesses = [plane.thickness for plane in planes if plane.thickness is not None]
    if len(planes) == 1:
        if not thicknesses:
            raise InputError("new slices of one without a thickness", "its SliceThickness", _OTHERWISE)
        alone: np.ndarray = thicknesses[0] * np.array(first.normal)
        return alone
    faults = Stacking.of(planes).faults
    places = np.array([plane.position for plane in planes])
    step: np.ndarray = (places[-1] - places[0]) / (len(planes) - 1)
    size = float(np.linalg.norm(step))
    off = np.linalg.norm(places - places[0] - np.arange(len(places))[:, None] * step, axis=1).max()
    if not faults and (size == 0 or off > max(_UNEVEN * size / factor, _ROUNDED)):
        faults = [f"places up to {off:.2g} mm from equal steps"] if size else ["all slices in one place"]
    if faults:
        raise InputError(
            f"new slices of {len(planes)} with {' and '.join(faults)}",
            "slices at equal steps, side by side",
            _OTHERWISE,
        )
    apart = abs(float(step @ np.array(first.normal)))
    for thickness in thicknesses:
        if abs(thickness - apart) > _CONTIGUOUS * apart:
            what = "gaps between them" if thickness < apart else "overlaps"
            raise InputError(
                f"new slices of {len(planes)} with {what}: {thickness:.4g} mm thick, {apart:.4g} mm apart",
                "slices side by side, as thick as they are apart",
                _OTHERWISE,
            )
    return step
