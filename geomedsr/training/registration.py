"""Where two rasters of one footprint lie on each other, by their grids alone: no pixel is looked at.

A coarse pixel need not begin where a fine one does, and pixel sizes need not divide exactly: Landsat's panchromatic
grid lies half a pixel off that of its other bands, and cut-outs round their sizes. So each coarse window takes the fine
window whose centre is nearest, in whole fine pixels: nothing is resampled, and what is left is at most half a fine
pixel, beside what the sizes drift from a window's centre to its edge.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from affine import Affine

from geomedsr.crs import crs_code, same_crs
from geomedsr.errors import RecipeError
from geomedsr.grid import Grid, Window
from geomedsr.scene import Scene

#: By which share of itself the ratio of pixel sizes may miss the scale: a patch of 96 pixels then drifts by half a fine
#: pixel from its centre to its edge.
RATIO_TOLERANCE = 0.01

#: What of a coarse pixel may lie outside the fine raster: float digits.
_EDGE = 1e-3


@dataclass(frozen=True)
class Placement:
    """A coarse raster on a fine one: ``relation`` maps its pixel-corner coordinates ``(col, row)`` to the fine one's.

    ``overlap`` is the window of whole coarse pixels that lie on the fine raster, whose ``shape`` is
    ``(height, width)``.
    """

    relation: Affine
    scale: int
    overlap: Window
    shape: tuple[int, int]

    def fine(self, coarse: Window) -> Window:
        """The ``scale`` times larger window of fine pixels whose centre is nearest to a coarse window's, inside."""
        width, height = coarse.width * self.scale, coarse.height * self.scale
        col, row = self._exact(coarse)
        return Window(_nearest(col, self.shape[1] - width), _nearest(row, self.shape[0] - height), width, height)

    def cover(self, coarse: Window) -> Window:
        """All fine pixels that a coarse window touches."""
        (left, top), (right, bottom) = (self.relation @ p for p in ((coarse.col, coarse.row), coarse.stop[::-1]))
        edge = _EDGE * self.scale
        first = Window(math.floor(left + edge), math.floor(top + edge), 0, 0)
        size = math.ceil(right - edge) - first.col, math.ceil(bottom - edge) - first.row
        return Window(first.col, first.row, *size).clipped(self.shape)

    def miss(self, coarse: Window) -> float:
        """How far the centre of a window's fine pixels lies from the coarse window's, in fine pixels, on one axis."""
        (col, row), placed = self._exact(coarse), self.fine(coarse)
        return max(abs(placed.col - col), abs(placed.row - row))

    def _exact(self, coarse: Window) -> tuple[float, float]:
        """Where the fine window would begin, ``(col, row)``, if fine pixels could be cut."""
        x, y = self.relation @ (coarse.col + coarse.width / 2, coarse.row + coarse.height / 2)
        return x - coarse.width * self.scale / 2, y - coarse.height * self.scale / 2


def placement(fine: Scene, coarse: Scene, scale: int) -> Placement:
    """The one raster on the other.

    Raises:
        RecipeError: other CRSs, no overlap, pixel sizes of another ratio than the scale, grids turned against each
            other, or a scene that no affine locates while the other has one.
    """
    names = f"the pair {fine.name} and {coarse.name}"
    relation = _relation(fine.grid, coarse.grid, scale, names)
    off = max(abs(relation.a / scale - 1), abs(relation.e / scale - 1))
    turned = max(abs(relation.b), abs(relation.d)) / scale
    if off > RATIO_TOLERANCE or turned > 1e-4:
        raise RecipeError(
            f"{names}, whose coarse pixels are {relation.a:.4g} × {relation.e:.4g} fine ones"
            + (", turned against each other" if turned > 1e-4 else ""),
            f"{scale} × {scale} within {RATIO_TOLERANCE:.0%}, rows and columns along each other",
            "set generator.scale to it, or bring one onto the other's grid",
        )
    height, width = fine.grid.shape
    first_col, first_row = (math.ceil(v - _EDGE) for v in ~relation @ (0, 0))
    last_col, last_row = (math.floor(v + _EDGE) for v in ~relation @ (width, height))
    overlap = Window(first_col, first_row, last_col - first_col, last_row - first_row).clipped(coarse.grid.shape)
    if min(overlap.width, overlap.height) < 1:
        bounds = (" ".join(f"{v:.10g}" for v in grid.bounds) for grid in (fine.grid, coarse.grid))
        raise RecipeError(
            f"{names}, which do not overlap (bounds {' and '.join(bounds)})",
            "two rasters over one footprint",
            "pair others",
        )
    return Placement(relation, scale, overlap, (height, width))


def _relation(fine: Grid, coarse: Grid, scale: int, names: str) -> Affine:
    if fine.affine is not None and coarse.affine is not None:
        if not same_crs(fine.crs, coarse.crs):
            raise RecipeError(
                f"{names} of the CRSs {_short(fine.crs)} and {_short(coarse.crs)}",
                "one CRS",
                "reproject one of them, the coarse one if you can choose",
            )
        relation: Affine = ~fine.affine @ coarse.affine
        return relation
    plain = all(g.affine is None and not (g.gcps or g.planes or g.rpcs) for g in (fine, coarse))
    if not plain or fine.shape != (coarse.shape[0] * scale, coarse.shape[1] * scale):
        sizes = " and ".join(f"{width} × {height}" for height, width in (fine.shape, coarse.shape))
        raise RecipeError(
            f"{names} of {sizes} pixels, not both located by an affine",
            f"two georeferenced rasters, or two images without georeference, {scale} times finer one than the other",
            "georeference them",
        )
    return Affine.scale(scale)


def _short(crs: str | None) -> str:
    if crs is None:
        return "none"
    code, name = crs_code(crs), re.search(r'"([^"]*)"', crs)
    return ":".join(code) if code else name[1] if name else crs[:40]


def _nearest(position: float, most: int) -> int:
    """The nearest whole pixel from 0 to ``most``; exact halves go down, whatever their last digit."""
    return min(max(math.floor(position + 0.5 - 1e-6), 0), most)
