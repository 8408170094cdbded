"""Stored values as whole numbers of 64 bits that keep their order, and the means of blocks of them.

What is sent must come back bit for bit, so floats are taken for what their bits say: numbers that grow as the floats do
(IEEE 754-2019, 5.10). On whole numbers all CPUs agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geomedsr.scene.sources import Array

#: What turns the order of unsigned numbers of 64 bits into that of signed ones.
_TOP = np.uint64(1 << 63)


def whole(values: Array) -> Array:
    """Values of any storage type as int64: greater ones are greater, and no two are the same."""
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "f":
        bits = values.view(f"i{values.dtype.itemsize}")
        most = np.iinfo(bits.dtype).max
        return np.asarray(bits ^ ((bits >> (8 * bits.itemsize - 1)) & most)).astype(np.int64)
    if values.dtype == np.uint64:
        return np.asarray(values ^ _TOP).view(np.int64)
    return values.astype(np.int64)


def stored(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """The values that :func:`whole` made such numbers of."""
    if dtype.kind == "f":
        bits = numbers.astype(f"i{dtype.itemsize}")
        most = np.iinfo(bits.dtype).max
        return np.ascontiguousarray(bits ^ ((bits >> (8 * bits.itemsize - 1)) & most)).view(dtype)
    if dtype == np.uint64:
        return np.asarray(np.ascontiguousarray(numbers).view(np.uint64) ^ _TOP)
    return numbers.astype(dtype)


def hole(nodata: float | int | None, dtype: np.dtype[Any]) -> int | None:
    """The number that stands for no data in a band; None where no value does."""
    return None if nodata is None else int(whole(np.asarray([nodata]).astype(dtype))[0])


def padded(array: Array, factor: int, mode: str = "edge") -> Array:
    """With more rows and columns at the end, so that a factor divides both."""
    more = [(0, 0)] * (array.ndim - 2) + [(0, -side % factor) for side in array.shape[-2:]]
    return np.pad(array, more, mode=mode) if any(after for _, after in more) else array  # type: ignore[call-overload]


def blocks(array: Array, factor: int) -> Array:
    """A view ``(…, y, x, pixel)``-like of an array whose sides the factor divides: ``(…, y, factor, x, factor)``."""
    *lead, height, width = array.shape
    return array.reshape(*lead, height // factor, factor, width // factor, factor)


def means(
    values: Array, valid: Array, factor: int, nodata: Sequence[float | int | None], nearest: Sequence[bool]
) -> tuple[Array, Array]:
    """Values ``(frame, band, y, x)`` and their validity, coarser: each block's mean over the pixels that are data.

    Whole numbers are rounded to the nearest, halves up; floats are what a mean in float64 is, rounded to their type. At
    the end of a row or column a block has the pixels that are there. A block without data has the mean of what is
    stored in it, but for the nodata value, or that value. A mean that would be the nodata value is one more, or one
    less. Bands of classes have the pixel in the middle.
    """
    inside = padded(np.ones(values.shape[-2:], bool), factor, "constant")
    wide, data = padded(values, factor), padded(valid, factor, "constant") & inside
    kept = np.broadcast_to(inside, data.shape)
    if values.dtype.kind == "f":
        kept = kept & np.isfinite(wide)
    else:
        for band, value in enumerate(nodata):
            if value is not None:
                kept = kept.copy() if not kept.flags.writeable else kept
                kept[:, band] &= wide[:, band] != values.dtype.type(value)
    some: Array = np.asarray(blocks(data, factor).any((-3, -1)))
    weights = np.where(np.repeat(np.repeat(some, factor, -2), factor, -1), data, kept)
    counts = blocks(weights, factor).sum((-3, -1))
    coarse = _float_means(wide, weights, counts, factor) if values.dtype.kind == "f" else None
    if coarse is None:
        coarse = _whole_means(wide, weights, counts, factor)
    for band, (value, classes) in enumerate(zip(nodata, nearest, strict=True)):
        plane = coarse[:, band]
        if classes:
            rows, columns = (np.minimum(np.arange(0, n, factor) + factor // 2, n - 1) for n in values.shape[-2:])
            plane[...] = values[:, band][:, rows[:, None], columns]
            some[:, band] = valid[:, band][:, rows[:, None], columns]
        elif value is not None:
            none = counts[:, band] == 0
            plane[none] = value
            plane[~none & (plane == values.dtype.type(value))] = _beside(value, values.dtype)
    return coarse, some


def _float_means(wide: Array, weights: Array, counts: Array, factor: int) -> Array:
    with np.errstate(all="ignore"):
        sums = blocks(np.where(weights, wide, 0).astype(np.float64), factor).sum((-3, -1))
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(wide.dtype)


def _whole_means(wide: Array, weights: Array, counts: Array, factor: int) -> Array:
    """Rounded means, exact for all types: sums are of what is above each block's least, in halves of 32 bits."""
    many = np.maximum(counts, 1)
    if wide.dtype.itemsize < 8:
        sums = blocks(np.where(weights, wide, 0).astype(np.int64), factor).sum((-3, -1))
        return np.asarray((sums + many // 2) // many).astype(wide.dtype)
    numbers = whole(wide)
    least = blocks(numbers, factor).min((-3, -1))
    above = np.where(weights, numbers - np.repeat(np.repeat(least, factor, -2), factor, -1), 0).view(np.uint64)
    high, low = (blocks(part.astype(np.int64), factor).sum((-3, -1)) for part in (above >> 32, above & 0xFFFFFFFF))
    rest = (high % many << 32) + low + many // 2
    mean = np.where(counts > 0, least + (high // many << 32) + rest // many, whole(np.zeros(1, wide.dtype))[0])
    return stored(mean, wide.dtype)


def _beside(value: float | int, dtype: np.dtype[Any]) -> Any:
    """The next value above, or below the greatest."""
    if dtype.kind == "f":
        above = np.nextafter(dtype.type(value), dtype.type(np.inf))
        return above if np.isfinite(above) else np.nextafter(dtype.type(value), dtype.type(-np.inf))
    return value + 1 if value < np.iinfo(dtype).max else value - 1
