"""Real pairs: an input and a reference that two sensors took of the same ground, brought onto common pixels."""

from __future__ import annotations

import math
from dataclasses import replace

from geomedsr.crs import same_crs
from geomedsr.errors import InputError
from geomedsr.grid import Window
from geomedsr.metrics.regions import continuous
from geomedsr.scene import Scene

#: How far pixel corners may lie apart, in pixels of the input.
_APART = 0.02


def paired(reference: Scene, source: Scene, scale: int) -> tuple[Scene, Scene]:
    """Reference and input, continuous bands, both cropped to the ground they share; whole pixels of the input.

    Where both have an affine it places them; else sizes must tell. The reference then has the input's grid, made finer.

    Raises:
        InputError: other bands or frames, another coordinate system, pixels of another size or between each other, no
            ground in common, or too little.
    """
    fine, coarse = continuous(reference), continuous(source)
    if fine.shape[:2] != coarse.shape[:2]:
        raise InputError(
            f"a reference of {fine.shape[1]} bands and {fine.shape[0]} frames for an input of {coarse.shape[1]} and "
            f"{coarse.shape[0]}",
            "the same bands and frames, in one order",
            "select and order the bands of one of them first",
        )
    one, other = fine.grid, coarse.grid
    if one.affine is not None and other.affine is not None:
        cut, given = _common(fine, coarse, scale)
    else:
        _check_sizes(fine, coarse, scale)
        _check_planes(fine, coarse)
        given, cut = (Window(0, 0, s.shape[3], s.shape[2]) for s in (coarse, fine))
    if min(given.width, given.height) < 16:
        raise InputError(
            f"{given.width} × {given.height} pixels of {coarse.name} in common",
            "at least 16 a side",
            "take another pair",
        )
    coarse = replace(coarse.crop(given), scale=None)
    return replace(fine.crop(cut), scale=None, grid=coarse.grid.scaled(scale)), coarse


def _common(fine: Scene, coarse: Scene, scale: int) -> tuple[Window, Window]:
    """The windows of the ground that both show."""
    one, other = fine.grid, coarse.grid
    assert one.affine is not None
    assert other.affine is not None
    if not same_crs(one.crs, other.crs):
        raise InputError(
            f"{fine.name} and {coarse.name} in different coordinate systems", "one for both", "warp one with gdalwarp"
        )
    moved = ~other.affine @ one.affine  # pixels of the reference to pixels of the input
    height, width = one.shape
    steps = (moved.a * width, moved.b * height, moved.d * width, moved.e * height)
    wanted = (width / scale, 0.0, 0.0, height / scale)
    if any(abs(a - b) > _APART for a, b in zip(steps, wanted, strict=True)):
        raise InputError(
            f"pixels of {fine.name} that are not {scale} × finer than those of {coarse.name}",
            f"the model's factor, {scale}, and the same axes",
            "resample the reference with gdalwarp -tr, or take a model of another factor",
        )
    left, top = moved.c, moved.f
    first_col, first_row = (max(math.ceil(v - _APART), 0) for v in (left, top))
    last_col = min(math.floor(left + width / scale + _APART), other.shape[1])
    last_row = min(math.floor(top + height / scale + _APART), other.shape[0])
    if last_col <= first_col or last_row <= first_row:
        raise InputError(f"{fine.name} and {coarse.name}, which do not overlap", "the same ground", "take another pair")
    given = Window(first_col, first_row, last_col - first_col, last_row - first_row)
    offsets = [(first_col - left) * scale, (first_row - top) * scale]
    if any(abs(v - round(v)) > _APART * scale for v in offsets):
        raise InputError(
            f"{fine.name}, whose pixels lie between those of {coarse.name}",
            "corners of the input's pixels on corners of the reference's",
            "resample the reference with gdalwarp -tap or -te",
        )
    return Window(round(offsets[0]), round(offsets[1]), given.width * scale, given.height * scale), given


def _check_sizes(fine: Scene, coarse: Scene, scale: int) -> None:
    _, _, height, width = coarse.shape
    if fine.shape[2:] != (height * scale, width * scale):
        raise InputError(
            f"a reference of {fine.shape[3]} × {fine.shape[2]} pixels for a source of {width} × {height}",
            f"{scale} times as many a side: {width * scale} × {height * scale}",
            "crop them to the same ground",
        )


def _check_planes(fine: Scene, coarse: Scene) -> None:
    for one, other in zip(fine.grid.planes, coarse.grid.planes, strict=False):
        corners = zip(one.corners(fine.grid.shape), other.corners(coarse.grid.shape), strict=True)
        if any(math.dist(a, b) > _APART * min(other.spacing) for a, b in corners):
            raise InputError(
                f"slices of {fine.name} and {coarse.name} that lie elsewhere", "the same place", "take another pair"
            )
