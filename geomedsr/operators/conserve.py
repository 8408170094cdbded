"""The block mean, kept exactly on stored values: out = input repeated + deviations that sum to zero.

The network's opinion enters only as the deviations of each ``s × s`` block from the block's own mean. They
are added to the stored input in its own arithmetic, so that large int32 or float64 values keep their
digits. For integers the deviations are rounded by cascade rounding (round the running sum, take
differences): each rounded deviation is the floor or the ceiling of the exact one and their sum is exactly
zero, so averaging the block gives the input back bit for bit.

Arrays here are ``(frame, band, y, x)``; ``scale`` is ``s``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from geomedsr.sources import Array

#: Coarse pixels that are worked on at once, so that what is computed of them stays in a core's cache.
_AT_ONCE = 1 << 14


def conserve(
    base: Array,
    fine: Array,
    span: Array,
    scale: int,
    nodata: float | int | None = None,
    limits: tuple[int, int] | None = None,
) -> Array:
    """Stored values on the fine grid whose block means are ``base``.

    Args:
        base: stored input values, ``(…, H, W)``. Where one is ``nodata`` itself or no number, its block holds
            nothing of use; no other block is touched.
        fine: the network's output, normalised float32, ``(…, s·H, s·W)``; only its deviations count.
        span: stored units per normalised unit, ``(…, 1, 1)``.
        scale: ``s``.
        nodata: a stored value that no output pixel may take.
        limits: for integers, the values that may be used, where they are fewer than the type has. A block whose
            own value lies outside may reach that value.

    Returns:
        An array ``(…, s·H, s·W)`` of ``base``'s type. Integers: every block sums to exactly ``s² · base``
        and stays within the type and the limits. Floats: block means are ``base`` within one ulp of the block's largest
        magnitude.
    """
    rows = max(1, _AT_ONCE // base.shape[-1])
    if base.shape[-2] <= rows:
        return _conserve(base, fine, span, scale, nodata, limits)
    out = np.empty(fine.shape, base.dtype)
    for top in range(0, base.shape[-2], rows):
        coarse, part = slice(top, top + rows), slice(top * scale, (top + rows) * scale)
        out[..., part, :] = _conserve(base[..., coarse, :], fine[..., part, :], span, scale, nodata, limits)
    return out


def _conserve(
    base: Array, fine: Array, span: Array, scale: int, nodata: float | int | None, limits: tuple[int, int] | None
) -> Array:
    if base.dtype.kind == "f":
        return _conserve_float(base, fine, span, scale, nodata)
    low, high = limits or (int(np.iinfo(base.dtype).min), int(np.iinfo(base.dtype).max))
    if nodata is not None and int(nodata) == low:
        low += 1
    elif nodata is not None and int(nodata) == high:
        high -= 1
    least, most = np.asarray(low, base.dtype), np.asarray(high, base.dtype)
    if limits is not None:
        least, most = np.minimum(least, base), np.maximum(most, base)
    out = _conserve_int(base, fine, span, scale, least, most)
    if nodata is None or not low <= int(nodata) <= high:
        return out
    hit = out == np.asarray(nodata, base.dtype)
    if hit.any():
        # These blocks keep to their own side of the nodata value; the others stay as they are.
        below = base < nodata
        side_low = np.where(below, least, np.asarray(min(int(nodata) + 1, high), base.dtype))
        side_high = np.where(below, np.asarray(max(int(nodata) - 1, low), base.dtype), most)
        sided = _conserve_int(base, fine, span, scale, side_low, side_high)
        blocks = np.logical_or.reduce([hit[phase] for phase in _phases(scale)])
        for phase in _phases(scale):
            out[phase] = np.where(blocks, sided[phase], out[phase])
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


def _phases(scale: int) -> Iterator[tuple[Any, slice, slice]]:
    """The ``s²`` positions in a block, each as an index that takes that pixel of every block."""
    for i in range(scale):
        for j in range(scale):
            yield ..., slice(i, None, scale), slice(j, None, scale)


def _block_mean(fine: Array, scale: int, dtype: type) -> Array:
    total = np.zeros((*fine.shape[:-2], fine.shape[-2] // scale, fine.shape[-1] // scale), dtype)
    for phase in _phases(scale):
        total += fine[phase]
    return np.asarray(total / dtype(scale * scale))


def _conserve_float(base: Array, fine: Array, span: Array, scale: int, nodata: float | int | None) -> Array:
    mean = _block_mean(fine, scale, np.float64)
    wide = base.astype(np.float64)
    out = np.empty(fine.shape, base.dtype)
    limit = float(np.finfo(base.dtype).max)
    with np.errstate(over="ignore", invalid="ignore"):
        inside = np.logical_and.reduce(
            [np.abs(wide + (fine[phase] - mean) * span) <= limit for phase in _phases(scale)]
        )
        for phase in _phases(scale):  # a block that would leave the type stays constant
            out[phase] = np.where(inside, wide + (fine[phase] - mean) * span, wide).astype(base.dtype)
    if nodata is None or np.isnan(nodata):
        return out
    hit = out == base.dtype.type(nodata)
    if hit.any():  # step off it by one ulp of the block's largest magnitude: within what is promised
        largest = np.maximum.reduce([np.abs(out[phase]) for phase in _phases(scale)])
        step = np.where(base >= base.dtype.type(nodata), 1, -1) * np.spacing(largest)
        for phase in _phases(scale):
            out[phase] = np.where(hit[phase], out[phase] + step.astype(base.dtype), out[phase])
    return out


def _conserve_int(base: Array, fine: Array, span: Array, scale: int, low: Array, high: Array) -> Array:
    small = base.dtype.itemsize <= 2
    real: Any = np.float32 if small else np.float64
    whole: Any = np.int32 if small else np.int64
    span = np.asarray(span, real)
    planes = np.empty((scale * scale, *base.shape), real)  # one after the other in memory, which is much faster
    for plane, phase in zip(planes, _phases(scale), strict=True):
        plane[...] = fine[phase]
    mean = planes.sum(0) / real(scale * scale)

    largest, smallest = planes.max(0), planes.min(0)
    up, down = _room(base, high, real), _room(low, base, real)
    factor = span * np.minimum(_shrink((largest - mean) * span, up), _shrink((mean - smallest) * span, down))

    running: Array = np.zeros(base.shape, real)
    deviations = np.zeros(planes.shape, whole)
    for plane, deviation in zip(planes[:-1], deviations[:-1], strict=True):
        plane -= mean
        plane *= factor
        running += plane
        np.floor(np.add(running, real(0.5), out=plane), out=plane)
        deviation[...] = plane
    deviations[1:] -= deviations[:-1].copy()  # of the rounded sums; the last is 0, so they sum to zero

    # Float rounding in the running sum can, very rarely, push a deviation past the room that is left.
    flat = (deviations.max(0).astype(real) > up) | (-deviations.min(0).astype(real) > down)
    if flat.any():
        deviations[:, flat] = 0
    # 64-bit sums may pass through wrap-around; the result lies within the type, so it is exact.
    deviations += base.astype(whole) if base.dtype != np.uint64 else base.view(np.int64)
    out = np.empty(fine.shape, base.dtype)
    for deviation, phase in zip(deviations, _phases(scale), strict=True):
        out[phase] = deviation
    return out


def _room(low: Array, high: Array, real: type) -> Array:
    """``high − low`` ≥ 0 as a float that is never above it, and at most 2⁶² so that it fits in int64."""
    if np.asarray(low).dtype.itemsize <= 4:
        return (np.asarray(high).astype(np.int64) - np.asarray(low).astype(np.int64)).astype(real)
    exact = np.asarray(high).astype(np.uint64) - np.asarray(low).astype(np.uint64)  # modulo 2⁶⁴
    room = exact.astype(np.float64)
    room = np.where(room >= 2.0**53, np.nextafter(room, 0), room)
    return np.minimum(room, 2.0**62).astype(real)


def _shrink(reach: Array, room: Array) -> Array:
    """The factor ≤ 1 that brings a reach within the room."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reach > room, room / reach, np.ones((), room.dtype))
