"""How far a frame is trusted, pixel by pixel: where it shows something else than the reference, not at all.

Clouds, changed fields and moving organs differ from the prediction by far more than noise and aliasing explain. The
mean square of the difference over a window is compared with what these two would make. Beyond :data:`MOST` times that,
the window has no weight.
"""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: The window's side, in coarse pixels, and how far it looks.
SIDE = 7
RADIUS = SIDE // 2

#: The mean square of the difference as a multiple of what noise and aliasing explain: full weight up to the first, none
#: from the second on.
LEAST, MOST = 1.5, 3.0

#: What aliasing may explain, as a part of the standard deviation within the window.
_ALIASING = 0.2

#: Noise of rounding to whole numbers, in stored units.
_ROUNDING = 12**-0.5


def trust(seen: Array, expected: Array, known: Array, noise: float) -> Array:
    """Weights from 0 to 1 of a frame's pixels ``(y, x)``.

    Args:
        seen: what the frame shows, in the reference's radiometry.
        expected: what it would show of the prediction.
        known: where both are data; elsewhere the weight is 0.
        noise: standard deviation of the noise of one frame.
    """
    number = np.maximum(window_sum(known.astype(np.float64)), 1)
    error = np.where(known, seen - expected, 0)
    values = np.where(known, expected, 0)
    mean = window_sum(values) / number
    spread = np.maximum(window_sum(values * values) / number - mean * mean, 0)
    usual = 2 * max(noise, _ROUNDING) ** 2 + _ALIASING**2 * spread
    ratio = window_sum(error * error) / number / usual
    return np.where(known, np.clip((MOST - ratio) / (MOST - LEAST), 0, 1), 0)


def noise_of(values: Array, known: Array) -> float:
    """Standard deviation of the noise of an image ``(y, x)``: from diagonal differences of 2 × 2 pixels, in the calmest
    of its blocks (median absolute deviation; Donoho and Johnstone 1994, Biometrika 81). 0 where there are too few.
    """
    height, width = (length // 2 * 2 for length in values.shape)
    a, b, c, d = (values[i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
    detail = np.abs(a - b - c + d) / 2
    whole = np.logical_and.reduce([known[i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)])
    rows, columns = (length // _BLOCK for length in detail.shape)
    shape = rows, _BLOCK, columns, _BLOCK
    blocks, whole = (
        plane[: rows * _BLOCK, : columns * _BLOCK].reshape(shape).swapaxes(1, 2).reshape(-1, _BLOCK**2)
        for plane in (detail, whole)
    )
    blocks = blocks[whole.all(1) & blocks.any(1)]  # of one value alone: masked by the scanner, not calm
    if not len(blocks):
        return 0.0
    return float(np.percentile(np.median(blocks, 1), _CALMEST)) / _MEDIAN


#: Blocks of so many differences along each axis, the percentile of them that is calm, and the median of |x| for a
#: standard normal x.
_BLOCK, _CALMEST, _MEDIAN = 12, 5, 0.6745


def window_sum(values: Array) -> Array:
    """Sums of ``(y, x)`` over the window, cut off at the edges.

    They are added tap by tap, so that they do not depend on what else is computed.
    """
    for axis in (0, 1):
        length = values.shape[axis]
        padded = np.pad(values, [(RADIUS, RADIUS) if a == axis else (0, 0) for a in (0, 1)])
        shifted = [np.take(padded, range(tap, tap + length), axis) for tap in range(SIDE)]
        values = sum(shifted[1:], shifted[0])
    return values
