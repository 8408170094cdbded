"""Guides on the grid of a result: that of the coarse image, so many times finer.

Where the guide's pixels are the result's, nothing is resampled: whole pixels are cut off, or added as no data. Where
they are not, as Landsat's panchromatic pixels lie half of one off the grid of its other bands, the guide is resampled
by cubic convolution, lazily, and a warning says how.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from geomedsr.errors import InputError
from geomedsr.geometry import Window
from geomedsr.geometry.crs import crs_name, same_crs
from geomedsr.scene.resampling import Axis, PlacedSource, ResampledSource
from geomedsr.scene.scene import Scene

#: How far pixels may lie off without being resampled, in pixels of the result.
ALIGNED = 0.02

#: By which share of itself a guide's pixel may be larger than the result's: cut-outs round their sizes.
AS_COARSE = 0.02

#: How many times finer a guide may be than the result.
_FINEST = 16

#: The angle, as a slope, by which rows and columns may be turned against each other.
_TURNED = 1e-4


@dataclass(frozen=True)
class Relation:
    """Where a coarse image lies on a guide: pixel-corner coordinates ``(col, row)`` of the guide are those of the image
    × ``scale`` + ``shift``. ``unplaced`` says that sizes alone tell.
    """

    scale: tuple[float, float]
    shift: tuple[float, float]
    unplaced: bool = False

    @property
    def factor(self) -> int:
        """How many times finer a result may be for which the guide has the detail; at least 1."""
        return max(1, math.floor(min(self.scale) * (1 + AS_COARSE)))

    def moved(self, by: tuple[float, float]) -> Relation:
        """The same, so many of the guide's pixels further right and down on it."""
        return replace(self, shift=(self.shift[0] + by[0], self.shift[1] + by[1]))


@dataclass(frozen=True)
class Fitted:
    """A guide on the grid of a result.

    ``how`` tells in words what was done to it; ``resampled`` whether pixels are new ones. ``covered`` is the share of
    the result on which there is a guide.
    """

    scene: Scene
    how: str
    resampled: bool
    covered: float


def relation(coarse: Scene, guide: Scene) -> Relation:
    """How two scenes lie on each other, by their affines, or where neither has one by their sizes.

    Raises:
        InputError: other CRSs, grids turned against each other, a guide that is not finer, no overlap; or one of the
            two lies nowhere.
    """
    pair = f"the guide {guide.name} for {coarse.name}"
    if coarse.grid.planes or guide.grid.planes:
        raise InputError(f"{pair}, a series of slices", "scenes that lie on a map", "sharpen rasters")
    if coarse.shape[0] != guide.shape[0]:
        raise InputError(
            f"{pair} of {guide.shape[0]} and {coarse.shape[0]} frames",
            "one for each",
            "choose the dates that go together",
        )
    found = _relation(coarse, guide, pair)
    if max(found.scale) < 1 + AS_COARSE:
        size = " × ".join(f"{number:.3g}" for number in found.scale)
        raise InputError(
            f"{pair}, of whose pixels one of the image holds {size}",
            "a guide that is finer than the image",
            "swap the two, if they were taken for each other",
        )
    (height, width), shape = coarse.grid.shape, guide.grid.shape
    ends = [(s * n + d, of) for s, d, n, of in zip(found.scale, found.shift, (width, height), shape[::-1], strict=True)]
    if any(last <= 0 or first >= of for (last, of), first in zip(ends, found.shift, strict=True)):
        raise InputError(
            f"{pair}, which do not overlap: the image lies on columns {found.shift[0]:.0f} to {ends[0][0]:.0f} and "
            f"rows {found.shift[1]:.0f} to {ends[1][0]:.0f} of the guide's {shape[1]} × {shape[0]} pixels",
            "two scenes of one place",
            "give another guide",
        )
    return found


def _relation(coarse: Scene, guide: Scene, pair: str) -> Relation:
    one, other = coarse.grid, guide.grid
    if one.affine is None and other.affine is None and not (one.gcps or other.gcps or one.rpcs or other.rpcs):
        height, width = (fine / few for fine, few in zip(other.shape, one.shape, strict=True))
        if abs(height / width - 1) > _TURNED or height != round(height):
            raise InputError(
                f"{pair} of {other.shape[1]} × {other.shape[0]} and {one.shape[1]} × {one.shape[0]} pixels, neither of "
                "which lies anywhere",
                "a whole number of times as many pixels a side",
                "georeference them, or crop them to one place",
            )
        return Relation((width, height), (0.0, 0.0), unplaced=True)
    if one.affine is None or other.affine is None:
        lacking = coarse.name if one.affine is None else guide.name
        raise InputError(f"{pair}, of which {lacking} has no affine", "two that lie on a map", "warp it with gdalwarp")
    if not same_crs(one.crs, other.crs):
        raise InputError(
            f"{pair} in {crs_name(other.crs) or 'no CRS'} and {crs_name(one.crs) or 'none'}",
            "one CRS",
            "warp the guide to the image's with gdalwarp -t_srs",
        )
    across = ~other.affine @ one.affine
    if max(abs(across.b), abs(across.d)) > _TURNED * abs(across.a) or across.a <= 0 or across.e <= 0:
        raise InputError(
            f"{pair}, whose rows and columns do not run along each other's",
            "grids turned alike",
            "warp the guide with gdalwarp -te and -tr",
        )
    return Relation((across.a, across.e), (across.c, across.f))


def fitted(
    coarse: Scene, guide: Scene, found: Relation, factor: int, stored: bool = False, coarser: bool = False
) -> Fitted:
    """The guide on the coarse image's grid made so many times finer.

    Args:
        coarse: the image.
        guide: the guide, as it is.
        found: where the one lies on the other.
        factor: how many times finer the result is.
        stored: values that are resampled come in the guide's own type, rounded, rather than as float32.
        coarser: the guide may be coarser than the result, and is then interpolated.

    Raises:
        InputError: a guide coarser than the result.
    """
    (height, width), scales = coarse.grid.scaled(factor).shape, [scale / factor for scale in found.scale]
    if min(scales) < 1 / (1 + AS_COARSE) and not coarser:
        raise InputError(
            f"the guide {guide.name}, of whose pixels one of {coarse.name} holds {min(found.scale):.3g}",
            f"at least {factor} for a result {factor} times finer",
            f"use a model for ×{found.factor}" if found.factor > 1 else "give a finer guide",
        )
    if max(scales) > _FINEST:
        raise InputError(
            f"the guide {guide.name}, whose pixels are {max(scales):.3g} times finer than those of a result ×{factor}",
            f"at most {_FINEST} times finer",
            "bring it down first, as with gdal_translate -r average -outsize",
        )
    grid = coarse.grid.scaled(factor)
    columns, rows = (
        Axis(length, scale, shift) for length, scale, shift in zip((width, height), scales, found.shift, strict=True)
    )
    covered = _covered(columns, guide.shape[3]) * _covered(rows, guide.shape[2])
    whole = [_whole(axis) for axis in (columns, rows)]
    if None not in whole:
        window = Window(whole[0] or 0, whole[1] or 0, width, height)
        if window == Window(0, 0, *guide.shape[:1:-1]):
            return Fitted(replace(guide, grid=grid), "as it is", False, 1.0)
        fills = tuple(0 if band.nodata is None else band.nodata for band in guide.bands)
        placed = replace(guide, source=PlacedSource(guide.source, window, fills), grid=grid)
        how = f"whole pixels, from its column {window.col} and row {window.row} on"
        return Fitted(placed, how, False, covered)
    kind = str(guide.dtype) if stored else "float32"
    fills = (
        tuple(0 if band.nodata is None else band.nodata for band in guide.bands) if stored else (0,) * guide.shape[1]
    )
    bands = guide.bands if stored else tuple(replace(band, nodata=None, limits=None) for band in guide.bands)
    source = ResampledSource(guide.source, rows, columns, kind, fills)
    return Fitted(replace(guide, source=source, grid=grid, bands=bands), _resampling(columns, rows), True, covered)


def _whole(axis: Axis) -> int | None:
    """The pixel of the guide that is the first of the result, where all of them are the guide's own."""
    first = round(axis.shift)
    off = max(abs(axis.shift - first), abs(axis.scale * axis.length + axis.shift - axis.length - first))
    return first if off <= ALIGNED else None


def _covered(axis: Axis, length: int) -> float:
    """The share of an axis whose pixels' centres lie on the guide."""
    edge = 1e-6
    first, last = ((side - axis.shift) / axis.scale - 0.5 for side in (-edge, length + edge))
    return max(0, min(axis.length - 1, math.floor(last)) - max(0, math.ceil(first)) + 1) / axis.length


def _resampling(columns: Axis, rows: Axis) -> str:
    """What a resampling does, where it begins, and how sizes differ."""
    shifts = ", ".join(f"{_fraction(axis.shift):+.2f}" for axis in (columns, rows))
    words = f"resampled by cubic convolution, its pixels lying {shifts} (x, y) of one beside the result's"
    if max(abs(axis.scale - 1) for axis in (columns, rows)) * max(columns.length, rows.length) > ALIGNED:
        words += f" and {' × '.join(f'{1 / axis.scale:.4g}' for axis in (columns, rows))} times as large"
    return words


def _fraction(shift: float) -> float:
    """How far the result's first pixel lies from the guide's nearest, seen from the guide."""
    return round(shift) - shift
