"""Where pixels lie: affine grids, and the arithmetic of making a grid finer.

One rule holds for rasters and for DICOM planes: scaling by ``f`` keeps pixel *areas*. A pixel
becomes ``f × f`` pixels that cover the same area, so the outer corner stays where it was and pixel centres
move by a fraction of a pixel. In pixel-*corner* coordinates (corner of the first pixel = 0) a point ``p`` becomes
``p · f``; in pixel-*centre* coordinates (centre of the first pixel = 0) it becomes ``(p + ½) · f − ½``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from affine import Affine

from geomedsr.errors import InputError
from geomedsr.geometry import Factors, Window
from geomedsr.geometry.crs import box_in
from geomedsr.geometry.slices import finer_slices

__all__ = ["ControlPoint", "Grid", "Plane", "Window", "finer_centre", "finer_corner"]


def finer_corner(position: float, factor: int) -> float:
    """Pixel-corner coordinate of a point after its grid was made ``factor`` times finer."""
    return position * factor


def finer_centre(position: float, factor: int) -> float:
    """Pixel-centre coordinate of a point after its grid was made ``factor`` times finer."""
    return (position + 0.5) * factor - 0.5


@dataclass(frozen=True)
class ControlPoint:
    """A ground control point: ``row``/``col`` in pixel-corner coordinates, ``x``/``y``/``z`` on the ground."""

    row: float
    col: float
    x: float
    y: float
    z: float = 0.0
    id: str = ""
    info: str = ""


@dataclass(frozen=True)
class Plane:
    """Where one frame lies in a patient or a volume, in mm (DICOM PS3.3 C.7.6.2).

    ``position`` is the centre of the first pixel; ``along_row`` and ``along_column`` are the unit directions in
    which the column and the row index grow (the two halves of ImageOrientationPatient); ``spacing`` is
    ``(between rows, between columns)``, as in PixelSpacing. ``thickness`` is the slice thickness where the source
    states it; for a single slice, nothing else gives the depth of its voxels.
    """

    position: tuple[float, float, float]
    along_row: tuple[float, float, float]
    along_column: tuple[float, float, float]
    spacing: tuple[float, float]
    thickness: float | None = None

    def at(self, row: float, col: float) -> tuple[float, float, float]:
        """The world position of a point in pixel-centre coordinates."""
        by_row, by_col = row * self.spacing[0], col * self.spacing[1]
        parts = zip(self.position, self.along_row, self.along_column, strict=True)
        x, y, z = (p + by_col * r + by_row * c for p, r, c in parts)
        return x, y, z

    @property
    def normal(self) -> tuple[float, float, float]:
        """The unit direction ``along_row × along_column``."""
        (a, b, c), (d, e, f) = self.along_row, self.along_column
        return b * f - c * e, c * d - a * f, a * e - b * d

    @property
    def depth(self) -> float:
        """The position along the normal, by which slices are sorted."""
        return sum(p * n for p, n in zip(self.position, self.normal, strict=True))

    def scaled(self, factor: int) -> Plane:
        """The plane of pixels ``factor`` times finer over the same area."""
        first = -finer_centre(0, factor) / factor  # where the new first centre lies, in old pixels
        row, col = self.spacing
        return replace(self, position=self.at(first, first), spacing=(row / factor, col / factor))

    def moved(self, by: Sequence[float] | np.ndarray) -> Plane:
        """The plane moved by a vector ``(x, y, z)`` in mm."""
        x, y, z = (float(p + d) for p, d in zip(self.position, by, strict=True))
        return replace(self, position=(x, y, z))

    def cropped(self, window: Window) -> Plane:
        """The plane of a window."""
        return replace(self, position=self.at(window.row, window.col))

    def corners(self, shape: tuple[int, int]) -> tuple[tuple[float, float, float], ...]:
        """The outer corners of a ``(height, width)`` frame: first, right, lower, opposite."""
        height, width = shape
        ends = ((-0.5, -0.5), (-0.5, width - 0.5), (height - 0.5, -0.5), (height - 0.5, width - 0.5))
        return tuple(self.at(row, col) for row, col in ends)


# The RPC00B fields in units of image pixels; offsets refer to pixel centres.
_RPC_OFFSETS = {"LINE_OFF": "row", "SAMP_OFF": "col"}
_RPC_SCALES = ("LINE_SCALE", "SAMP_SCALE")

# Prefixes of the geolocation fields in units of image pixels. An entry of the arrays stands for the first corner, or by
# another convention for the centre, of a step's pixels. In either case offsets scale as pixel-corner coordinates.
_SWATH_AXES = {"LINE": "row", "PIXEL": "col"}


@dataclass(frozen=True)
class Grid:
    """The pixel grid of a scene and how it lies in the world.

    ``shape`` is ``(height, width)``. ``affine`` maps pixel-corner coordinates ``(col, row)`` to world
    coordinates in the units of ``crs`` (WKT); it may be rotated, sheared or south-up. ``gcps`` (with
    ``gcp_crs``) and ``rpcs`` (RPC00B fields as text) locate scenes that have no affine, and so does ``geolocation``
    (GDAL's domain of that name, which names two arrays with the position of each pixel, or of every n-th).
    ``planes``, one per frame, locate the slices of a patient or a volume, in mm. ``epoch`` is the coordinate
    epoch, a decimal year, of a dynamic CRS.
    """

    shape: tuple[int, int]
    affine: Affine | None = None
    crs: str | None = None
    gcps: tuple[ControlPoint, ...] = ()
    gcp_crs: str | None = None
    rpcs: Mapping[str, str] | None = None
    planes: tuple[Plane, ...] = ()
    epoch: float | None = None
    geolocation: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        affine = self.affine
        if affine is not None and not (affine.determinant and math.isfinite(affine.determinant)):
            raise InputError(
                f"the affine {', '.join(f'{v:g}' for v in affine.to_gdal())} (as GDAL orders it)",
                "one under which pixels have an area",
                "correct the georeferencing, or remove it, for example with `gdal_edit.py -unsetgt`",
            )

    def refined(self, factors: Factors) -> Grid:
        """The grid finer by ``factors`` over the same area.

        Raises:
            InputError: rows and columns have different factors, or :func:`geomedsr.geometry.slices.finer_slices`
                cannot place new planes.
        """
        if factors.y != factors.x:
            raise InputError(f"factors {factors.y} and {factors.x}", "as many rows as columns", "use another model")
        finer = self if factors.x == 1 else self.scaled(factors.x)
        if factors.frame == 1 or not finer.planes:
            return finer
        return replace(finer, planes=finer_slices(finer.planes, factors.frame))

    def scaled(self, factor: int) -> Grid:
        """The grid ``factor`` times finer over the same area."""
        rpcs = None
        if self.rpcs is not None:
            rpcs = dict(self.rpcs)
            for key in _RPC_OFFSETS:
                rpcs[key] = repr(finer_centre(float(rpcs[key]), factor))
            for key in _RPC_SCALES:
                rpcs[key] = repr(float(rpcs[key]) * factor)
        geolocation = None
        if self.geolocation is not None:
            geolocation = dict(self.geolocation)
            for axis in _SWATH_AXES:
                geolocation[f"{axis}_OFFSET"] = repr(finer_corner(float(geolocation[f"{axis}_OFFSET"]), factor))
                geolocation[f"{axis}_STEP"] = repr(float(geolocation[f"{axis}_STEP"]) * factor)
        return replace(
            self,
            shape=(self.shape[0] * factor, self.shape[1] * factor),
            affine=None if self.affine is None else self.affine @ Affine.scale(1 / factor),
            gcps=tuple(replace(p, row=finer_corner(p.row, factor), col=finer_corner(p.col, factor)) for p in self.gcps),
            rpcs=rpcs,
            geolocation=geolocation,
            planes=tuple(p.scaled(factor) for p in self.planes),
        )

    def apart(self, other: Grid) -> float | None:
        """How far the outer corners of another grid lie from this one's, at most, in pixels of this one.

        Of grids with planes, frame by frame, in which a pixel is as long as its shorter side. None where not both have
        planes, or not both an affine. CRS are not compared.
        """
        if self.planes and other.planes:
            return max(
                math.dist(a, b) / min(own.spacing)
                for own, its in zip(self.planes, other.planes, strict=True)
                for a, b in zip(own.corners(self.shape), its.corners(other.shape), strict=True)
            )
        if self.affine is None or other.affine is None:
            return None
        moved = ~self.affine @ other.affine
        (height, width), (rows, columns) = self.shape, other.shape
        return max(
            math.dist(moved @ (x * columns, y * rows), (x * width, y * height)) for x, y in product((0, 1), repeat=2)
        )

    def cropped(self, window: Window) -> Grid:
        """The grid of a window of this one."""
        shift = {"row": window.row, "col": window.col}
        rpcs = None
        if self.rpcs is not None:
            rpcs = dict(self.rpcs)
            for key, axis in _RPC_OFFSETS.items():
                rpcs[key] = repr(float(rpcs[key]) - shift[axis])
        geolocation = None
        if self.geolocation is not None:
            geolocation = dict(self.geolocation)
            for key, axis in _SWATH_AXES.items():
                geolocation[f"{key}_OFFSET"] = repr(float(geolocation[f"{key}_OFFSET"]) - shift[axis])
        return replace(
            self,
            shape=(window.height, window.width),
            affine=None if self.affine is None else self.affine @ Affine.translation(window.col, window.row),
            gcps=tuple(replace(p, row=p.row - window.row, col=p.col - window.col) for p in self.gcps),
            rpcs=rpcs,
            geolocation=geolocation,
            planes=tuple(p.cropped(window) for p in self.planes),
        )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(west, south, east, north)`` of the outer corners, in world units (pixels without an affine)."""
        affine = self.affine if self.affine is not None else Affine.identity()
        height, width = self.shape
        corners = [affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def window_of(self, west: float, south: float, east: float, north: float, crs: str | int | None = None) -> Window:
        """The window of all pixels that touch a box, clipped to the grid.

        The box is in world units, or in those of another ``crs``.

        Raises:
            InputError: no affine; a box that is empty or misses the scene; an unknown CRS, or a scene without one.
        """
        if self.affine is None:
            raise InputError(
                "a bounding box for a scene without an affine",
                "a georeferenced scene",
                "give the window in pixels, --window COL,ROW,W,H",
            )
        asked = f"the bounding box {west:g},{south:g},{east:g},{north:g}"
        if not (west < east and south < north and all(map(math.isfinite, (west, south, east, north)))):
            raise InputError(
                asked, "finite numbers, west < east and south < north", "check the order of the four numbers"
            )
        if crs is not None:
            if self.crs is None:
                raise InputError(
                    f"a bounding box in {crs} for a scene without a CRS", "a scene that has one", "leave the CRS out"
                )
            west, south, east, north = box_in((west, south, east, north), crs, self.crs)
        inverse = ~self.affine
        points = [inverse @ corner for corner in ((west, south), (west, north), (east, south), (east, north))]
        cols, rows = zip(*points, strict=True)
        # A rounding error must not add the next pixel where the edge of the box lies on the edge of a pixel.
        first_col, first_row = (int((min(v) + 1e-6) // 1) for v in (cols, rows))
        last_col, last_row = (int(-((-max(v) + 1e-6) // 1)) for v in (cols, rows))
        first_col, first_row = max(first_col, 0), max(first_row, 0)
        last_row, last_col = min(last_row, self.shape[0]), min(last_col, self.shape[1])
        if last_col <= first_col or last_row <= first_row:
            bounds = ",".join(f"{v:.10g}" for v in self.bounds)
            raise InputError(asked, f"a box that meets the scene's {bounds}", "use the units of its CRS")
        return Window(first_col, first_row, last_col - first_col, last_row - first_row)
