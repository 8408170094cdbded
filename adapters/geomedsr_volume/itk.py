"""NRRD and MetaImage as scenes. SimpleITK's positions are DICOM's: in mm, towards left, posterior, superior."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own examples' name)

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.grid import Grid
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array
from geomedsr_volume.files import stamp_of
from geomedsr_volume.headers import VolumeHeaders
from geomedsr_volume.lattice import ORDINALS, Lattice, chosen_axis, triple
from geomedsr_volume.texts import provenance_in
from geomedsr_volume.voxels import VolumeSource

_TYPES = frozenset(["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"])


_lock = threading.Lock()


@dataclass(frozen=True)
class ImageSource(VolumeSource):
    """A source that reads the whole file once per process, because most files are compressed as one stream."""

    def voxels(self) -> Array:
        """All voxels of the file."""
        return _load(self.path, self.stamp)[None]


def open_image(path: str, slices: int | None = None) -> Scene:
    """The scene of a volume; only its header is read.

    Raises:
        InputError: the file cannot be read, or has more than 3 axes, several components per voxel, or complex values.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        with _silent():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path) from error
    axes, kind = reader.GetDimension(), _type_name(reader.GetPixelID())
    if axes not in (2, 3):
        raise InputError(f"{path} of {axes} axes", "2 or 3", "split it into volumes, or convert it to NIfTI")
    if reader.GetNumberOfComponents() != 1 or kind not in _TYPES:
        what = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise InputError(f"{path} of {what}", "one real number per voxel", "split or convert it")
    i, j, k = [*reader.GetSize(), 1][:3]
    matrix = np.eye(3)
    matrix[:axes, :axes] = np.reshape(reader.GetDirection(), (axes, axes))
    lattice = Lattice(
        origin=triple([*reader.GetOrigin(), 0.0][:3]),
        directions=(triple(matrix[:, 0]), triple(matrix[:, 1]), triple(matrix[:, 2])),
        spacing=triple([*reader.GetSpacing(), 1.0][:3]),
        sizes=(i, j, k),
    )
    metadata = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    axis, why, provenance = chosen_axis(slices, provenance_in(metadata), lattice.sizes, lattice.spacing, None)
    if why:
        warnings.warn(
            f"{path}: slices are taken along its {ORDINALS[axis]} axis, {why}; --slice-axis chooses another",
            SceneWarning,
            stacklevel=4,
        )
    lattice = replace(lattice, axis=axis)
    source = ImageSource(path, stamp_of(path), (1, k, j, i), axis, np.dtype(kind).str)
    return Scene(
        source=source,
        grid=Grid(source.shape[2:], planes=lattice.planes),
        bands=(Band("1", interpretation="gray"),),
        name=Path(path).name,
        files=(path,),
        domain="",
        headers=VolumeHeaders(axes, lattice, metadata),
        provenance=provenance,
    )


@lru_cache(maxsize=2)  # a source's and its result's
def _load(path: str, stamp: tuple[int, int]) -> Array:
    try:
        with _silent():
            array: Array = sitk.GetArrayFromImage(sitk.ReadImage(path))
    except RuntimeError as error:
        raise _unreadable(path) from error
    return array if array.ndim == 3 else array[None]


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress messages that ITK's C libraries print in addition to their errors."""
    sys.stderr.flush()
    with _lock:
        try:
            kept = os.dup(2)
        except OSError:  # the stream does not exist
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _unreadable(path: str) -> InputError:
    return InputError(f"{path}, which SimpleITK cannot read", "a whole volume", "copy it again")


def _type_name(pixel: int) -> str:
    names = {
        sitk.sitkUInt8: "uint8",
        sitk.sitkInt8: "int8",
        sitk.sitkUInt16: "uint16",
        sitk.sitkInt16: "int16",
        sitk.sitkUInt32: "uint32",
        sitk.sitkInt32: "int32",
        sitk.sitkUInt64: "uint64",
        sitk.sitkInt64: "int64",
        sitk.sitkFloat32: "float32",
        sitk.sitkFloat64: "float64",
    }
    return names.get(pixel, "")
