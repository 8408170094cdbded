"""The detail file: what a preview lacks of its original, tile by tile, and what it must be joined with.

docs/transfer.md has its layout. All numbers are little-endian; nothing in it is run or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.io.blocks import block_side
from geomedsr.io.files import reason
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array
from geomedsr.transfer.coding import Damaged, inflated

SUFFIX = ".gdsr"

#: How a file begins: a byte above ASCII and ends of lines of both kinds tell what transfers as text have done to it.
SIGNATURE = b"\x89GDSR\r\n\x1a"

VERSION = 1

_START = struct.Struct("<8sI")
_ENTRY = np.dtype([("at", "<u8"), ("size", "<u8"), ("preview", "<u4"), ("pixels", "<u4")])

#: The end: where facts, kept bytes and index begin, how long they are unpacked, and a SHA-256 of all before.
_END = struct.Struct("<QQQQQQ32s")

#: At most so many bytes of facts, and of what a format keeps: who opens a small file must not need a large memory.
_FACTS, _KEPT = 1 << 26, 1 << 30

#: Types that pixels may have.
_TYPES = frozenset(["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"])

_CHUNK = 1 << 22


@dataclass(frozen=True)
class Layout:
    """How a scene is cut into tiles: all that is needed to know which tile is where."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    factor: int
    side: int
    nodata: tuple[float | int | None, ...]
    masking: tuple[Masking, ...]

    def tiles(self) -> Iterator[Box]:
        """Tiles of one frame each, rows first."""
        return Box.whole(self.shape).tiles((1, self.side, self.side))

    @property
    def count(self) -> int:
        """How many there are."""
        frames, _, height, width = self.shape
        return frames * -(-height // self.side) * -(-width // self.side)

    def number(self, frame: int, row: int, col: int) -> int:
        """Which tile a pixel lies in."""
        rows, columns = (-(-n // self.side) for n in self.shape[2:])
        return (frame * rows + row // self.side) * columns + col // self.side

    @property
    def small(self) -> tuple[int, int, int, int]:
        """The shape of the preview."""
        frames, bands, height, width = self.shape
        return frames, bands, -(-height // self.factor), -(-width // self.factor)

    def coarse(self, box: Box) -> Box:
        """What of the preview lies under a tile."""
        (first, row, col), (last, *_), f = box.start, box.stop, self.factor
        return Box((first, row // f, col // f), (last, -(-box.stop[1] // f), -(-box.stop[2] // f)))

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "shape": self.shape,
            "dtype": str(self.dtype),
            "factor": self.factor,
            "side": self.side,
            "nodata": self.nodata,
            "masking": [way.value for way in self.masking],
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Layout:
        """Of such JSON.

        Raises:
            Damaged: it tells of no scene.
        """
        frames, bands, height, width = (int(n) for n in facts["shape"])
        factor, side, nodata = int(facts["factor"]), int(facts["side"]), tuple(facts["nodata"])
        masking = tuple(Masking(way) for way in facts["masking"])
        least = min(frames, bands, height, width, side)
        if facts["dtype"] not in _TYPES or factor not in range(2, 65) or least < 1:
            raise Damaged
        if side % factor or side > tile_side(bands, factor):
            raise Damaged
        if len(nodata) != bands or len(masking) != bands:
            raise Damaged
        return cls((frames, bands, height, width), np.dtype(facts["dtype"]), factor, side, nodata, masking)


def tile_side(bands: int, factor: int) -> int:
    """The side of tiles: whole blocks of the preview's factor, about as large as those of a raster of 64 bits."""
    return max(factor, block_side(bands, 8) // factor * factor)


def checksum(values: Array) -> int:
    """A CRC-32 of values as little-endian bytes, all NaNs being one."""
    values = settled(values)
    return zlib.crc32(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())


def settled(values: Array) -> Array:
    """Values whose NaNs are all the same one: programs that pass them on may change their bits."""
    return np.where(np.isnan(values), values.dtype.type(np.nan), values) if values.dtype.kind == "f" else values


def described(layout: Layout, adapter: str, facts: Mapping[str, Any]) -> bytes:
    """Facts of a file, as JSON."""
    return json.dumps({"format": adapter, "layout": layout.facts, "scene": facts}).encode()


def check_held(told: bytes, kept: bytes) -> None:
    """Raise an InputError where a file would hold more facts or kept bytes than are read back."""
    for part, most, what in ((told, _FACTS, "names, tags and places"), (kept, _KEPT, "headers")):
        if len(part) > most:
            raise InputError(
                f"{len(part) / 1e6:.0f} MB of {what} beside the pixels", f"at most {most / 1e6:.0f}", "send it as it is"
            )


def write_detail(
    path: Path,
    tiles: Iterator[tuple[int, int, bytes]],
    layout: Layout,
    adapter: str,
    facts: Mapping[str, Any],
    kept: bytes,
) -> None:
    """Write a file of tiles, in the layout's order: checksums of preview and of pixels, and bytes."""
    told = described(layout, adapter, facts)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        at = 0

        def put(part: bytes) -> int:
            nonlocal at
            digest.update(part)
            file.write(part)
            at += len(part)
            return at - len(part)

        put(_START.pack(SIGNATURE, VERSION))
        entries = [(put(tile), len(tile), preview, pixels) for preview, pixels, tile in tiles]
        index = np.array(entries, _ENTRY).tobytes()
        places = [put(zlib.compress(part, 9)) for part in (told, kept, index)]
        digest.update(end := struct.pack("<QQQQQQ", *places, len(told), len(kept), len(index)))
        file.write(end + digest.digest())


@dataclass(frozen=True)
class Detail:
    """A detail file, opened; small, and picklable: tiles are read when asked for. ``format`` names the adapter,
    ``digest`` is the checksum of the whole: paths may come to hold other files.
    """

    path: str
    digest: bytes
    layout: Layout
    format: str
    facts: Mapping[str, Any]
    places: tuple[int, int, int, int]
    sizes: tuple[int, int]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Detail:
        """Open and check a whole file.

        Raises:
            InputError: it is none, of another version, cut off, or changed.
        """
        path = os.fspath(path)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):  # it is read twice and more
                raise InputError(
                    f"the detail file {path}, a pipe or device", "a file on a disk", "save it to one first"
                )
            with open(path, "rb") as file:
                return cls._checked(path, file)
        except InputError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise damaged(path) from error

    @classmethod
    def _checked(cls, path: str, file: BinaryIO) -> Detail:
        start = file.read(_START.size)
        if start[: len(SIGNATURE)] != SIGNATURE:
            raise InputError(
                f"{path}, which is no detail file",
                "one that `geomedsr split` made",
                "check the order: PREVIEW DETAIL OUT",
            )
        if len(start) < _START.size:
            raise Damaged
        if (version := _START.unpack(start)[1]) != VERSION:
            raise InputError(f"the detail file {path} of version {version}", f"version {VERSION}", "update geomedsr")
        size = os.fstat(file.fileno()).st_size
        if size < _START.size + _END.size:
            raise Damaged
        digest, left = hashlib.sha256(start), size - _START.size - 32
        while left:
            part = file.read(min(_CHUNK, left))
            if not part:
                raise Damaged
            digest.update(part)
            left -= len(part)
        if file.read() != digest.digest():
            raise Damaged
        file.seek(size - _END.size)
        facts_at, kept_at, index_at, told, kept, index, whole = _END.unpack(file.read())
        if not _START.size <= facts_at <= kept_at <= index_at <= size or told > _FACTS or kept > _KEPT:
            raise Damaged
        file.seek(facts_at)
        facts = json.loads(inflated(file.read(kept_at - facts_at), told))
        layout = Layout.of(facts["layout"])
        if index != layout.count * _ENTRY.itemsize:
            raise Damaged
        return cls(
            path,
            whole,
            layout,
            str(facts["format"]),
            facts["scene"],
            (facts_at, kept_at, index_at, size - _END.size),
            (kept, index),
        )

    @cached_property
    def index(self) -> Array:
        """Of each tile where it is and how long, and checksums of preview and pixels."""
        index = np.frombuffer(self._part(2, self.sizes[1]), _ENTRY)
        ends = index["at"] + index["size"]
        if (ends > self.places[0]).any() or (ends < index["at"]).any():
            raise damaged(self.path)
        return index

    @property
    def kept(self) -> bytes:
        """What the format of the original keeps besides."""
        return self._part(1, self.sizes[0])

    def tile(self, number: int) -> bytes:
        """The bytes of a tile."""
        at, size = (int(self.index[number][name]) for name in ("at", "size"))
        return self._read(at, at + size)

    def _part(self, number: int, size: int) -> bytes:
        try:
            return inflated(self._read(*self.places[number : number + 2]), size)
        except Damaged as error:
            raise damaged(self.path) from error

    def _read(self, start: int, stop: int) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(f"the detail file {path} ({reason(error)})", "one that can be read", "check the path")


def damaged(path: str) -> InputError:
    """The error for a file that is not as it was written."""
    return InputError(
        f"the detail file {path}, cut off or changed since it was made",
        "every byte of it",
        "copy it again, or split the original again",
    )
