"""The files that a DICOMDIR names (PS3.3 F, PS3.10 8)."""

from __future__ import annotations

import os

import pydicom

from geomedsr_dicom.attributes import quiet, values


def listed(path: str) -> tuple[list[str], int]:
    """The existing files that a DICOMDIR names, in its order, and the number of missing ones.

    Names match in any case, since file systems differ. No name leads out of the DICOMDIR's folder.
    """
    root = os.path.dirname(os.path.abspath(path))
    found: dict[str, None] = {}
    missing = 0
    with quiet():
        try:
            records = pydicom.dcmread(path, force=True).get("DirectoryRecordSequence") or []
            names = [[str(part) for part in values(r.get("ReferencedFileID"))] for r in records]
        except Exception:  # parsers may raise anything on damaged bytes
            return [], 0
    for parts in filter(None, names):
        file = _inside(root, parts)
        if file is None:
            missing += 1
        else:
            found[file] = None
    return list(found), missing


def _inside(root: str, parts: list[str]) -> str | None:
    """The file with the given path components under a folder, in any case; None if there is none."""
    path = root
    for part in parts:
        if part in ("", os.curdir, os.pardir) or os.sep in part:
            return None
        exact = os.path.join(path, part)
        if not os.path.exists(exact):
            try:
                alike = [name for name in os.listdir(path) if name.casefold() == part.casefold()]
            except OSError:
                return None
            if not alike:
                return None
            exact = os.path.join(path, sorted(alike)[0])
        path = exact
    return path if os.path.isfile(path) else None
