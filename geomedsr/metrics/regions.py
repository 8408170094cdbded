"""The regions in which a scene is compared, one at a time, so that memory does not grow with the scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from geomedsr import operators
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors, Window
from geomedsr.metrics.interpolation import REACH
from geomedsr.scene.bands import continuous
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: Side of the regions in which rasters are compared, and of the squares over which figures are summed, in pixels of the
#: reference. Squares are the units of the bootstrap, and the patches of which spectra are taken.
REGION, SQUARE = 768, 96

#: An upper bound of the radius of SSIM's window.
_SSIM_REACH = 8


@dataclass(frozen=True)
class Region:
    """A region ``box`` of one frame of the reference, with its surroundings ``around``.

    ``truth`` is the reference in physical units, ``(1, band, y, x)`` over ``around``; it is 0 where the reference or
    the input is not ``known``. ``data`` are the pixels that may count: SSIM's window around them holds only known
    pixels. ``coarse`` is the input for the region, physical, ``(1, band, y, x)``.
    """

    box: Box
    around: Box
    truth: Array
    known: Array
    data: Array
    coarse: Array

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the region within its surroundings."""
        return self.box.within(self.around).index[2:]


def regions(
    fine: Scene, coarse: Scene, scale: int, operator: str, boxes: Iterable[Box] | None = None
) -> Iterator[Region]:
    """All regions of a reference whose input, ``scale`` times coarser, is ``coarse``; or those of some ``boxes``.

    The slices of a series are regions, and so are whole frames if the operator needs them.
    """
    margin, whole = (0, _SSIM_REACH, _SSIM_REACH), Box.whole(fine.shape)
    for box in whole.tiles((1, *_sides(fine, scale, operator))) if boxes is None else boxes:
        around = box.grown(margin) & whole
        wider = around.grown(margin) & whole
        there = _known(fine, coarse, wider, scale)
        shape = (1, len(fine.bands), *around.shape[1:])
        inner = around.within(wider).index
        known = np.broadcast_to(there[inner], shape)
        data = np.broadcast_to(~_near(~there, _SSIM_REACH)[inner], shape)
        truth = np.where(known, physical(fine, box.frames, fine.source.read(around)), 0.0)
        given = physical(coarse, box.frames, coarse.source.read(box.coarsened(Factors.in_plane(scale))))
        yield Region(box, around, truth, known, data, given)


def count_regions(fine: Scene, scale: int, operator: str) -> int:
    """How many :func:`regions` there are."""
    return sum(1 for _ in Box.whole(fine.shape).tiles((1, *_sides(fine, scale, operator))))


def _sides(fine: Scene, scale: int, operator: str) -> tuple[int, int]:
    """Rows and columns of a region: whole frames, or whole pixels of the input."""
    if fine.grid.planes or operators.get(operator).whole_frames:
        return fine.shape[2:]
    side = max(REGION // scale, 1) * scale
    return side, side


def squares(window: Window, scale: int) -> Iterator[Window]:
    """The squares of a region, in its pixels; squares at the far edges may be smaller."""
    side = square_side(scale)
    for box in Box((0, 0, 0), (1, window.height, window.width)).tiles((1, side, side)):
        yield box.window


def square_side(scale: int) -> int:
    """The side of a whole square: whole pixels of the input, and no more than :data:`SQUARE` of the reference."""
    return max(SQUARE // scale, 1) * scale


def divisible(scene: Scene, scale: int) -> Scene:
    """The scene's continuous bands, cropped so that the scale divides its size.

    Raises:
        InputError: the scene is too small.
    """
    _, _, height, width = scene.shape
    if min(height, width) < scale * 16:
        raise InputError(f"{scene.name} of {width} × {height} pixels", f"at least {16 * scale} a side", "leave it out")
    scene = continuous(scene)
    return replace(scene.crop(Window(0, 0, width // scale * scale, height // scale * scale)), scale=None)


def physical(scene: Scene, frames: slice, stored: Array) -> Array:
    """Stored values ``(frame, band, y, x)`` in physical units."""
    slope, offset = scene.slopes_and_offsets
    if len(slope) > 1:
        slope, offset = slope[frames], offset[frames]
    values: Array = stored.astype(np.float64) * slope[..., None, None] + offset[..., None, None]
    return values


def _known(fine: Scene, coarse: Scene, box: Box, scale: int) -> Array:
    """Which pixels are data in every band of both scenes, and too far from the input's missing pixels for
    interpolation to use these; ``(frame, 1, y, x)``."""
    factors = Factors.in_plane(scale)
    kept = box.coarsened(factors).grown((0, REACH, REACH)) & Box.whole(coarse.shape)
    near = _near(~np.asarray(coarse.source.valid(kept).all(1, keepdims=True)), REACH)
    given = near.repeat(scale, -2).repeat(scale, -1)[box.within(kept.refined(factors)).index]
    known: Array = fine.source.valid(box).all(1, keepdims=True) & ~given
    return known


def _near(missing: Array, margin: int) -> Array:
    """Which pixels ``(frame, 1, y, x)`` lie within ``margin`` pixels of a missing one."""
    if not missing.any():
        return missing
    pooled = torch.nn.functional.max_pool2d(torch.from_numpy(missing.astype(np.float32)), 2 * margin + 1, 1, margin)
    near: Array = pooled.numpy() > 0
    return near
