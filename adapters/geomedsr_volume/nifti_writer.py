"""Writing results as NIfTI: the source's header on a finer grid, followed by the voxels, slice by slice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Extension, Nifti1Header
from nibabel.nifti2 import Nifti2Header

from geomedsr.geometry.grid import Plane
from geomedsr.scene.provenance import Provenance
from geomedsr_volume.description import describe, described
from geomedsr_volume.files import DAMAGED, created, opened
from geomedsr_volume.lattice import Lattice
from geomedsr_volume.nifti_header import COMMENT, MM, NiftiFields, others

#: From DICOM's positions (left, posterior, superior) to NIfTI's (right, anterior, superior).
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class NiftiHead:
    """Everything before the voxels: the header, and extensions by code."""

    fields: NiftiFields

    @property
    def order(self) -> str:
        """The byte order of header and voxels."""
        return self.fields.order

    def begin(self) -> bytes:
        """All bytes before the first voxel."""
        header = self.fields.header()
        header.extensions[:] = [Nifti1Extension(code, content) for code, content in self.fields.extensions]
        header["vox_offset"] = 0  # nibabel computes it
        file = io.BytesIO()
        header.write_to(file)
        return file.getvalue()

    def write(self, target: Path, parts: Iterable[bytes]) -> None:
        """Write a file with these parts as voxels, in this byte order; compressed if its name says so."""
        with created(target) as file:
            file.write(self.begin())
            for part in parts:
                file.write(part)

    def holds(self, path: Path, parts: Iterable[bytes]) -> bool:
        """Whether a file consists of exactly this head and the parts."""
        try:
            with opened(str(path)) as file:
                begin = self.begin()
                return (
                    file.read(len(begin)) == begin
                    and all(file.read(len(part)) == part for part in parts)
                    and not file.read(1)
                )
        except DAMAGED:
            return False


def finer_head(
    fields: NiftiFields, lattice: Lattice, first: Plane, size: tuple[int, int], slices: int, provenance: Provenance
) -> NiftiHead:
    """The header of a result with first plane ``first``, of ``(height, width)`` pixels, with ``slices`` from each
    slice.

    ``qform``, ``sform`` and their codes are kept, each on the finer grid. All fields that do not depend on the grid are
    kept, too.
    """
    header = fields.header()
    indices = lattice.indices(first, slices)
    x, y = lattice.in_plane
    shape = list(header.get_data_shape())
    axes = len(shape)
    shape = [*shape, 1, 1][: max(axes, 3)]
    shape[y], shape[x] = size
    shape[lattice.axis] *= slices
    header["dim"][1 : axes + 1] = shape[:axes]
    _move_forms(header, indices)
    for axis in (x, y, lattice.axis):
        header["pixdim"][axis + 1] *= indices[axis, axis]
    if slices > 1 or header.get_dim_info()[2] not in (None, lattice.axis):  # slice times no longer apply
        for name in ("slice_code", "slice_start", "slice_end", "slice_duration"):
            header[name] = 0
    unplaced = not (header["qform_code"] or header["sform_code"])
    if unplaced and not _centred(indices, lattice, size):  # a window: it lies where it does beside its source
        header.set_sform(_in_units(header, _RAS @ lattice.moved(first, *size, slices).matrix), 2)
    return _described(header, others(fields), provenance)


def new_head(lattice: Lattice, kind: str, axes: int, volumes: int, provenance: Provenance) -> NiftiHead:
    """The header for a source without a NIfTI header: in mm, in scanner coordinates."""
    header = Nifti1Header(endianness=np.dtype(kind).newbyteorder("<").str[0].replace("|", "<"))
    header.set_data_dtype(np.dtype(kind))
    header.set_data_shape(lattice.sizes[:axes] if volumes == 1 else (*lattice.sizes, volumes))
    header["pixdim"][1:] = (*lattice.spacing, 0, 0, 0, 0)
    header["regular"] = b"r"
    header.set_xyzt_units("mm", "sec")
    matrix = _RAS @ lattice.matrix
    if lattice.square:
        header.set_qform(matrix, 1)
    header.set_sform(matrix, 1)
    return _described(header, [], provenance)


def _move_forms(header: Nifti1Header, indices: np.ndarray) -> None:
    """Change ``qform`` and ``sform`` for a grid; the matrix maps its indices to the header's."""
    header.set_sform(header.get_sform() @ indices, int(header["sform_code"]))
    try:
        place = header.get_qform() @ indices
    except ValueError:  # not a rotation, so no program can use it
        return
    for name, value in zip(("qoffset_x", "qoffset_y", "qoffset_z"), place[:3, 3], strict=True):
        header[name] = value


def _centred(indices: np.ndarray, lattice: Lattice, size: tuple[int, int]) -> bool:
    """Whether the centre of the grid is the source's: without a code, nibabel and SPM place the centre at 0."""
    x, y = lattice.in_plane
    ends = ((x, size[1], lattice.sizes[x]), (y, size[0], lattice.sizes[y]))
    return all(abs(indices[a, a] * (new - 1) / 2 + indices[a, 3] - (old - 1) / 2) < 1e-3 for a, new, old in ends)


def _in_units(header: Nifti1Header, matrix: np.ndarray) -> np.ndarray:
    """A matrix in mm, converted to the header's unit of length."""
    scaled = matrix.copy()
    scaled[:3] /= MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return scaled


def _described(header: Nifti1Header, kept: list[tuple[int, bytes]], provenance: Provenance) -> NiftiHead:
    """The header with the provenance: in a comment extension and, as much as fits, in its description."""
    if (text := describe(provenance)) is not None:
        header["descrip"] = text.encode()
    elif described(header["descrip"].item().decode("latin-1")):
        header["descrip"] = b""
    comment = [(COMMENT, json.dumps(dict(provenance)).encode())] if provenance else []
    version = 2 if isinstance(header, Nifti2Header) else 1
    return NiftiHead(NiftiFields(version, header.endianness, header.binaryblock, (*kept, *comment)))
