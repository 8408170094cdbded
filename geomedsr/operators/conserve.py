"""Conservation: block means of stored values are kept exactly. Output = repeated input + deviations that sum to zero.

Of the prediction, only the deviations of each ``s × s`` block from the block's own mean are used. They
are added to the stored input in its own arithmetic, so that large int32 or float64 values keep their
digits. For integers the deviations are rounded by cascade rounding (round the running sum, take
differences): each rounded deviation is the floor or the ceiling of the exact one and their sum is exactly
zero, so the mean of the block equals the input bit for bit.

The fine image is given as sub-pixel planes (:mod:`geomedsr.operators.sub_pixel`), as networks make it. With the
plane as the first axis, ``(s², frame, band, y, x)``, all arithmetic is between whole arrays.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from geomedsr.geometry import Factors
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.sources import Array

#: Coarse pixels that are processed at once, so that intermediate results stay in a core's cache.
_AT_ONCE = 1 << 14


def conserve(
    base: Array,
    subpixels: Array,
    factors: Factors,
    span: Array,
    nodata: float | int | None = None,
    limits: tuple[int, int] | None = None,
    out: Array | None = None,
) -> Array:
    """Stored values on the fine grid whose block means are ``base``.

    Args:
        base: stored input values, ``(frame, …, H, W)``. Where a value is ``nodata`` or not finite, its block is
            undefined; other blocks are not affected.
        subpixels: the network's output, normalised float32, ``(frame, …, v, H, W)``; only its deviations count.
        factors: how many times finer the result is; ``v`` is their volume.
        span: stored units per normalised unit, ``(…, 1, 1)``.
        nodata: a stored value that no output pixel may take.
        limits: for integers, the lowest and highest value that may be used, if narrower than the type. A block whose
            input lies outside may take values up to that input.
        out: the array for the result, ``(ff·frame, …, fy·H, fx·W)``, of ``base``'s type; by default a new one.

    Returns:
        An array with the axes of ``out`` and ``base``'s type. Integers: every block sums to exactly ``v · base``
        and stays within the type and the limits. Floats: block means are ``base`` within one ulp of the block's largest
        magnitude.
    """
    frames, *others, height, width = base.shape
    if out is None:
        out = np.empty((factors.frame * frames, *others, factors.y * height, factors.x * width), base.dtype)
    if factors.volume == 1:  # a copy keeps even the sign of a zero
        out[...] = base
        return out
    rows = max(1, _AT_ONCE // (base[..., 0, 0].size * width))
    for top in range(0, height, rows):
        coarse = slice(top, top + rows)
        made = _conserve(base[..., coarse, :], np.moveaxis(subpixels[..., coarse, :], -3, 0), span, nodata, limits)
        merged(np.moveaxis(made, 0, -3), factors, out[..., top * factors.y : (top + rows) * factors.y, :])
    return out


def _conserve(
    base: Array, subpixels: Array, span: Array, nodata: float | int | None, limits: tuple[int, int] | None
) -> Array:
    """Conserve on sub-pixel planes ``(s², …, H, W)``; the result has the same axes."""
    if base.dtype.kind == "f":
        return _conserve_float(base, subpixels, span, nodata)
    low, high = limits or (int(np.iinfo(base.dtype).min), int(np.iinfo(base.dtype).max))
    if nodata is not None and int(nodata) == low:
        low += 1
    elif nodata is not None and int(nodata) == high:
        high -= 1
    least, most = np.asarray(low, base.dtype), np.asarray(high, base.dtype)
    if limits is not None:
        least, most = np.minimum(least, base), np.maximum(most, base)
    out = _conserve_int(base, subpixels, span, least, most)
    if nodata is None or not low <= int(nodata) <= high:
        return out
    hit = out == np.asarray(nodata, base.dtype)
    if hit.any():
        # Blocks that hit the nodata value are made again on one side of it, the input's; others stay as they are.
        below = base < nodata
        side_low = np.where(below, least, np.asarray(min(int(nodata) + 1, high), base.dtype))
        side_high = np.where(below, np.asarray(max(int(nodata) - 1, low), base.dtype), most)
        out = np.where(hit.any(0), _conserve_int(base, subpixels, span, side_low, side_high), out)
    return out


def unconserved(
    fine: Array,
    low: Array,
    span: Array,
    dtype: np.dtype[Any],
    nodata: float | int | None = None,
    limits: tuple[int, int] | None = None,
) -> Array:
    """The network's output in stored units, rounded to nearest, clipped to type and limits, never wrapped."""
    values = fine.astype(np.float64) * span + low
    if dtype.kind == "f":
        out = values.astype(dtype)
        if nodata is not None:
            out = np.where(out == dtype.type(nodata), np.nextafter(out, dtype.type(np.inf)), out)
        return out
    info = np.iinfo(dtype)
    values = np.rint(values)
    least, most = limits or (info.min, info.max)
    out = np.clip(values, least, most - (dtype.itemsize > 4) * 2048.0).astype(dtype)
    if nodata is not None:
        beside = int(nodata) + (1 if int(nodata) < most else -1)
        out[out == dtype.type(nodata)] = beside
    return out


def _conserve_float(base: Array, subpixels: Array, span: Array, nodata: float | int | None) -> Array:
    mean = subpixels.sum(0, np.float64) / len(subpixels)
    wide = base.astype(np.float64)
    limit = float(np.finfo(base.dtype).max)
    with np.errstate(over="ignore", invalid="ignore"):
        made = wide + (subpixels - mean) * span
        inside = (np.abs(made) <= limit).all(0)  # a block that would overflow its type becomes constant
        out = np.where(inside, made, wide).astype(base.dtype)
    if nodata is None or np.isnan(nodata):
        return out
    hit = out == base.dtype.type(nodata)
    if hit.any():  # avoid it by one ulp of the block's largest magnitude, which is within the guarantee
        step = np.where(base >= base.dtype.type(nodata), 1, -1) * np.spacing(np.abs(out).max(0))
        out = np.where(hit, out + step.astype(base.dtype), out)
    return out


def _conserve_int(base: Array, subpixels: Array, span: Array, low: Array, high: Array) -> Array:
    small = base.dtype.itemsize <= 2
    real: Any = np.float32 if small else np.float64
    whole: Any = np.int32 if small else np.int64
    span = np.asarray(span, real)
    planes = np.array(subpixels, real, order="C")  # each plane contiguous in memory: much faster
    planes -= planes.sum(0) / real(len(planes))

    up, down = _room(base, high, real), _room(low, base, real)
    planes *= span * np.minimum(_shrink(planes.max(0) * span, up), _shrink(-planes.min(0) * span, down))
    for before, plane in pairwise(planes[:-1]):
        plane += before
    planes += real(0.5)
    sums = np.zeros((len(planes) + 1, *base.shape), whole)  # the last sum is 0, so the deviations sum to zero
    with np.errstate(invalid="ignore"):  # undefined blocks
        sums[1:-1] = np.floor(planes, out=planes)[:-1]
    deviations: Array = sums[1:] - sums[:-1]

    # Float rounding in the running sum can, very rarely, push a deviation past the type or the limits.
    flat = (deviations.max(0).astype(real) > up) | (-deviations.min(0).astype(real) > down)
    if flat.any():
        deviations[:, flat] = 0
    # 64-bit sums may wrap around. The result lies within the type, so it is still exact.
    deviations += base.astype(whole) if base.dtype != np.uint64 else base.view(np.int64)
    return deviations.astype(base.dtype)


def _room(low: Array, high: Array, real: type) -> Array:
    """``high − low`` ≥ 0 as a float, never rounded up, and at most 2⁶² so that it fits in int64."""
    if np.asarray(low).dtype.itemsize <= 4:
        return (np.asarray(high).astype(np.int64) - np.asarray(low).astype(np.int64)).astype(real)
    exact = np.asarray(high).astype(np.uint64) - np.asarray(low).astype(np.uint64)  # modulo 2⁶⁴
    room = exact.astype(np.float64)
    room = np.where(room >= 2.0**53, np.nextafter(room, 0), room)
    return np.minimum(room, 2.0**62).astype(real)


def _shrink(extent: Array, room: Array) -> Array:
    """The factor ≤ 1 that makes an extent fit into the room."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(extent > room, room / extent, np.ones((), room.dtype))
