"""The file names of volumes."""

from __future__ import annotations

import os

#: Suffixes: NIfTI in one file; pairs of header and voxels; FreeSurfer's; formats that SimpleITK reads.
NIFTI = (".nii", ".nii.gz")
PAIRS = (".hdr", ".img", ".hdr.gz", ".img.gz")
FREESURFER = (".mgh", ".mgz", ".mgh.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = (*NIFTI, *PAIRS, *FREESURFER, *ITK)

#: Suffixes that can be written.
WRITTEN = (*NIFTI, ".nrrd", ".mha", ".mhd")


def suffix_of(path: str) -> str | None:
    """The volume suffix of a path, if it has one."""
    name = os.path.basename(path).lower()
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(s)), None)


def pair_of(path: str) -> tuple[str, str]:
    """The header and voxel files of a pair, given either; in either case, compressed or not, whichever exists."""
    suffix = suffix_of(path) or ""
    stem, ends = path[: len(path) - len(suffix)], path[len(path) - len(suffix) :]
    packed = ends[4:]

    def other(name: str) -> str:
        name = name.upper() if ends[1:4].isupper() else name
        swapped = "" if packed else (".GZ" if ends[1:4].isupper() else ".gz")
        found = f"{stem}{name}{packed}"
        return (
            found
            if os.path.lexists(found) or not os.path.lexists(f"{stem}{name}{swapped}")
            else f"{stem}{name}{swapped}"
        )

    return (path, other(".img")) if suffix.startswith(".hdr") else (other(".hdr"), path)
