"""A tile of a scene beside its preview, as bytes, and back: the numbers of its pixels, exactly."""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from geomedsr.scene.sources import Array
from geomedsr.transfer.coding import Damaged, inflated, joined, parted, streams
from geomedsr.transfer.numbers import hole, padded, stored, whole
from geomedsr.transfer.predicting import Reader, Writer
from geomedsr.transfer.sums import BANDS, transform

#: How a tile is coded; the number that others are counted from, and how many lower bits all of them are without.
_HEAD = struct.Struct("<BqB")
_PLANES, _SUMS = 0, 1

#: Sums of blocks must stay below this.
_MOST = 2**61


def encode(values: Array, coarse: Array, factor: int, nodata: Sequence[float | int | None]) -> bytes:
    """Bytes that with ``coarse`` ``(band, y, x)`` give ``values`` ``(band, y, x)``; both of one type."""
    numbers, means, holes = whole(values), whole(coarse), _holes(values, nodata)
    packed = [zlib.compress(np.packbits(plane).tobytes(), 6) if plane.any() else b"" for plane in holes]
    found = _sums(numbers, means, holes, factor)
    if found is None or values.dtype.kind == "f":
        planes = _planes(numbers, values.dtype.itemsize)
        found = planes if found is None or len(planes) < len(found) else found
    return joined([*packed, found])


def decode(
    packed: memoryview, coarse: Array, shape: tuple[int, int], factor: int, nodata: Sequence[float | int | None]
) -> Array:
    """The values ``(band, y, x)`` of ``shape``.

    Raises:
        Damaged: the bytes are not what :func:`encode` made.
    """
    dtype = coarse.dtype
    size = (len(coarse), *shape)
    try:
        *packs, found = parted(packed, len(coarse) + 1)
        holes = np.zeros(size, bool)
        for plane, own in zip(holes, packs, strict=True):
            if len(own):
                bits = np.frombuffer(inflated(own, -(-plane.size // 8)), np.uint8)
                plane[...] = np.unpackbits(bits, count=plane.size).reshape(shape)
        mode, low, shift = _HEAD.unpack_from(found)
        body = found[_HEAD.size :]
        if mode == _PLANES:
            numbers = _from_planes(body, size, dtype.itemsize)
        elif mode == _SUMS and shift < 64:
            numbers = _from_sums(body, size, whole(coarse), holes, factor, low, shift)
        else:
            raise Damaged
        values = stored(numbers, dtype)
        for plane, dead, value in zip(values, holes, nodata, strict=True):
            if value is not None:
                plane[dead] = np.asarray(value).astype(dtype)
    except (struct.error, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise Damaged from error
    return values


def _holes(values: Array, nodata: Sequence[float | int | None]) -> Array:
    """Pixels that have the nodata value, bit for bit."""
    numbers, found = whole(values), np.zeros(values.shape, bool)
    for plane, own, value in zip(found, numbers, nodata, strict=True):
        if (number := hole(value, values.dtype)) is not None:
            plane[...] = own == number
    return found


def _sums(numbers: Array, means: Array, holes: Array, factor: int) -> bytes | None:
    """By sums of blocks; None for numbers too far apart for them."""
    alive = ~holes
    if not alive.any():
        return _HEAD.pack(_SUMS, 0, 0) + joined(Writer().bytes())
    blocks = _alive_blocks(holes, factor)
    least = min(int(numbers[alive].min()), int(means[blocks].min()))
    most = max(int(numbers[alive].max()), int(means[blocks].max()))
    if most - least >= _MOST // factor**2:
        return None
    spread = int(np.bitwise_or.reduce((numbers - least)[alive]))
    shift = (spread & -spread).bit_length() - 1 if spread else 0
    coder = Writer()
    beside: deque[list[Array]] = deque(maxlen=BANDS)
    for own, mean, dead in zip(numbers, means, holes, strict=True):
        coarse, truth, gone = _level(own - least >> shift, mean - least >> shift, dead, factor)
        beside.append(transform(coder, coarse, gone, factor, truth, beside)[1])
    return _HEAD.pack(_SUMS, least, shift) + joined(coder.bytes())


def _from_sums(
    body: memoryview, size: tuple[int, int, int], means: Array, holes: Array, factor: int, least: int, shift: int
) -> Array:
    weights, parts = parted(body, 2)
    numbers = np.empty(size, np.int64)
    coder = Reader.of(weights, streams(parts, 2 * numbers.size + 2))
    beside: deque[list[Array]] = deque(maxlen=BANDS)
    for own, mean, dead in zip(numbers, means, holes, strict=True):
        coarse, _, gone = _level(None, mean - least >> shift, dead, factor)
        found, facts = transform(coder, coarse, gone, factor, None, beside)
        beside.append(facts)
        own[...] = (found[: size[1], : size[2]] << shift) + least
    coder.done()
    return numbers


def _level(numbers: Array | None, means: Array, dead: Array, factor: int) -> tuple[Array, Array | None, Array]:
    """Means, numbers and what is dead of a band, in whole blocks: dead pixels have their block's mean, and in blocks
    without others that of the tile's.
    """
    gone = ~padded(~dead, factor, "constant")
    blocks = _alive_blocks(dead, factor)
    if not blocks.all():
        some = means[blocks]
        means = np.where(blocks, means, np.partition(some, some.size // 2)[some.size // 2] if some.size else 0)
    truth = None
    if numbers is not None:
        truth = np.where(gone, np.repeat(np.repeat(means, factor, 0), factor, 1), padded(numbers, factor))
    return means, truth, gone


def _alive_blocks(dead: Array, factor: int) -> Array:
    alive = padded(~dead, factor, "constant")
    *lead, height, width = alive.shape
    return np.asarray(alive.reshape(*lead, height // factor, factor, width // factor, factor).any((-3, -1)))


def _planes(numbers: Array, itemsize: int) -> bytes:
    """Differences along rows, byte by byte: for numbers that nothing else holds."""
    steps = np.diff(numbers, axis=-1, prepend=np.int64(0)).astype("<i8").view(np.uint8).reshape(-1, 8)
    return _HEAD.pack(_PLANES, 0, 0) + joined(zlib.compress(steps[:, i].tobytes(), 6) for i in range(itemsize))


def _from_planes(body: memoryview, size: tuple[int, int, int], itemsize: int) -> Array:
    count = int(np.prod(size))
    octets = np.zeros((count, 8), np.uint8)
    for i, part in enumerate(parted(body, itemsize)):
        octets[:, i] = np.frombuffer(inflated(part, count), np.uint8)
    steps = octets.view("<i8").reshape(size)
    bits = 8 * (8 - itemsize)  # what was left out are bits of the sign, or nothing
    found: Any = np.cumsum(steps, axis=-1, dtype=np.int64)
    return np.asarray((found << bits) >> bits)
