"""The bytes of volume files: as they are before they were compressed, if they were."""

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

#: What reading a damaged file raises: its compression, its header, or numbers in that which are none.
DAMAGED = (EOFError, zlib.error, struct.error, OSError, ValueError, OverflowError)

ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")

#: Bytes copied at once.
PIECE = 1 << 22


def compressed(path: str) -> bool:
    """Whether it begins as gzip's files do, whatever its name is."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """A file, as it is before it was compressed, if it was."""
    if not compressed(path):
        with open(path, "rb") as raw:
            yield raw
        return
    with gzip.open(path, "rb") as file:
        yield file  # type: ignore[misc]


def is_pair(path: str) -> bool:
    """Whether it is a pair of NIfTI or Analyze, by what its header begins with: others have such names too."""
    try:
        with opened(pair_of(path)[0]) as file:
            start = file.read(4)
    except DAMAGED:
        return False
    return any(int.from_bytes(start, order) in (348, 540) for order in ORDERS)


@contextmanager
def created(path: Path) -> Iterator[IO[bytes]]:
    """A new file, compressed where its name says so; the same bytes whenever and wherever it is written."""
    with open(path, "wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:  # zlib's usual level
            yield file  # type: ignore[misc]


def stamp_of(path: str) -> tuple[int, int]:
    """Time and size of a file."""
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size


def damaged(path: str) -> InputError:
    """The error for a file that is none of its kind, or no longer."""
    return InputError(f"{path}, a volume that is cut short or damaged", "a whole volume", "copy it again")


def short(path: str, length: int, need: int) -> InputError:
    """The error for a file that ends before its voxels do."""
    return InputError(f"{path}, a volume of {length} bytes", f"{need}, as its header says", "copy it again")
