"""Just enough of TIFF to move encoded blocks from one file into another, unchanged.

GDAL encodes the blocks of each region and lays out the result; the blocks are copied here unchanged. Supported are TIFF
6.0 and BigTIFF, little-endian, tiled. The layout that GDAL's COG driver declares at the top of its files is kept
(blocks in row order, each between its size and its last four bytes, and a mask's block after its image's).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from geomedsr.scene.sources import Array

WIDTH, HEIGHT, COMPRESSION, PREDICTOR = 256, 257, 259, 317
KIND, TILE_WIDTH, TILE_HEIGHT, OFFSETS, SIZES = 254, 322, 323, 324, 325

#: Bits of the tag ``KIND`` (NewSubfileType): a reduced image, a mask.
_REDUCED, _MASK = 1, 4

#: Struct letters of the integer types.
_LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}

#: The integer types of the arrays that are written.
_LONG, _LONG8 = 4, 16


@dataclass(frozen=True)
class Directory:
    """An image file directory: the place of each tag's value, as ``(type, count, slot)``."""

    entries: dict[int, tuple[int, int, int]]
    file: Tiff

    def numbers(self, tag: int) -> Array:
        """The integers of a tag; empty if the tag is missing."""
        if tag not in self.entries:
            return np.empty(0, np.int64)
        kind, count, slot = self.entries[tag]
        size = struct.calcsize(_LETTERS[kind]) * count
        place = slot if size <= self.file.slot else self.file.pointer(slot)
        return np.frombuffer(self.file.bytes_at(place, size), f"<u{size // max(count, 1)}").astype(np.int64)

    def number(self, tag: int, default: int = 0) -> int:
        """The first of them."""
        found = self.numbers(tag)
        return int(found[0]) if len(found) else default

    @property
    def mask(self) -> bool:
        """Whether it is a transparency mask."""
        return bool(self.number(KIND) & _MASK)

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.number(HEIGHT), self.number(WIDTH)

    @property
    def blocks(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        height, width = self.size
        return -(-height // self.number(TILE_HEIGHT)), -(-width // self.number(TILE_WIDTH))

    @property
    def encoding(self) -> tuple[int, ...]:
        """Everything that must be equal for blocks to be exchanged."""
        return tuple(self.number(tag, 1) for tag in (COMPRESSION, PREDICTOR, TILE_WIDTH, TILE_HEIGHT))


class Tiff:
    """The directories of an open file."""

    def __init__(self, file: BinaryIO) -> None:
        """Read them.

        Raises:
            OSError: the file is not a little-endian TIFF.
        """
        self.file = file
        head = self.bytes_at(0, 16)
        if head[:2] != b"II" or head[2] not in (42, 43):
            raise OSError("no little-endian TIFF")
        self.big = head[2] == 43
        self.slot = 8 if self.big else 4
        self.directories = list(self._directories(8 if self.big else 4))

    def bytes_at(self, place: int, size: int) -> bytes:
        """``size`` bytes from a place on."""
        self.file.seek(place)
        data = self.file.read(size)
        if len(data) != size:
            raise OSError("a TIFF that ends early")
        return data

    def pointer(self, place: int) -> int:
        """The file position that is written at a place."""
        return int.from_bytes(self.bytes_at(place, self.slot), "little")

    @property
    def images(self) -> list[Directory]:
        """The image and its overviews, finest first."""
        return [d for d in self.directories if not d.mask]

    @property
    def masks(self) -> list[Directory]:
        """Their masks, finest first."""
        return [d for d in self.directories if d.mask]

    def _directories(self, link: int) -> Iterator[Directory]:
        count_size, entry_size = (8, 20) if self.big else (2, 12)
        while start := self.pointer(link):
            count = int.from_bytes(self.bytes_at(start, count_size), "little")
            first = start + count_size
            entries = {}
            for place in range(first, first + count * entry_size, entry_size):
                tag, kind = struct.unpack("<HH", self.bytes_at(place, 4))
                number = self.pointer(place + 4)
                entries[tag] = (kind, number, place + 4 + self.slot)
            yield Directory(entries, self)
            link = first + count * entry_size


#: Bytes of a result after which writing to the disk begins.
_FLUSH = 32 << 20

#: Gives the encoded block of a level (0 the finest), mask or image, by row and column of blocks.
Blocks = Callable[[int, bool, int, int], bytes]


def fill(path: Path, blocks: Blocks) -> int:
    """Write the blocks of all levels into a file that has its directories but no blocks; returns the final size.

    Raises:
        OSError: the file cannot be written, or is not such a file.
    """
    with open(path, "r+b") as file:
        tiff = Tiff(file)
        framed = b"BLOCK_LEADER=SIZE_AS_UINT4" in tiff.bytes_at(0, min(512, path.stat().st_size))
        levels = [
            [(False, image), *((True, mask) for mask in tiff.masks[level : level + 1])]
            for level, image in enumerate(tiff.images)
        ]
        shapes = [image.blocks for image in tiff.images]
        tables = [{masks: _Table(tiff, directory) for masks, directory in parts} for parts in levels]
        flushed = file.seek(0, 2)  # from here on nothing is read
        for level in reversed(range(len(levels))):
            rows, cols = shapes[level]
            for index in range(rows * cols):
                for masks, table in tables[level].items():
                    block = blocks(level, masks, *divmod(index, cols))
                    if framed:
                        file.write(len(block).to_bytes(4, "little"))
                    table.note(index, file.tell(), len(block))
                    file.write(block)
                    if framed:
                        file.write(block[-4:])
                    if file.tell() - flushed > _FLUSH:
                        flushed = _start_writing(file)
        total = file.tell()
        for group in tables:
            for table in group.values():
                table.write()
        return total


def _start_writing(file: BinaryIO) -> int:
    """Let the system start writing to the disk, without waiting; returns the number of bytes."""
    file.flush()
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return file.tell()


class _Table:
    """The offsets and sizes of a directory's blocks: new arrays after the directories, of the widest type needed."""

    def __init__(self, tiff: Tiff, directory: Directory) -> None:
        rows, cols = directory.blocks
        self.tiff, self.values, self.places = tiff, {}, {}
        for tag in (OFFSETS, SIZES):
            kind = _LONG8 if tag == OFFSETS and tiff.big else _LONG
            values = np.zeros(rows * cols, f"<u{struct.calcsize(_LETTERS[kind])}")
            _, count, slot = directory.entries[tag]
            if count != len(values):
                raise OSError(f"a TIFF with {count} blocks where {len(values)} belong")
            self.places[tag] = slot
            tiff.file.seek(slot - tiff.slot - 2)
            tiff.file.write(struct.pack("<H", kind))
            if values.nbytes > tiff.slot:
                self.places[tag] = tiff.file.seek(0, 2)
                tiff.file.write(values.tobytes())
                tiff.file.seek(slot)
                tiff.file.write(self.places[tag].to_bytes(tiff.slot, "little"))
            self.values[tag] = values

    def note(self, index: int, place: int, size: int) -> None:
        """Record the place and size of a block."""
        self.values[OFFSETS][index] = place
        self.values[SIZES][index] = size

    def write(self) -> None:
        """Write the arrays to the place to which the directory refers."""
        for tag, values in self.values.items():
            self.tiff.file.seek(self.places[tag])
            self.tiff.file.write(values.tobytes())
