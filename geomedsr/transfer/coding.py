"""Whole numbers as few bytes: each is sent among others that are expected to be as large.

A number is a byte for its upper bits, by Huffman's code, and its lower bits as they are: those of noise cannot be made
fewer. Huffman's code is DEFLATE's (RFC 1951), so that Python alone reads it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import numpy as np

from geomedsr.scene.sources import Array

#: Context, lower bits, method, how many numbers, and the bytes of the three parts that follow.
_HEAD = struct.Struct("<BBBIIII")

#: How the upper bits of a stream are stored.
_PLAIN, _DEFLATED = 0, 1

#: Stands for upper bits that a byte does not hold.
_MORE = 255

#: Upper bits that are usual: with more of them, the code's table is large and little is gained.
_USUAL = 24


class Damaged(ValueError):
    """Bytes that are not what was written."""


def numbers_bytes(context: int, numbers: Array) -> bytes:
    """The stream of numbers (int64) of one context."""
    folded = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    mean = int(folded.astype(np.float64).mean()) if folded.size else 0
    low = max(0, (mean // _USUAL).bit_length())
    high = folded >> np.uint64(low)
    upper = np.minimum(high, _MORE).astype(np.uint8).tobytes()
    rest = zlib.compress((high[high >= _MORE] - np.uint64(_MORE)).tobytes(), 6) if max(upper, default=0) == 255 else b""
    lower = _squeezed(_low_bits(folded, low))
    method, coded = _coded(upper)
    return _HEAD.pack(context, low, method, len(numbers), len(coded), len(lower), len(rest)) + coded + lower + rest


def streams(parts: memoryview, most: int) -> dict[int, Array]:
    """The numbers of each context, of streams that follow one another; in all at most so many.

    Raises:
        Damaged: they are not what :func:`numbers_bytes` wrote.
    """
    found: dict[int, Array] = {}
    at = 0
    while at < len(parts):
        if len(parts) - at < _HEAD.size:
            raise Damaged
        context, low, method, count, *sizes = _HEAD.unpack_from(parts, at)
        at += _HEAD.size
        most -= count
        if context in found or low > 63 or most < 0 or at + sum(sizes) > len(parts):
            raise Damaged
        coded, lower, rest = (parts[at + sum(sizes[:i]) : at + sum(sizes[: i + 1])] for i in range(3))
        at += sum(sizes)
        upper = np.frombuffer(coded if method == _PLAIN else inflated(coded, count, True), np.uint8)
        if len(upper) != count:
            raise Damaged
        high = upper.astype(np.uint64)
        more = np.flatnonzero(upper == _MORE)
        if len(more):
            high[more] += np.frombuffer(inflated(rest, 8 * len(more)), np.uint64)
        folded = (high << np.uint64(low)) | _from_low_bits(lower, count, low)
        found[context] = (folded >> np.uint64(1)).view(np.int64) ^ -(folded & np.uint64(1)).view(np.int64)
    return found


def joined(parts: Iterable[bytes]) -> bytes:
    """Parts one after the other, each with its length before it."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def parted(whole: memoryview, count: int) -> list[memoryview]:
    """So many parts of what :func:`joined` made.

    Raises:
        Damaged: they are not there.
    """
    found, at = [], 0
    for _ in range(count):
        if len(whole) - at < 4:
            raise Damaged
        (size,) = struct.unpack_from("<I", whole, at)
        if len(whole) - at - 4 < size:
            raise Damaged
        found.append(whole[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(whole):
        raise Damaged
    return found


def inflated(packed: memoryview | bytes, size: int, bare: bool = False) -> bytes:
    """Exactly so many bytes, of what zlib packed; ``bare`` without its header.

    Raises:
        Damaged: it is not what was packed.
    """
    unpacker = zlib.decompressobj(-15 if bare else 15)
    try:
        found = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise Damaged from error
    if len(found) != size or (size and not unpacker.eof):
        raise Damaged
    return found


def _coded(upper: bytes) -> tuple[int, bytes]:
    """Bytes by Huffman's code alone; where they are few different ones, by DEFLATE as a whole, which knows repeats."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    coded = packer.compress(upper) + packer.flush()
    if len(coded) < 0.4 * len(upper):
        packer = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
        coded = min(coded, packer.compress(upper) + packer.flush(), key=len)
    return (_PLAIN, upper) if len(upper) <= len(coded) else (_DEFLATED, coded)


def _low_bits(folded: Array, low: int) -> bytes:
    """The lower bits: whole bytes of all numbers first, the lowest before, then what is left of each."""
    if low == 0:
        return b""
    octets = folded.astype("<u8").view(np.uint8).reshape(-1, 8)
    whole, left = divmod(low, 8)
    planes = octets[:, :whole].T.tobytes()
    if left:
        planes += np.packbits(np.unpackbits(octets[:, whole, None], axis=1, count=left, bitorder="little")).tobytes()
    return planes


def _from_low_bits(packed: memoryview, count: int, low: int) -> Array:
    whole, left = divmod(low, 8)
    planes = np.frombuffer(_spread(packed, whole * count + -(-left * count // 8)), np.uint8)
    octets = np.zeros((count, 8), np.uint8)
    octets[:, :whole] = planes[: whole * count].reshape(whole, count).T
    if left:
        bits = np.unpackbits(planes[whole * count :], count=left * count).reshape(count, left)
        octets[:, whole] = np.packbits(bits, axis=1, bitorder="little")[:, 0]
    return octets.view("<u8")[:, 0]


def _squeezed(plain: bytes) -> bytes:
    """Bytes as they are, or shorter where that can be done; the length tells which."""
    packed = zlib.compress(plain, 1) if plain else plain
    return packed if len(packed) < 0.95 * len(plain) else plain


def _spread(packed: memoryview, size: int) -> bytes | memoryview:
    return packed if len(packed) == size else inflated(packed, size)
