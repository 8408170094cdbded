"""Which files are DICOM, by their first bytes; nothing slow to import."""

from __future__ import annotations

import os
from collections.abc import Iterator


def walk(path: str) -> Iterator[str]:
    """The file itself, or every file under a folder, hidden ones left out, in a fixed order."""
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.join(folder, name)


def looks_like_dicom(path: str) -> bool:
    """Whether a file has the DICOM preamble, or begins as a data set without one does."""
    bare = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")
    return begins_as_dicom(path) or _head(path)[:4] in bare


def begins_as_dicom(path: str) -> bool:
    """Whether a file has the DICOM preamble."""
    return _head(path)[128:] == b"DICM"


def _head(path: str) -> bytes:
    if not os.path.isfile(path):  # a pipe would be waited for
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(132)
    except OSError:
        return b""
