"""Reading and writing volume files, decompressed if needed."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from geomedsr.errors import InputError
from geomedsr_volume.names import pair_of

#: Exceptions from damaged files: from decompression, from the header, or from invalid numbers in it.
DAMAGED = (EOFError, zlib.error, struct.error, OSError, ValueError, OverflowError)

ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")

#: Bytes that are copied at once.
PIECE = 1 << 22


def compressed(path: str) -> bool:
    """Whether a file begins with gzip's magic number, whatever its name."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """A file opened for reading, decompressed if needed."""
    if not compressed(path):
        with open(path, "rb") as raw:
            yield raw
        return
    with gzip.open(path, "rb") as file:
        yield file  # type: ignore[misc]


def is_pair(path: str) -> bool:
    """Whether a file is a NIfTI or Analyze pair, by the first bytes of its header; other formats share the names."""
    try:
        with opened(pair_of(path)[0]) as file:
            start = file.read(4)
    except DAMAGED:
        return False
    return any(int.from_bytes(start, order) in (348, 540) for order in ORDERS)


@contextmanager
def created(path: Path) -> Iterator[IO[bytes]]:
    """A new file, compressed if its name says so; its bytes do not depend on time or place."""
    with open(path, "wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:  # zlib's usual level
            yield file  # type: ignore[misc]


def stamp_of(path: str) -> tuple[int, int]:
    """The modification time and size of a file."""
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size


def damaged(path: str) -> InputError:
    """The error for a damaged file, or one of another kind."""
    return InputError(f"{path}, a volume that is cut short or damaged", "a whole volume", "copy it again")


def short(path: str, length: int, need: int) -> InputError:
    """The error for a file that is too short for its voxels."""
    return InputError(f"{path}, a volume of {length} bytes", f"{need}, as its header says", "copy it again")
