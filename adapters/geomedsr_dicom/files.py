"""Recognising DICOM files by their first bytes, without slow imports."""

from __future__ import annotations

import os
from collections.abc import Iterator


def walk(path: str) -> Iterator[str]:
    """A file itself, the files that a DICOMDIR names, or every file under a folder that is not hidden."""
    if is_directory(path):
        from geomedsr_dicom.directory import listed

        yield from listed(path)[0]
        return
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.join(folder, name)


def is_directory(path: str) -> bool:
    """Whether a file is a DICOMDIR, by its meta information."""
    return begins_as_dicom(path) and b"1.2.840.10008.1.3.10" in _head(path, 512)[132:]


def looks_like_dicom(path: str) -> bool:
    """Whether a file has the DICOM preamble, or begins like a data set without one."""
    if begins_as_dicom(path):
        return True
    head = _head(path)[:4]
    little, big = head, head[1::-1] + head[:1:-1]
    return little == b"\2\0\0\0" or any(tag[:2] == b"\x08\0" and tag[2:] in _FIRST for tag in (little, big))


#: The elements of group 8, little-endian, with which a data set without meta information may begin.
_FIRST = [bytes((element, 0)) for element in (0x00, 0x01, 0x05, 0x06, 0x08, 0x12, 0x13, 0x16, 0x18)]


def begins_as_dicom(path: str) -> bool:
    """Whether a file has the DICOM preamble."""
    return _head(path)[128:] == b"DICM"


def _head(path: str, size: int = 132) -> bytes:
    if not os.path.isfile(path):  # a pipe would be waited for
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""
