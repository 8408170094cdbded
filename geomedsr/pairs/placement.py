"""The placement of two scenes of the same area on each other, from their grids alone; no pixel is read.

The same rule holds for real pairs in training and in evaluation. A coarse pixel need not begin at the edge of a fine
one, and pixel sizes need not divide exactly: Landsat's panchromatic grid is half a pixel off the grid of its other
bands, and the sizes of cut-outs are rounded. Each coarse window is therefore paired with the fine window, in whole
fine pixels, whose centre is nearest; nothing is resampled. The remaining offset is at most half a fine pixel at the
window's centre, plus the drift of pixel sizes from there to the corners. It is reported, and refused beyond
:data:`TOLERANCE`. A warning is given if a georeferenced scene is placed by sizes alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from affine import Affine

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.crs import crs_code, crs_name, same_crs
from geomedsr.geometry.grid import Grid, Plane, Window
from geomedsr.scene.scene import Scene

#: The relative deviation that is allowed between the ratio of pixel sizes and the scale: a patch of 96 pixels then
#: drifts by half a fine pixel from its centre to its edge.
RATIO_TOLERANCE = 0.01

#: The allowed offset anywhere in a window, in fine pixels: one half for whole pixels, one half for the drift of sizes.
TOLERANCE = 1.0

#: A larger offset, in fine pixels, gives a warning.
TOLD = 0.05

#: The share of a coarse pixel that may be outside the fine raster, for rounding errors.
_EDGE = 1e-3


@dataclass(frozen=True)
class Placement:
    """A coarse raster on a fine one: ``relation`` maps its pixel-corner coordinates ``(col, row)`` to the fine one's.

    ``overlap`` is the window of whole coarse pixels that lie on the fine raster, whose ``shape`` is
    ``(height, width)``. ``apart`` is the largest deviation of slices from this relation, across their plane too, in
    fine pixels; 0 for rasters. ``names`` names the pair in messages. ``unplaced`` tells which scene has no affine, if
    the pair is placed by sizes alone although one scene has a position; otherwise it is empty.
    """

    relation: Affine
    scale: int
    overlap: Window
    shape: tuple[int, int]
    names: str
    apart: float = 0.0
    unplaced: str = ""

    @property
    def whole(self) -> Window:
        """The overlap as one window, limited to the size of the fine raster."""
        height, width = (length // self.scale for length in self.shape)
        overlap = self.overlap
        return Window(overlap.col, overlap.row, min(overlap.width, width), min(overlap.height, height))

    def fine(self, coarse: Window) -> Window:
        """The window of fine pixels, ``scale`` times larger, with its centre nearest to a coarse window's centre."""
        width, height = coarse.width * self.scale, coarse.height * self.scale
        x, y = self.relation @ (coarse.col + coarse.width / 2, coarse.row + coarse.height / 2)
        col, row = _nearest(x - width / 2, self.shape[1] - width), _nearest(y - height / 2, self.shape[0] - height)
        return Window(col, row, width, height)

    def cover(self, coarse: Window) -> Window:
        """All fine pixels that a coarse window touches."""
        (left, top), (right, bottom) = (self.relation @ p for p in ((coarse.col, coarse.row), coarse.stop[::-1]))
        edge = _EDGE * self.scale
        first = Window(math.floor(left + edge), math.floor(top + edge), 0, 0)
        size = math.ceil(right - edge) - first.col, math.ceil(bottom - edge) - first.row
        return Window(first.col, first.row, *size).clipped(self.shape)

    def offset(self, coarse: Window) -> float:
        """The largest offset between a coarse window and its fine window, in fine pixels along one axis."""
        placed = self.fine(coarse)
        found = ((*(self.relation @ p), *q) for p, q in zip(_corners(coarse), _corners(placed), strict=True))
        return max(self.apart, *(max(abs(x - col), abs(y - row)) for x, y, col, row in found))

    def check(self, windows: Iterable[Window]) -> None:
        """Warn about the offset of some coarse windows, if there is one; windows off the fine raster are ignored.

        Raises:
            InputError: the offset is more than :data:`TOLERANCE`.
        """
        on = [window for window in windows if self.fine(window).inside(self.shape)]
        off, window = max(((self.offset(w), w) for w in on), key=lambda found: found[0], default=(0.0, self.overlap))
        how = f"up to {off:.2f} fine pixels off in windows of {window.width} × {window.height} coarse ones"
        if off > TOLERANCE + 1e-6:
            raise InputError(
                f"{self.names}, whose grids do not meet: {how}",
                f"at most {TOLERANCE:g}",
                "take smaller windows or patches, or bring one onto the other's grid, as with gdalwarp -te and -ts",
            )
        if off > TOLD:
            warnings.warn(f"{self.names}, whose grids do not quite meet: {how}", SceneWarning, stacklevel=3)


def placement(fine: Scene, coarse: Scene, scale: int) -> Placement:
    """Place one scene on the other: rasters by their affines, slices by their planes, all others by their sizes.

    The others are images without a position, and rasters of which only one has an affine; see :func:`tell_unplaced`.

    Raises:
        InputError: the numbers of bands or frames or the CRSs differ, there is no overlap, the ratio of pixel sizes is
            not the scale, the grids are rotated against each other, one scene has slices and the other is a raster, or
            sizes alone cannot place them.
    """
    names = f"the pair {fine.name} and {coarse.name}"
    if fine.shape[:2] != coarse.shape[:2]:
        raise InputError(
            f"{names} of {_count(fine)} and {_count(coarse)}",
            "the same bands and frames, in one order",
            "choose bands of one wavelength: fine_bands and coarse_bands in a recipe, gdal_translate -b for files",
        )
    relation, apart = _relation(fine.grid, coarse.grid, scale, names)
    off = max(abs(relation.a / scale - 1), abs(relation.e / scale - 1))
    turned = max(abs(relation.b), abs(relation.d)) / scale
    if off > RATIO_TOLERANCE or turned > 1e-4:
        raise InputError(
            f"{names}, whose coarse pixels are {relation.a:.4g} × {relation.e:.4g} fine ones"
            + (", turned against each other" if turned > 1e-4 else ""),
            f"{scale} × {scale} within {RATIO_TOLERANCE:.0%}, rows and columns along each other",
            "take a model (generator.scale in a recipe) of that factor, or bring one onto the other's grid, as with "
            "gdalwarp -te and -ts",
        )
    height, width = fine.grid.shape
    first_col, first_row = (math.ceil(v - _EDGE) for v in ~relation @ (0, 0))
    last_col, last_row = (math.floor(v + _EDGE) for v in ~relation @ (width, height))
    overlap = Window(first_col, first_row, last_col - first_col, last_row - first_row).clipped(coarse.grid.shape)
    if min(overlap.width, overlap.height) < 1:
        (left, top), (right, bottom) = relation @ (0, 0), relation @ coarse.grid.shape[::-1]
        raise InputError(
            f"{names}, which do not overlap: the coarse one lies on columns {left:.0f} to {right:.0f} and rows "
            f"{top:.0f} to {bottom:.0f} of the fine one's {width} × {height} pixels",
            "two scenes of one place",
            "pair others",
        )
    return Placement(relation, scale, overlap, (height, width), names, apart, _unplaced(fine.grid, coarse.grid))


def tell_unplaced(places: Sequence[Placement]) -> None:
    """Warn, in one line, about pairs that were placed by sizes alone although one scene has a position."""
    found = [place for place in places if place.unplaced]
    if not found:
        return
    which = found[0].names
    if len(found) > 1:
        which = f"{len(found)} pairs, such as {which.removeprefix('the pair ')}"
    why = "; ".join(dict.fromkeys(place.unplaced for place in found))
    warnings.warn(f"{which}, placed by sizes alone: {why}", SceneWarning, stacklevel=3)


def _relation(fine: Grid, coarse: Grid, scale: int, names: str) -> tuple[Affine, float]:
    """The map from coarse to fine pixel-corner coordinates, and the deviation of slices from it, in fine pixels."""
    if fine.affine is not None and coarse.affine is not None:
        if not same_crs(fine.crs, coarse.crs):
            raise InputError(
                f"{names} of the CRSs {_short(fine.crs)} and {_short(coarse.crs)}",
                "one CRS",
                "reproject one of them with gdalwarp -t_srs, the coarse one if you can choose",
            )
        return ~fine.affine @ coarse.affine, 0.0
    if fine.planes and coarse.planes:
        return _between(fine, coarse)
    if bool(fine.planes) != bool(coarse.planes) or fine.shape != (coarse.shape[0] * scale, coarse.shape[1] * scale):
        sizes = " and ".join(f"{width} × {height}" for height, width in (fine.shape, coarse.shape))
        raise InputError(
            f"{names} of {sizes} pixels, not both located by an affine or by planes",
            f"both located, or {scale} times as many pixels a side in the one as in the other",
            "georeference them, or crop them to one place",
        )
    return Affine.scale(scale), 0.0


def _unplaced(fine: Grid, coarse: Grid) -> str:
    """Which raster has no affine, if they are placed by sizes alone although one has a position; else empty."""
    lacking = [name for name, grid in (("fine", fine), ("coarse", coarse)) if grid.affine is None]
    placed = any(grid.affine is not None or grid.gcps or grid.rpcs is not None for grid in (fine, coarse))
    if not (lacking and placed):
        return ""
    return "neither has an affine" if len(lacking) == 2 else f"the {lacking[0]} one has no affine"


def _between(fine: Grid, coarse: Grid) -> tuple[Affine, float]:
    """The relation of the first slices, and the largest deviation of any slice's corners from it."""
    one, other = fine.planes[0], coarse.planes[0]
    (x, y), right, down = (_on(one, other.at(row - 0.5, col - 0.5)) for row, col in ((0, 0), (0, 1), (1, 0)))
    relation = Affine(right[0] - x, down[0] - x, x, right[1] - y, down[1] - y, y)
    apart = 0.0
    for one, other in zip(fine.planes, coarse.planes, strict=True):
        for corner in _corners(Window(0, 0, *coarse.shape[::-1])):
            (to_col, to_row), (col, row) = relation @ corner, corner
            away = math.dist(one.at(to_row - 0.5, to_col - 0.5), other.at(row - 0.5, col - 0.5))
            apart = max(apart, away / min(one.spacing))
    return relation, apart


def _on(plane: Plane, point: tuple[float, float, float]) -> tuple[float, float]:
    """The projection of a point in mm onto a plane, in pixel-corner coordinates ``(col, row)``."""
    away = [a - b for a, b in zip(point, plane.position, strict=True)]
    along = (sum(a * d for a, d in zip(away, way, strict=True)) for way in (plane.along_row, plane.along_column))
    col, row = (mm / size + 0.5 for mm, size in zip(along, plane.spacing[::-1], strict=True))
    return col, row


def _corners(window: Window) -> list[tuple[int, int]]:
    """Upper left, upper right, lower left and lower right, ``(col, row)``."""
    end_row, end_col = window.stop
    return [(col, row) for row in (window.row, end_row) for col in (window.col, end_col)]


def _count(scene: Scene) -> str:
    frames, bands = scene.shape[:2]
    return f"{bands} band{'s' * (bands > 1)} in {frames} frame{'s' * (frames > 1)}"


def _short(crs: str | None) -> str:
    if crs is None:
        return "none"
    code = crs_code(crs)
    return ":".join(code) if code else (crs_name(crs) or "")[:40]


def _nearest(position: float, most: int) -> int:
    """The nearest whole pixel from 0 to ``most``; halves are rounded down, regardless of rounding errors."""
    return min(max(math.floor(position + 0.5 - 1e-6), 0), most)
