"""The regions in which a scene is compared, one at a time, so that no more of it is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from geomedsr import operators
from geomedsr.errors import InputError
from geomedsr.grid import Window
from geomedsr.metrics.interpolation import REACH
from geomedsr.scene import Scene
from geomedsr.sources import Array

#: Side of the regions that rasters are compared in, and of the squares that figures are summed over, both in pixels of
#: the reference. Squares are what bootstrap intervals draw from, and what spectra are taken of.
REGION, SQUARE = 768, 96

#: SSIM's window reaches less far than that.
_SSIM_REACH = 8


@dataclass(frozen=True)
class Region:
    """A region of one frame of the reference, what surrounds it, and what is there.

    ``truth`` is physical, ``(1, band, y, x)`` over ``around``, 0 where it or the input is not ``known``; ``data`` are
    the pixels that may count, where SSIM meets nothing else. ``inner`` cuts the region itself out.
    ``coarse`` is the input there, physical, ``(1, band, y, x)``.
    """

    frame: int
    window: Window
    around: Window
    truth: Array
    known: Array
    data: Array
    coarse: Array

    @property
    def frames(self) -> slice:
        """Its frame as a slice."""
        return slice(self.frame, self.frame + 1)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the region in what surrounds it."""
        row, col = self.window.row - self.around.row, self.window.col - self.around.col
        return slice(row, row + self.window.height), slice(col, col + self.window.width)


def regions(fine: Scene, coarse: Scene, scale: int, operator: str) -> Iterator[Region]:
    """All regions of a reference whose input, ``scale`` times coarser, is ``coarse``.

    Slices of a series are regions, and frames where the operator needs them whole.
    """
    count, _, height, width = fine.shape
    whole = fine.grid.planes or operators.get(operator).whole_frames
    side = max(height, width) if whole else max(REGION // scale, 1) * scale
    for frame in range(count):
        for row in range(0, height, side):
            for col in range(0, width, side):
                window = Window(col, row, min(side, width - col), min(side, height - row))
                around = window.grown(_SSIM_REACH).clipped((height, width))
                one = slice(frame, frame + 1)
                wider = around.grown(_SSIM_REACH).clipped((height, width))
                there = _known(fine, coarse, one, wider, scale)
                shape = (1, len(fine.bands), around.height, around.width)
                known = np.broadcast_to(_cut(there, wider, around), shape)
                data = np.broadcast_to(_cut(~_near(~there, _SSIM_REACH), wider, around), shape)
                truth = np.where(known, physical(fine, one, fine.source.read(one, around)), 0.0)
                given = physical(coarse, one, coarse.source.read(one, window.coarser(scale)))
                yield Region(frame, window, around, truth, known, data, given)


def count_regions(fine: Scene, scale: int, operator: str) -> int:
    """How many :func:`regions` there are."""
    frames, _, height, width = fine.shape
    if fine.grid.planes or operators.get(operator).whole_frames:
        return frames
    side = max(REGION // scale, 1) * scale
    return frames * -(-height // side) * -(-width // side)


def squares(window: Window, scale: int) -> Iterator[Window]:
    """A region in squares, those at its far edges less than whole; in pixels of the region."""
    side = square_side(scale)
    for row in range(0, window.height, side):
        for col in range(0, window.width, side):
            yield Window(col, row, min(side, window.width - col), min(side, window.height - row))


def square_side(scale: int) -> int:
    """The side of a whole square: whole pixels of the input, and no more than :data:`SQUARE` of the reference."""
    return max(SQUARE // scale, 1) * scale


def divisible(scene: Scene, scale: int) -> Scene:
    """The scene's continuous bands, cropped so that the scale divides its size.

    Raises:
        InputError: it is too small.
    """
    _, _, height, width = scene.shape
    if min(height, width) < scale * 16:
        raise InputError(f"{scene.name} of {width} × {height} pixels", f"at least {16 * scale} a side", "leave it out")
    scene = continuous(scene)
    return replace(scene.crop(Window(0, 0, width // scale * scale, height // scale * scale)), scale=None)


def continuous(scene: Scene) -> Scene:
    """The scene without bands of classes, flags and alpha."""
    picks = [i for i, band in enumerate(scene.bands, 1) if band.kind == "continuous"]
    return scene if len(picks) == len(scene.bands) else scene.select(picks)


def physical(scene: Scene, frames: slice, stored: Array) -> Array:
    """Stored values ``(frame, band, y, x)`` in physical units."""
    slope, offset = scene.lines
    if len(slope) > 1:
        slope, offset = slope[frames], offset[frames]
    values: Array = stored.astype(np.float64) * slope[..., None, None] + offset[..., None, None]
    return values


def _known(fine: Scene, coarse: Scene, frames: slice, window: Window, scale: int) -> Array:
    """Which pixels are data, in every band of both, and so far from the input's missing ones that no interpolation
    meets those; ``(frame, 1, y, x)``."""
    kept = window.coarser(scale).grown(REACH).clipped(coarse.shape[2:])
    near = _near(~np.asarray(coarse.source.valid(frames, kept).all(1, keepdims=True)), REACH)
    given = _cut(near.repeat(scale, -2).repeat(scale, -1), kept.scaled(scale), window)
    known: Array = fine.source.valid(frames, window).all(1, keepdims=True) & ~given
    return known


def _near(missing: Array, margin: int) -> Array:
    """Which pixels ``(frame, 1, y, x)`` lie at most so far from a missing one."""
    if not missing.any():
        return missing
    pooled = torch.nn.functional.max_pool2d(torch.from_numpy(missing.astype(np.float32)), 2 * margin + 1, 1, margin)
    near: Array = pooled.numpy() > 0
    return near


def _cut(array: Array, window: Window, part: Window) -> Array:
    """What an array over a window holds of a part of it."""
    row, col = part.row - window.row, part.col - window.col
    return array[..., row : row + part.height, col : col + part.width]
