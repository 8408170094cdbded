"""Integers that a float cannot represent exactly: arithmetic on their differences from one of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from geomedsr.scene.sources import Array

#: Up to this magnitude float32, which the network sees, resolves a small fraction of 1.
LARGE = 2**20

#: The difference of numbers farther apart than this may overflow int64.
_FAR = 2.0**61


def anchor(low: Array, high: Array, dtype: np.dtype[Any]) -> Array | None:
    """An integer of the type near each ``low``, as the zero point of differences.

    None where it is not needed, since the type or all numbers from ``low`` to ``high`` are small, and where ``low`` and
    ``high`` are too far apart for differences in int64.
    """
    if dtype.kind not in "iu" or dtype.itemsize <= 2 or max(np.abs(low).max(), np.abs(high).max()) < LARGE:
        return None
    if not np.abs(high - low).max() < _FAR:
        return None
    info = np.iinfo(dtype)
    near: Array = np.clip(np.rint(low), info.min, float(info.max) - (dtype.itemsize > 4) * 2048.0)
    return near.astype(dtype)


def beyond(stored: Array, base: Array) -> Array:
    """``stored − base``, float64: exact below 2⁵³."""
    if stored.dtype.itemsize <= 4:
        return (stored.astype(np.int64) - base.astype(np.int64)).astype(np.float64)
    with np.errstate(over="ignore"):  # modulo 2⁶⁴
        apart = np.asarray(stored - base)
    far: Array = apart.view(np.int64).astype(np.float64)
    return far


def rounded(offsets: Array, base: Array, limits: tuple[int, int] | None, nodata: float | int | None) -> Array:
    """``base + offsets`` in the type of ``base``, rounded to nearest, clipped to type and limits, never wrapped."""
    dtype = base.dtype
    info = np.iinfo(dtype)
    least, most = limits or (info.min, info.max)
    wide = base.astype(np.float64)
    slack = 2048.0 * (dtype.itemsize > 4)  # the spacing of floats of that size
    whole = np.clip(np.rint(offsets), least - wide, most - wide - slack * (np.abs(most - wide) >= 2.0**53))
    whole = np.clip(whole, -(2.0**63), 2.0**63 - 2048).astype(np.int64)
    if dtype.itemsize <= 4:
        out: Array = (base.astype(np.int64) + whole).astype(dtype)
    else:
        with np.errstate(over="ignore"):
            out = np.asarray(whole.view(dtype) + base)
    if nodata is not None:
        out[out == dtype.type(nodata)] = int(nodata) + (1 if int(nodata) < most else -1)
    return out
