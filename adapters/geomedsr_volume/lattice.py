"""The positions of a volume's voxels: the three axes of its file, one of which is the slice axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry.grid import Plane
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.sources import Array

Triple = tuple[float, float, float]

ORDINALS = ("first", "second", "third")

#: A spacing is taken for that of slices if it is larger than both others by more than this factor.
_COARSER = 1.1

#: Two directions are orthogonal if their cosine is below this; the shear is then not visible.
_SQUARE = 1e-3


@dataclass(frozen=True)
class Lattice:
    """The voxels of a file: centres at ``origin + Σ index · spacing · direction``, in mm.

    Positions are towards left, posterior and superior. ``sizes``, ``spacing`` and ``directions`` are in the order of
    the file's axes, the fastest first; the directions have length 1 and need not be orthogonal. ``axis`` is the slice
    axis; the first of the other two is ``x`` in a slice.
    """

    origin: Triple
    directions: tuple[Triple, Triple, Triple]
    spacing: Triple
    sizes: tuple[int, int, int]
    axis: int = 2

    @classmethod
    def of(cls, matrix: Array, sizes: Sequence[int], axis: int = 2) -> Lattice:
        """From the matrix ``(4, 4)`` from indices to positions; an axis without a direction gets that of the normal."""
        columns = np.array(matrix[:3, :3], np.float64)
        spacing = np.linalg.norm(columns, axis=0)
        for empty in np.flatnonzero(spacing == 0):
            one, other = (columns[:, a] for a in range(3) if a != empty)
            normal = np.cross(one, other)
            spacing[empty], columns[:, empty] = 1.0, normal / (np.linalg.norm(normal) or 1.0)
        units = columns / spacing
        directions = triple(units[:, 0]), triple(units[:, 1]), triple(units[:, 2])
        i, j, k = (int(size) for size in sizes)
        return cls(triple(matrix[:3, 3]), directions, triple(spacing), (i, j, k), axis)

    @property
    def in_plane(self) -> tuple[int, int]:
        """The axes that are ``x`` and ``y`` in a slice."""
        first, second = (a for a in range(3) if a != self.axis)
        return first, second

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The plane of each slice."""
        x, y = self.in_plane
        step = np.array(self.directions[self.axis])
        return tuple(
            Plane(
                position=triple(np.array(self.origin) + n * self.spacing[self.axis] * step),
                along_row=self.directions[x],
                along_column=self.directions[y],
                spacing=(self.spacing[y], self.spacing[x]),
            )
            for n in range(self.sizes[self.axis])
        )

    @property
    def flat(self) -> bool:
        """Whether its first slice is at 0 on the third axis of space, and parallel to the other two."""
        return self.origin[2] == 0 and all(d[2] == 0 for d in self.directions[:2]) and self.directions[2] == (0, 0, 1)

    @property
    def square(self) -> bool:
        """Whether its axes are orthogonal."""
        units = np.array(self.directions)
        return bool(np.abs(units @ units.T - np.eye(3)).max() < _SQUARE)

    def moved(self, first: Plane, height: int, width: int, slices: int = 1) -> Lattice:
        """The lattice of a finer grid or a window, with ``first`` as first plane, and ``slices`` slices from each."""
        x, y = self.in_plane
        spacing, sizes = list(self.spacing), list(self.sizes)
        (spacing[y], spacing[x]), (sizes[y], sizes[x]) = first.spacing, (height, width)
        spacing[self.axis], sizes[self.axis] = spacing[self.axis] / slices, sizes[self.axis] * slices
        i, j, k = sizes
        return Lattice(first.position, self.directions, triple(spacing), (i, j, k), self.axis)

    def indices(self, first: Plane, slices: int = 1) -> Array:
        """The matrix ``(4, 4)`` from the indices of such a grid to those of this one, in the order of the file's axes.

        It is exact if factors are whole numbers and windows begin at pixels of the finer grid.
        """
        x, y = self.in_plane
        own = self.planes[0]
        matrix = np.eye(4)
        frame = np.column_stack([np.array(own.along_row) * own.spacing[1], np.array(own.along_column) * own.spacing[0]])
        if slices > 1:  # the first slice is shifted along the slice axis
            frame = np.column_stack([frame, self.directions[self.axis]])
            matrix[self.axis, self.axis], matrix[self.axis, 3] = 1 / slices, (1 / slices - 1) / 2
        start = np.linalg.lstsq(frame, np.subtract(first.position, own.position), rcond=None)[0]
        for axis, begins, ratio in (
            (x, float(start[0]), own.spacing[1] / first.spacing[1]),
            (y, float(start[1]), own.spacing[0] / first.spacing[0]),
        ):
            factor = _near(ratio, 1)
            matrix[axis, axis], matrix[axis, 3] = 1 / factor, _near(begins, 2 * round(max(factor, 1)))
        return matrix

    @property
    def matrix(self) -> Array:
        """The matrix ``(4, 4)`` from indices to positions."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(self.directions).T * np.array(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix


def slice_axis(sizes: Sequence[int], spacing: Sequence[float], header: int | None = None) -> tuple[int, str]:
    """The slice axis, and the reason for it in words; the reason is empty for the third axis by default.

    It is the axis with a single voxel, if there is one; else the axis that the header states (``dim_info``); else the
    axis with a spacing much larger than both others; else the third.
    """
    single = [a for a in range(3) if sizes[a] == 1]
    if len(single) == 1 and single != [2]:
        return single[0], "along which there is one voxel"
    largest = max(range(3), key=lambda a: spacing[a])
    others = max(s for a, s in enumerate(spacing) if a != largest)
    coarse = largest if spacing[largest] > _COARSER * others and not single else None
    sizes_in_mm = " × ".join(f"{s:.4g}" for s in spacing)
    if header is not None:
        also = "" if coarse in (None, header) else f", though voxels are {sizes_in_mm} mm"
        return header, f"as its header says{also}" if header != 2 or also else ""
    if coarse is not None and coarse != 2:
        return coarse, f"since voxels are {sizes_in_mm} mm"
    return 2, ""


def chosen_axis(
    asked: int | None, provenance: Provenance, sizes: Sequence[int], spacing: Sequence[float], header: int | None
) -> tuple[int, str, Provenance]:
    """The slice axis from 0, the reason for it in words, and a provenance that states it.

    The user's choice, or the axis that geomedsr wrote, takes precedence.

    Raises:
        InputError: there is no such axis, or no images along it.
    """
    if asked is not None and asked not in (1, 2, 3):
        raise InputError(f"the slice axis {asked}", "1, 2 or 3", "count the file's axes from 1")
    known = asked or provenance.chosen.slice_axis
    axis, why = (known - 1, "") if known else slice_axis(sizes, spacing, header)
    if asked is not None and sum(size > 1 for a, size in enumerate(sizes) if a != axis) < 2:
        raise InputError(
            f"the slice axis {asked} of {' × '.join(map(str, sizes))} voxels",
            "slices of more than a row",
            "take another",
        )
    return axis, why, provenance.choosing(slice_axis=axis + 1) if known or axis != 2 else provenance


def _near(value: float, parts: int) -> float:
    """The value, rounded to a multiple of ``1 / parts`` if it differs from one only by rounding errors."""
    whole = round(value * parts) / parts
    return whole if abs(value - whole) < 1e-4 else value


def triple(values: Sequence[float] | Array | Any) -> Triple:
    """Three floats."""
    x, y, z = (float(v) for v in values)
    return x, y, z
