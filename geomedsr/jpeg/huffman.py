"""The entropy coding of baseline JPEG (ITU-T T.81, annex F): from bits to coefficients."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomedsr.jpeg.tables import ZIGZAG

Array = np.ndarray[Any, Any]

#: Where the numbers of a block belong, as Python numbers, which are faster one by one.
_PLACES = ZIGZAG.tolist()


@dataclass(frozen=True, eq=False)
class Codes:
    """A table of Huffman codes: for each 16 bits, the symbol that they begin with, and in bits 8 … 12 its length."""

    entries: array[int]

    @classmethod
    def of(cls, counts: bytes, symbols: bytes) -> Codes:
        """From how many codes there are of each length 1 … 16, and the symbols in order."""
        entries, at, place = np.zeros(1 << 16, np.uint16), 0, 0
        for length, count in enumerate(counts, 1):
            for symbol in symbols[place : place + count]:
                wide = 1 << (16 - length)
                if at + wide > 1 << 16:
                    raise ValueError("more codes than fit")
                entries[at : at + wide] = symbol | length << 8
                at += wide
            place += count
        return cls(array("H", entries.tobytes()))


@dataclass(frozen=True, eq=False)
class Job:
    """What a component's blocks are decoded with, and into: ``blocks`` int16 ``(row, column, 64)``."""

    blocks: Array
    dc: Codes
    ac: Codes


def decode(
    pieces: Sequence[bytes], jobs: Sequence[Job], groups: Sequence[Sequence[tuple[int, int]]], every: int
) -> None:
    """Decode a scan.

    Args:
        pieces: the data between restart markers, without stuffing.
        jobs: one for each component.
        groups: blocks that are coded together: each a component and the number of its block, row by row.
        every: how many groups a piece holds; 0 for all.

    Raises:
        ValueError: the data is damaged, or too short.
    """
    every = every or len(groups)
    if len(pieces) < -(-len(groups) // every):
        raise ValueError("pieces are missing")
    found: list[tuple[list[int], list[int]]] = [([], []) for _ in jobs]
    for number, start in enumerate(range(0, len(groups), every)):
        _decode_piece(pieces[number], jobs, groups[start : start + every], found)
    for job, (places, values) in zip(jobs, found, strict=True):
        job.blocks.reshape(-1)[np.array(places, np.int64)] = np.array(values, np.int16)


def _decode_piece(
    piece: bytes,
    jobs: Sequence[Job],
    groups: Sequence[Sequence[tuple[int, int]]],
    found: Sequence[tuple[list[int], list[int]]],
) -> None:
    """Decode groups of one piece. One long loop: it is the time that decoding takes."""
    words, at, end = _words(piece), 0, 8 * len(piece)
    before = [0] * len(jobs)
    tables = [(job.dc.entries, job.ac.entries, *into) for job, into in zip(jobs, found, strict=True)]
    order = _PLACES
    for group in groups:
        for which, number in group:
            dc, ac, places, values = tables[which]
            base = number * 64
            seen = (words[at >> 3] >> (32 - (at & 7))) & 0xFFFFFFFF
            entry = dc[seen >> 16]
            length, size = entry >> 8, entry & 255
            if not length or size > 15:
                raise ValueError("no such code")
            if size:
                value = (seen >> (32 - length - size)) & ((1 << size) - 1)
                before[which] += value if value >> (size - 1) else value - (1 << size) + 1
            at += length + size
            if before[which]:
                places.append(base)
                values.append(before[which])
            k = 1
            while k < 64:
                seen = (words[at >> 3] >> (32 - (at & 7))) & 0xFFFFFFFF
                entry = ac[seen >> 16]
                length, size = entry >> 8, entry & 15
                if not length:
                    raise ValueError("no such code")
                if not size:
                    at += length
                    if (entry & 255) != 0xF0:  # the end of the block
                        break
                    k += 16
                    continue
                k += (entry >> 4) & 15
                if k > 63:
                    raise ValueError("a block of more than 64 numbers")
                value = (seen >> (32 - length - size)) & ((1 << size) - 1)
                places.append(base + order[k])
                values.append(value if value >> (size - 1) else value - (1 << size) + 1)
                at += length + size
                k += 1
        if at > end:
            raise ValueError("too short")


def _words(piece: bytes) -> array[int]:
    """For each byte, the 64 bits that begin with it."""
    padded = np.frombuffer(piece + bytes(16), np.uint8).astype(np.uint64)
    count = len(padded) - 8
    words = np.zeros(count, np.uint64)
    for i in range(8):
        words |= padded[i : i + count] << np.uint64(56 - 8 * i)
    return array("Q", words.tobytes())
