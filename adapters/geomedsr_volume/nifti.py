"""What ITK does not tell of NIfTI files: the comments behind their header, and whether they are whole (nifti1.h,
nifti2.h); and how it is made to read the one that was named."""

from __future__ import annotations

import gzip
import math
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from geomedsr.errors import InputError

SUFFIXES = (".nii", ".nii.gz")

#: Voxels along an axis, as many as NIfTI-1 can say; ITK writes no NIfTI-2.
LONGEST = 32_767

#: The code of an extension that holds plain text, and how many bytes of extensions are looked at.
_COMMENT, _MOST = 6, 1 << 20

#: Bytes copied at once.
_PIECE = 1 << 22

#: What reading a damaged file raises: its compression, its header, or numbers in that which are none.
_DAMAGED = (EOFError, zlib.error, struct.error, OSError, ValueError, OverflowError)


def write(one: Path, target: Path, depth: int, slices: Iterable[bytes], text: str) -> None:
    """Write a volume slice by slice, compressed where its name says so.

    ``one`` is a file of a single slice without extensions, as ITK writes it: its header serves for so many. ``slices``
    are their voxels, in the header's type and byte order; ``text``, of ASCII, is put behind the header unless empty.
    """
    with open(one, "rb") as source:
        head = bytearray(source.read(544))
    order, length, kind, place = _layout(head)
    body = text.encode("ascii")
    size = -(-(len(body) + 8) // 16) * 16 if body else 0
    letter, first = _sizes(length)
    struct.pack_into(order + letter, head, first + 3 * struct.calcsize(letter), depth)
    struct.pack_into(order + kind, head, place, length + 4 + size)
    with _created(target) as file:
        file.write(head[:length] + bytes([size > 0, 0, 0, 0]))  # whether extensions follow
        if size:
            file.write(struct.pack(f"{order}2i", size, _COMMENT) + body.ljust(size - 8, b"\0"))
        for data in slices:
            file.write(data)


def holds(path: Path, slices: Iterable[bytes]) -> bool:
    """Whether the voxels of a file are those of the slices, and no more."""
    try:
        with _opened(os.fspath(path)) as file:
            head = file.read(544)
            order, _, kind, place = _layout(head)
            file.seek(int(struct.unpack_from(order + kind, head, place)[0]))
            return all(file.read(len(data)) == data for data in slices) and not file.read(1)
    except _DAMAGED:
        return False


def comments(path: str) -> list[str]:
    """The comments behind the header; none of a file that is damaged there."""
    try:
        with _opened(path) as file:
            head = file.read(544)
            order, length, kind, place = _layout(head)
            (start,) = struct.unpack_from(order + kind, head, place)
            file.seek(length + 4)
            rest = file.read(max(0, min(int(start) - length - 4, _MOST))) if head[length] else b""
    except (*_DAMAGED, IndexError):
        return []
    found = []
    while len(rest) >= 8:
        size, code = struct.unpack_from(f"{order}2i", rest)
        if not 16 <= size <= len(rest):
            break
        if code == _COMMENT:
            found.append(rest[8:size].rstrip(b"\0").decode(errors="replace"))
        rest = rest[size:]
    return found


def check_length(path: str) -> None:
    """Raise an InputError where a file is cut short: ITK takes what is missing for zeros."""
    try:
        with _opened(path) as file:
            head = file.read(544)
            length = len(head)
            while part := file.read(_PIECE):
                length += len(part)
        need = _length(head)
    except _DAMAGED as error:
        raise InputError(f"{path}, a volume that is cut short or damaged", "a whole volume", "copy it again") from error
    if length < need:
        raise InputError(f"{path}, a volume of {length} bytes", f"{need}, as its header says", "copy it again")


def _length(head: bytes) -> int:
    """How many bytes a file has, by its header."""
    order, size, kind, place = _layout(head)
    letter, first = _sizes(size)
    count, *sizes = struct.unpack_from(f"{order}8{letter}", head, first)
    bits = struct.unpack_from(f"{order}h", head, 14 if size == 540 else 72)[0]
    voxels: int = math.prod(sizes[: max(0, min(count, 7))])
    return int(struct.unpack_from(order + kind, head, place)[0]) + voxels * int(bits) // 8


def _layout(head: bytes | bytearray) -> tuple[str, int, str, int]:
    """Byte order and size of a header, and format and place of the number that says where voxels begin."""
    order = next((o for o in "<>" if struct.unpack(f"{o}i", head[:4])[0] in (348, 540)), "<")
    return (order, 540, "q", 168) if struct.unpack(f"{order}i", head[:4])[0] == 540 else (order, 348, "f", 108)


def _sizes(length: int) -> tuple[str, int]:
    """Format and place of the numbers in a header of this length that say how many axes there are, and how long."""
    return ("q", 16) if length == 540 else ("h", 40)


def confused(path: str) -> str | None:
    """The file beside a NIfTI file that ITK takes for it, or the reverse (see :func:`alone`); None if there is none."""
    packed, plain = (path.lower().endswith(suffix) for suffix in (".nii.gz", ".nii"))
    others = [path[:-3]] if packed else [f"{path}.gz", f"{path}.GZ"] if plain else []
    return next(filter(os.path.lexists, others), None)


@contextmanager
def alone(path: str) -> Iterator[str]:
    """A name by which ITK reads this volume: the NIfTI library takes the voxels of ``a.nii`` for those of ``a.nii.gz``
    beside it, and only the header from where it should (github.com/InsightSoftwareConsortium/ITK/issues/2243).

    Where there is such a file, a link in a folder of its own, or a copy where the system gives none; else the path.

    Raises:
        InputError: neither can be made.
    """
    other = path[:-3]
    if not path.lower().endswith(".nii.gz") or not os.path.lexists(other):
        yield path
        return
    with ExitStack() as held:
        try:
            folder = held.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            name = os.path.join(folder, "volume.nii.gz")
            try:
                os.symlink(os.path.abspath(path), name)
            except OSError:
                shutil.copyfile(path, name)
        except OSError as error:
            raise InputError(
                f"{path} beside {other}, which SimpleITK would read in its place",
                "a temporary folder with room for it",
                "set TMPDIR to another, or rename one of the two",
            ) from error
        yield name


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """A file, as it is before it was compressed, if it was."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw, mode="rb") as file:
            yield file  # type: ignore[misc]


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:  # zlib's usual level, as ITK takes it
            yield file  # type: ignore[misc]
