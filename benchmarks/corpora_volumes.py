"""Volumes and DICOM files of other projects' test suites: what nibabel and pydicom see of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from corpora_rasters import conserved

#: Fields of a NIfTI header that speak of the grid, or of where things lie in the file.
_OF_THE_GRID = {
    "sizeof_hdr",
    "magic",
    "dim",
    "pixdim",
    "vox_offset",
    "descrip",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
    "sform_code",
    "qform_code",
}

_VOLUMES = (".nii", ".nii.gz", ".hdr", ".img", ".mgh", ".mgz")


def is_volume(path: Path) -> bool:
    """Whether a name is that of NIfTI, of a pair, or of FreeSurfer's."""
    return path.name.lower().endswith(_VOLUMES)


def volume_options(path: Path) -> list[str]:
    """Nothing; nibabel opens it, with its voxels, or raises."""
    import nibabel

    image = nibabel.load(path)
    np.asarray(image.dataobj)
    return []


def volume_check(source: Path, result: Path, window: Any) -> list[str]:
    """What nibabel sees that is not as it was: sizes, type, both ways of placing, values, the rest of the header."""
    import nibabel

    old, new = nibabel.load(source), nibabel.load(result)
    before, after = (_stored(image) for image in (old, new))
    ratio = [n / o for n, o in zip(after.shape, before.shape, strict=False)]
    if len(after.shape) != len(before.shape) or sorted(set(ratio)) != [1, max(ratio)] or ratio.count(max(ratio)) != 2:
        return [f"size {after.shape} of {before.shape}"]
    factors = [int(r) for r in ratio[:3]]
    wrong = [] if after.dtype == before.dtype.newbyteorder(after.dtype.byteorder) else [f"type {after.dtype}"]
    finer = np.eye(4)
    finer[:3, :3] = np.diag([1 / f for f in factors])
    finer[:3, 3] = [(1 / f - 1) / 2 for f in factors]
    wrong += _placed(old, new, finer)
    expected = _kinds(before)
    for axis, factor in enumerate(factors):
        expected = expected.repeat(factor, axis)
    if not np.array_equal(expected, _kinds(after)):
        wrong.append("voxels that are no numbers")
    elif not _planes_conserved(before, after, factors):
        wrong.append("block means")
    return wrong + _header(old.header, new.header)


def _stored(image: Any) -> np.ndarray:
    """The numbers in the file, of at least three axes."""
    proxy = image.dataobj
    values = np.asarray(proxy.get_unscaled() if hasattr(proxy, "get_unscaled") else proxy)
    return values if values.ndim > 2 else values[..., None]


def _kinds(values: np.ndarray) -> np.ndarray:
    """0 of numbers; others of what is none, by its kind."""
    if values.dtype.kind != "f":
        return np.zeros(values.shape, np.int8)
    return np.where(np.isnan(values), 3, np.where(np.isinf(values), np.sign(values), 0)).astype(np.int8)


def _planes_conserved(before: np.ndarray, after: np.ndarray, factors: list[int]) -> bool:
    """Whether the mean of each block is the voxel of before, of those that are numbers."""
    factor, slices = max(factors), factors.index(1)
    old, new = (np.moveaxis(v.reshape(*v.shape[:3], -1), (slices, 3), (0, 1)) for v in (before, after))
    old, new = (v.reshape(-1, *v.shape[2:]) for v in (old, new))
    return bool((conserved(old, new, factor) | ~np.isfinite(old)).all())


def _placed(old: Any, new: Any, finer: np.ndarray) -> list[str]:
    """The affine that nibabel takes, and both forms with their codes: each on the finer grid."""
    pairs = [("place", old.affine, new.affine)]
    wrong = []
    for form in ("sform", "qform"):
        if not hasattr(old.header, f"get_{form}"):
            continue
        (was, code), (now, told) = (getattr(image, f"get_{form}")(coded=True) for image in (old, new))
        wrong += [] if code == told else [f"{form}_code {told} of {code}"]
        if was is not None and now is not None:
            pairs.append((form, was, now))
    return wrong + [
        name for name, was, now in pairs if np.abs(was @ finer - now).max() > 1e-5 * max(1.0, np.abs(was).max())
    ]


def _header(old: Any, new: Any) -> list[str]:
    """Fields of NIfTI that say nothing of the grid, and extensions."""
    if not hasattr(old, "extensions"):
        return []
    wrong = [k for k in old if k not in _OF_THE_GRID and not _same(old[k], new[k])]
    kept = [(e.get_code(), e.get_content()) for e in new.extensions]
    return wrong + ["extensions"] * any((e.get_code(), e.get_content()) not in kept for e in old.extensions)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f"))


def dicom_options(path: Path) -> list[str]:
    """Nothing; pydicom opens it or raises."""
    import pydicom

    pydicom.dcmread(path, stop_before_pixels=True)
    return []


def dicom_check(source: Path, result: Path, window: Any) -> list[str]:
    """Of one file: patient and study as they were, new instances, rows and columns finer over the same field."""
    import pydicom

    old, wrong = pydicom.dcmread(source), []
    for path in sorted(p for p in result.rglob("*") if p.is_file()):
        new = pydicom.dcmread(path)
        wrong += [key for key in ("PatientID", "StudyInstanceUID") if old.get(key) != new.get(key)]
        wrong += ["SOPInstanceUID"] if old.get("SOPInstanceUID") == new.get("SOPInstanceUID") else []
        factor = new.Rows // old.Rows
        if factor < 2 or (new.Rows, new.Columns) != (old.Rows * factor, old.Columns * factor):
            wrong.append("size")
        elif "PixelSpacing" in old and not np.allclose(np.array(old.PixelSpacing) / factor, new.PixelSpacing, 1e-6):
            wrong.append("spacing")
    return sorted(set(wrong))


def is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return path.suffix.lower() in (".dcm", ".dicom") or file.read(132)[128:] == b"DICM"
