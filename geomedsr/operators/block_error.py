"""How far the block means of stored values are from what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from geomedsr.sources import Array


def block_error(before: Array, after: Array, factor: int) -> Array:
    """How far block means are from the input, in stored units; 0 within one ulp for floats."""
    *lead, height, width = before.shape
    blocks = after.reshape(*lead, height, factor, width, factor)
    if before.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):  # of pixels without data
            largest = np.abs(blocks).max((-3, -1))
            ulp = np.minimum(np.spacing(largest), np.finfo(before.dtype).max * np.finfo(before.dtype).eps)
            error = np.abs(_excess(before, blocks)) / factor**2
        return np.where(error <= ulp, 0.0, np.where(np.isnan(error), np.inf, error))
    wide: Any = np.int64 if before.dtype.itemsize < 8 else object
    total = blocks.astype(wide).sum((-3, -1)) - before.astype(wide) * factor**2
    return np.asarray(np.abs(total) / factor**2, np.float64)


def _excess(before: Array, blocks: Array) -> Array:
    """The sums of blocks ``(…, y, factor, x, factor)`` less as many times the input, with what each addition loses
    added in the end (Neumaier 1974): float64 alone would lose more than is asked here.
    """
    factor = blocks.shape[-1]
    total, lost = (np.zeros(before.shape, np.float64) for _ in range(2))
    for row in range(factor):
        for col in range(factor):
            for term in (blocks[..., row, :, col].astype(np.float64), -before.astype(np.float64)):
                following = total + term
                larger = np.abs(total) >= np.abs(term)
                lost += np.where(larger, (total - following) + term, (term - following) + total)
                total = following
    return np.asarray(total + lost)
