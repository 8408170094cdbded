"""How far the block means of a result are from the stored values of its input."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from geomedsr.geometry import Factors
from geomedsr.scene.sources import Array

#: The axes within a block, in ``(frame, f, band, y, r, x, c)``.
_INSIDE = (1, 4, 6)


def block_error(before: Array, after: Array, factors: Factors) -> Array:
    """How far block means are from the input, in stored units; 0 within one ulp for floats.

    ``before`` is ``(frame, band, y, x)``, ``after`` the same axes finer by ``factors``.
    """
    frames, bands, height, width = before.shape
    blocks = after.reshape(frames, factors.frame, bands, height, factors.y, width, factors.x)
    if before.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):  # pixels without data
            largest = np.abs(blocks).max(_INSIDE)
            ulp = np.minimum(np.spacing(largest), np.finfo(before.dtype).max * np.finfo(before.dtype).eps)
            error = np.abs(_excess(before, blocks)) / factors.volume
        return np.where(error <= ulp, 0.0, np.where(np.isnan(error), np.inf, error))
    wide: Any = np.int64 if before.dtype.itemsize < 8 else object
    total = blocks.astype(wide).sum(_INSIDE) - before.astype(wide) * factors.volume
    return np.asarray(np.abs(total) / factors.volume, np.float64)


def _excess(before: Array, blocks: Array) -> Array:
    """The sum of each block ``(frame, f, band, y, r, x, c)`` minus the block's size times the input.

    Compensated summation (Neumaier 1974): plain float64 sums would not be precise enough here.
    """
    total, lost = (np.zeros(before.shape, np.float64) for _ in range(2))
    for frame, row, col in product(*(range(blocks.shape[axis]) for axis in _INSIDE)):
        for term in (blocks[:, frame, :, :, row, :, col].astype(np.float64), -before.astype(np.float64)):
            following = total + term
            larger = np.abs(total) >= np.abs(term)
            lost += np.where(larger, (total - following) + term, (term - following) + total)
            total = following
    return np.asarray(total + lost)
