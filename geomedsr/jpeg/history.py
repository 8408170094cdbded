"""Whether an image was compressed before its last compression: coefficients then miss values between coarser steps.

After Lukáš and Fridrich 2003, "Estimation of primary quantization matrix in double compressed JPEG images".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geomedsr.jpeg.codestream import Coefficients
from geomedsr.jpeg.tables import ZIGZAG

Array = np.ndarray[Any, Any]

#: How many coefficients after the mean are looked at, in a file's order, and in how many of them it must show.
_LOOKED, _AGREE = 9, 3

#: Steps of an earlier compression are looked for up to so many times the last ones.
_COARSEST = 6

#: Values that a step leaves out: how many there should be without it, and the share of these at which they are missing.
_ENOUGH, _MISSING = 100, 0.15

#: How far rounding to pixels moves coefficients.
_MOVED = 1.0


def earlier_step(found: Coefficients) -> int | None:
    """The step of an earlier and coarser compression in the lowest coefficients; None where none shows."""
    luma = found.components[0]
    seen = []
    for place in ZIGZAG[1 : 1 + _LOOKED]:
        row, column = divmod(int(place), 8)
        step = _coarser(luma.blocks[:, :, row, column], int(luma.table[row, column]))
        if step is not None:
            seen.append(step)
    return int(np.median(seen)) if len(seen) >= _AGREE else None


def _coarser(values: Array, step: int) -> int | None:
    """The earlier step of one coefficient that explains the gaps in its histogram best."""
    counts = np.bincount(np.abs(values).ravel())[1:].astype(float)  # 1, 2, …
    best, least = None, _MISSING
    if not counts.size:
        return None
    for earlier in range(step + 1, _COARSEST * step + 1):
        reach = -(-earlier // step)
        expected = np.convolve(counts, np.ones(2 * reach + 1))[reach : reach + len(counts)] / (2 * reach + 1)
        value = np.arange(1, len(counts) + 1) * step
        off = np.abs(value - np.rint(value / earlier) * earlier)
        gone = off > step / 2 + _MOVED
        if expected[gone].sum() < _ENOUGH:
            continue
        share = counts[gone].sum() / expected[gone].sum()
        if share < least:
            best, least = earlier, share
    return best
