"""What the network sees outside the data: reflection past the scene's edge, a bounded fill under nodata.

Both depend on the scene alone, not on the window that is read, so any two windows agree where they overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.sources import Array, Source

if TYPE_CHECKING:
    import torch  # slow to import

#: How far, in pixels, valid values are extended into nodata. It is part of every halo.
FILL_RADIUS = 16

#: The normalised value of nodata that is farther from valid pixels: the middle of the value scale.
FILL_REST = 0.5


def reflected(start: int, stop: int, length: int, block: int = 1) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Indices for positions ``start … stop`` of an axis of ``length`` that is continued by repeated reflection.

    The edge pixel is not repeated (… 2 1 0 1 2 …), as in ``numpy.pad(mode="reflect")``. With a ``block``, which divides
    the length, the edge block is not: the axis is reflected as the coarser one is whose pixels the blocks are.
    """
    positions = np.arange(start, stop, dtype=np.int64)
    number, inside = positions // block, positions % block
    last = length // block - 1
    if last == 0:
        return inside
    phase = number % (2 * last)
    pixel = np.minimum(phase, 2 * last - phase)
    passes = -(-np.abs(number) // last)  # how often an edge was met on the way, counted from the first block
    turned = np.where(number < 0, passes % 2 == 1, (number > 0) & (passes % 2 == 0))
    return pixel * block + np.where(turned, block - 1 - inside, inside)


def read_reflected(source: Source, box: Box, block: int = 1) -> tuple[Array, Array]:
    """Stored values and validity of a box whose rows and columns may leave the scene, continued by reflection."""
    (first, top, left), (last, bottom, right) = box.start, box.stop
    rows = reflected(top, bottom, source.shape[2], block)
    cols = reflected(left, right, source.shape[3], block)
    first_row, first_col = int(rows.min()), int(cols.min())
    inside = Box((first, first_row, first_col), (last, int(rows.max()) + 1, int(cols.max()) + 1))
    values, valid = source.read(inside), source.valid(inside)
    if inside == box:
        return values, valid
    pick = (..., (rows - first_row)[:, None], (cols - first_col)[None, :])
    return values[pick], valid[pick]


def fill(tensor: torch.Tensor, valid: Array) -> torch.Tensor:
    """Fill invalid pixels from the valid ones around them, so that the network sees no steps and no NaN.

    ``tensor`` is normalised float32 ``(frame, band, y, x)``. In each of :data:`FILL_RADIUS` steps, invalid
    pixels beside known ones take the mean of their known 8-neighbours; all that remain then take
    :data:`FILL_REST`. A filled pixel thus depends on pixels at most :data:`FILL_RADIUS` away, and no pixel
    depends on values under the mask.
    """
    import torch

    if valid.all():
        return tensor
    known = np.ascontiguousarray(valid).astype(np.float32)
    values = np.where(valid, tensor.numpy(), np.float32(0))
    for _ in range(FILL_RADIUS):
        count = _box_sum(known)
        grow = (known == 0) & (count > 0)
        if not grow.any():
            break
        values[grow] = _box_sum(values)[grow] / count[grow]
        known[grow] = 1
    values[known == 0] = FILL_REST
    return torch.from_numpy(values)


def _box_sum(plane: Array) -> Array:
    """Sum over each pixel's 3 × 3 neighbourhood; zeros beyond the edge."""
    rows = plane.copy()
    rows[..., 1:, :] += plane[..., :-1, :]
    rows[..., :-1, :] += plane[..., 1:, :]
    box = rows.copy()
    box[..., 1:] += rows[..., :-1]
    box[..., :-1] += rows[..., 1:]
    return box
