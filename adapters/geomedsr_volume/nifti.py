"""NIfTI and FreeSurfer files as scenes."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.grid import Grid
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.scene import Band, Scene
from geomedsr_volume.files import compressed, damaged, short, stamp_of
from geomedsr_volume.headers import VolumeHeaders
from geomedsr_volume.lattice import ORDINALS, Lattice, chosen_axis
from geomedsr_volume.nifti_header import NAMES, NiftiFields, VolumeFile, provenance_in, read_header
from geomedsr_volume.voxels import FileSource

#: From NIfTI's positions (right, anterior, superior) to DICOM's (left, posterior, superior).
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def open_nifti(path: str, series: str | None = None, slices: int | None = None) -> Scene:
    """The scene of a volume, of one of several volumes, or of all in a row; only the header is read.

    Raises:
        InputError: the file cannot be read, does not have one real number per voxel, or has no such volume or axis.
    """
    file = read_header(path)
    shape = [*file.shape, 1, 1][:3] if len(file.shape) < 3 else file.shape[:3]
    volumes = math.prod(file.shape[3:])
    first = 0
    if series is not None:
        first, volumes = _volume(path, series, volumes), 1
        file = _one(file, first)
    i, j, k = (int(size) for size in shape)
    kind = np.dtype(file.kind)
    source = FileSource(
        path=file.data,
        stamp=stamp_of(file.data),
        sizes=(volumes, k, j, i),
        axis=2,
        kind=kind.newbyteorder("=").str,
        offset=file.offset + first * i * j * k * kind.itemsize,
        stored=file.kind,
    )
    need, length = source.offset + volumes * i * j * k * kind.itemsize, stamp_of(file.data)[1]
    if length < need and not compressed(file.data):
        raise short(path, length, need) if length >= file.offset else damaged(path)
    provenance = Provenance() if file.fields is None else provenance_in(file.fields)
    lattice = Lattice.of(_LPS @ file.matrix, (i, j, k))
    axis, why, provenance = chosen_axis(slices, provenance, lattice.sizes, lattice.spacing, file.slices)
    if why:
        warnings.warn(
            f"{path}: slices are taken along its {ORDINALS[axis]} axis, {why}; --slice-axis chooses another",
            SceneWarning,
            stacklevel=4,
        )
    lattice, source = replace(lattice, axis=axis), replace(source, axis=axis)
    slope, inter = file.line
    return Scene(
        source=source,
        grid=Grid(source.shape[2:], planes=lattice.planes * volumes),
        bands=(
            Band(
                "1",
                kind="nearest" if file.intent in NAMES else "continuous",
                scale=slope,
                offset=inter,
                interpretation="gray",
            ),
        ),
        name=Path(path).name,
        files=tuple(dict.fromkeys((path, file.data))),
        domain="",
        headers=VolumeHeaders(len(file.shape), lattice, {}, file.fields),
        provenance=provenance,
    )


def _volume(path: str, series: str, volumes: int) -> int:
    """The number of a volume, from 0."""
    if not (series.isdecimal() and 1 <= int(series) <= volumes):
        several = f"a number from 1 to {volumes}" if volumes > 1 else "1: it holds one volume"
        raise InputError(f"--series {series} for the volume {path}", several, "leave it out, or correct it")
    return int(series) - 1


def _one(file: VolumeFile, number: int) -> VolumeFile:
    """A header for a single volume, with that volume's start time."""
    fields, shape = file.fields, file.shape[:3]
    if fields is not None:
        header = fields.header()
        steps = float(header["pixdim"][4]) * (number % file.shape[3]) if len(file.shape) > 3 else 0.0
        if math.isfinite(steps):
            header["toffset"] = float(header["toffset"]) + steps
        header.set_data_shape(shape)
        fields = NiftiFields(fields.version, fields.order, header.binaryblock, fields.extensions)
    return replace(file, shape=shape, fields=fields)
