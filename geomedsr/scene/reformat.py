"""A volume cut along other planes than its slices: axial, coronal or sagittal, as radiologists look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.geometry.stacking import Stacking, volume_length, volumes_of
from geomedsr.scene.sources import Array, Source

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene

#: The planes, each by the axis of the patient across it (DICOM: 0 to the left, 1 to the back, 2 to the head).
PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}

#: Where columns and rows of each plane lead, by axis and sign. Axial and coronal planes are seen from the feet and from
#: the front, so that the patient's left is on the right; sagittal ones from the left, with the front on the left.
_WAYS = {"axial": ((0, 1), (1, 1)), "coronal": ((0, 1), (2, -1)), "sagittal": ((1, 1), (2, -1))}


@dataclass(frozen=True)
class ReformattedSource(Source):
    """A volume ``(frame, 1, y, x)`` with its axes in another order and direction.

    ``axes`` tells for frames, rows and columns which axis of the volume, 0 to 2, they are; ``turned`` whether they run
    against it. ``slices`` are the volume's frames. ``lines`` are slope and offset of each slice, if values are to be
    physical because slices differ in them.
    """

    volume: Source
    axes: tuple[int, int, int]
    turned: tuple[bool, bool, bool]
    slices: tuple[int, int]
    lines: tuple[tuple[float, float], ...] = ()

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return self.slices[1] - self.slices[0], self.volume.shape[2], self.volume.shape[3]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, rows, columns = (self._sizes[axis] for axis in self.axes)
        return frames, self.volume.shape[1], rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """The volume's; float64 for physical values."""
        return np.dtype(np.float64) if self.lines else self.volume.dtype

    @property
    def block(self) -> tuple[int, int]:
        """A whole plane."""
        return self.shape[2:]

    @property
    def inner(self) -> Source:
        """The volume."""
        return self.volume

    def on(self, inner: Source) -> ReformattedSource:
        """The same of another volume."""
        return replace(self, volume=inner)

    def touches(self, box: Box) -> Box:
        """The box of the volume."""
        ranges = [(0, 0)] * 3
        for axis, first, last, turned in zip(self.axes, box.start, box.stop, self.turned, strict=True):
            size = self._sizes[axis]
            ranges[axis] = (size - last, size - first) if turned else (first, last)
        begin = self.slices[0]
        (a, b), (c, d), (e, f) = ranges
        return Box((begin + a, c, e), (begin + b, d, f))

    def read(self, box: Box) -> Array:
        """Values of a box."""
        there = self.touches(box)
        stored = self.volume.read(there)
        if self.lines:
            lines = np.array(self.lines[there.start[0] : there.stop[0]])
            stored = stored * lines[:, 0, None, None, None] + lines[:, 1, None, None, None]
        return self._cut(stored)

    def valid(self, box: Box) -> Array:
        """Where values of a box are data."""
        return self._cut(self.volume.valid(self.touches(box)))

    def select(self, bands: Sequence[int]) -> ReformattedSource:
        """Some of the bands."""
        return replace(self, volume=self.volume.select(bands))

    def _cut(self, values: Array) -> Array:
        order = np.moveaxis(values, 1, 0)  # band first, then the volume's axes
        made = order.transpose(0, *(axis + 1 for axis in self.axes))
        made = made[:, *(slice(None, None, -1 if turned else 1) for turned in self.turned)]
        return np.ascontiguousarray(np.moveaxis(made, 0, 1))


def reformatted(scene: Scene, plane: str, volume: int = 0) -> Scene:
    """A volume as frames along ``"axial"``, ``"coronal"`` or ``"sagittal"`` planes: those nearest to the patient's.

    The values are the volume's own, in voxels of its own size: nothing is interpolated. Oblique volumes are cut along
    their own axes.

    Raises:
        InputError: no such plane, or slices that are no even stack.
    """
    if plane not in PLANES:
        raise InputError(f"the plane {plane!r}", f"one of {', '.join(PLANES)}", "name one")
    planes = scene.grid.planes
    length = volume_length(planes) if planes else 0
    if length < 2 or (volumes_of(planes) == 1 and Stacking.of(planes).step == 0):
        raise InputError(f"{plane} planes of {scene.name}", "a stack of slices", "leave the plane out")
    own = planes[volume * length : (volume + 1) * length]
    if faults := Stacking.of(own).faults:
        what = f"{plane} planes of {scene.name} with {' and '.join(faults)}"
        raise InputError(what, "slices at equal steps", "look at its own slices")
    step = (np.array(own[-1].position) - np.array(own[0].position)) / (length - 1)
    apart = float(np.linalg.norm(step))
    along = step / apart, np.array(own[0].along_column), np.array(own[0].along_row)
    sizes, steps = (length, *scene.shape[2:]), (apart, *own[0].spacing)
    patient = _nearest(along)
    wanted = (PLANES[plane], _WAYS[plane][1][0], _WAYS[plane][0][0])
    signs = (1, _WAYS[plane][1][1], _WAYS[plane][0][1])
    axes = tuple(patient.index(axis) for axis in wanted)
    turned = tuple(bool(along[axis][of] * sign < 0) for axis, of, sign in zip(axes, wanted, signs, strict=True))
    corner = np.array(own[0].position)
    directions = []
    for axis, back in zip(axes, turned, strict=True):
        if back:
            corner = corner + along[axis] * steps[axis] * (sizes[axis] - 1)
        directions.append(-along[axis] if back else along[axis])
    through, down, right = (tuple(float(v) for v in way) for way in directions)
    frames = tuple(
        Plane(
            tuple(float(v) for v in corner + np.array(through) * steps[axes[0]] * number),  # type: ignore[arg-type]
            right,  # type: ignore[arg-type]
            down,  # type: ignore[arg-type]
            (steps[axes[1]], steps[axes[2]]),
            steps[axes[0]],
        )
        for number in range(sizes[axes[0]])
    )
    lines = scene.rescale if len(set(scene.rescale)) > 1 else ()
    first = volume * length
    source = ReformattedSource(
        scene.source,
        axes,  # type: ignore[arg-type]
        turned,  # type: ignore[arg-type]
        (first, first + length),
        lines,
    )
    bands = tuple(replace(band, scale=1.0, offset=0.0) for band in scene.bands) if lines else scene.bands
    if scene.rescale and not lines:
        slope, offset = scene.rescale[0]
        bands = tuple(replace(band, scale=slope, offset=offset) for band in scene.bands)
    return replace(
        scene,
        source=source,
        grid=Grid((sizes[axes[1]], sizes[axes[2]]), planes=frames),
        bands=bands,
        rescale=(),
        scale=None if lines or len(scene.values.low) > 1 else scene.scale,
        headers=None,
        lineage=(),
        frames=None,
        profile=None,
    )


def _nearest(along: Sequence[Array]) -> list[int]:
    """For each of three directions the axis of the patient nearest to it, each axis once."""
    table = np.abs(np.array(along))
    found = [-1, -1, -1]
    for _ in range(3):
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        found[int(row)] = int(column)
        table[row], table[:, column] = -1, -1
    return found


@dataclass(frozen=True)
class RepeatedSource(Source):
    """A source whose voxels are repeated, so that it is as fine as another."""

    coarse: Source
    factors: Factors

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.coarse.shape
        by = self.factors
        return frames * by.frame, bands, height * by.y, width * by.x

    @property
    def dtype(self) -> np.dtype[Any]:
        """The source's."""
        return self.coarse.dtype

    @property
    def block(self) -> tuple[int, int]:
        """The source's, as many times finer."""
        rows, columns = self.coarse.block
        return rows * self.factors.y, columns * self.factors.x

    @property
    def inner(self) -> Source:
        """The source."""
        return self.coarse

    def on(self, inner: Source) -> RepeatedSource:
        """The same of another source."""
        return replace(self, coarse=inner)

    def touches(self, box: Box) -> Box:
        """The box of the source."""
        return box.coarsened(self.factors)

    def read(self, box: Box) -> Array:
        """Stored values, repeated."""
        return self._repeated(self.coarse.read(self.touches(box)), box)

    def valid(self, box: Box) -> Array:
        """Validity, repeated."""
        return self._repeated(self.coarse.valid(self.touches(box)), box)

    def select(self, bands: Sequence[int]) -> RepeatedSource:
        """Some of the bands."""
        return replace(self, coarse=self.coarse.select(bands))

    def _repeated(self, values: Array, box: Box) -> Array:
        fine = self.factors.repeated(values)
        return fine[box.within(self.touches(box).refined(self.factors)).index]


def repeated(scene: Scene, factors: Factors) -> Scene:
    """The scene with its voxels repeated, to be looked at beside a finer one."""
    if factors.volume == 1:
        return scene
    return replace(
        scene,
        source=RepeatedSource(scene.source, factors),
        grid=scene.grid.refined(factors),
        rescale=tuple(line for line in scene.rescale for _ in range(factors.frame)),
        scale=scene.values.repeated(factors.frame),
        headers=None,
        lineage=(),
    )
