"""The names that volumes have."""

from __future__ import annotations

import os

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


def suffix_of(path: str) -> str | None:
    """The volume suffix of a path, if it has one."""
    name = os.path.basename(path).lower()
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(s)), None)
