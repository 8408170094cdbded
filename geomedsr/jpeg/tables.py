"""Quantisation tables, and the order in which a file has them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Where each of the 64 numbers of a file belongs in a block, row by row: ITU-T T.81, figure A.6.
ZIGZAG = np.array(
    [row * 8 + diagonal - row if (diagonal % 2) else (diagonal - row) * 8 + row for diagonal in range(15)
     for row in range(max(0, diagonal - 7), min(diagonal, 7) + 1)]
)  # fmt: skip

#: The table for luminance of annex K.1.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def luminance(quality: int) -> Array:
    """The table for luminance of a quality 1 … 100, scaled as libjpeg does; int64 ``(8, 8)``, 1 … 255."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((LUMINANCE * percent + 50) // 100, 1, 255))
