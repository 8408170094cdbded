"""Volumes as scenes. SimpleITK gives world positions as DICOM does: in mm, towards left, posterior and superior."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own examples' name)

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.grid import Grid, Plane
from geomedsr.provenance import PREFIX
from geomedsr.scene import Band, Scene
from geomedsr.sources import Array
from geomedsr_volume import nifti

_TYPES = frozenset(["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"])


_lock = threading.Lock()


@dataclass(frozen=True)
class VolumeHeaders:
    """What the sink needs of the file that a scene came from: its number of axes, third axis and metadata."""

    axes: int
    along_stack: tuple[float, float, float]
    step: float
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class VolumeSource:
    """Windows of a volume's slices. The file is read whole, once per process: most are compressed as one stream."""

    path: str
    stamp: tuple[int, int]
    shape: tuple[int, int, int, int]
    kind: str

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The storage type."""
        return np.dtype(self.kind)

    @property
    def block(self) -> tuple[int, int]:
        """A whole slice."""
        return self.shape[2:]

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        frames, window = box.frames, box.window
        end_row, end_col = window.stop
        return _load(self.path, self.stamp)[frames, None, window.row : end_row, window.col : end_col]

    def valid(self, box: Box) -> Array:
        """True where a value is finite."""
        frames, window = box.frames, box.window
        if self.dtype.kind != "f":
            count = len(range(*frames.indices(self.shape[0])))
            return np.broadcast_to(np.True_, (count, 1, window.height, window.width))
        return np.isfinite(self.read(box))

    def select(self, bands: Sequence[int]) -> VolumeSource:
        """The volume itself: it has one band."""
        if len(bands) != 1:
            raise InputError(f"{len(bands)} bands of a volume", "the one that it has", "leave --bands out")
        return self


def stamp_of(path: str) -> tuple[int, int]:
    """Time and size of a file."""
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size


def open_volume(path: str) -> Scene:
    """The scene of a volume; only its header is read.

    Raises:
        InputError: it cannot be read, has more than 3 axes, several components per voxel, or complex ones.
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
        raise InputError(f"{path} of {axes} axes", "2 or 3", "split it into volumes")
    if reader.GetNumberOfComponents() != 1 or kind not in _TYPES:
        what = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise InputError(f"{path} of {what}", "one real number per voxel", "split or convert it")
    size = [*reader.GetSize(), 1][:3]
    spacing = [*reader.GetSpacing(), 1.0][:3]
    origin = [*reader.GetOrigin(), 0.0][:3]
    matrix = np.eye(3)
    matrix[:axes, :axes] = np.reshape(reader.GetDirection(), (axes, axes))
    along_row, along_column, along_stack = (tuple(float(v) for v in column) for column in matrix.T)
    width, height, depth = size
    planes = tuple(
        Plane(
            position=_triple(np.array(origin) + k * spacing[2] * matrix[:, 2]),
            along_row=_triple(along_row),
            along_column=_triple(along_column),
            spacing=(spacing[1], spacing[0]),
        )
        for k in range(depth)
    )
    metadata = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    for comment in nifti.comments(path) if path.lower().endswith(nifti.SUFFIXES) else ():
        metadata.update(_provenance(comment))
    return Scene(
        source=VolumeSource(path, stamp_of(path), (depth, 1, height, width), kind),
        grid=Grid((height, width), planes=planes),
        bands=(Band("1", interpretation="gray"),),
        name=Path(path).name,
        files=(path,),
        domain="",
        headers=VolumeHeaders(axes, _triple(along_stack), spacing[2], metadata),
        provenance=stated(metadata),
    )


def stated(metadata: Mapping[str, str]) -> dict[str, str]:
    """The provenance that geomedsr wrote: in fields of its own, or as much as NIfTI's 80 characters hold, where another
    program left only those.
    """
    own = {key: text for key, text in metadata.items() if key.startswith(PREFIX)}
    found = re.match(
        r"geomedsr (?P<VERSION>\S+) (?P<MODEL>\S+) (?P<MODEL_VERSION>\S+) x(?P<FACTOR>\d+) (?P<OPERATOR>\S+) "
        r"(?P<AGREED>kept|free)(,r(?P<REALISM>[\d.e-]+))?(,n(?P<NEIGHBOURS>\d+))?(,h(?P<HALO>\d+))? "
        r"(?P<MODEL_SHA256>[0-9a-f]{8,})",
        metadata.get("descrip", ""),
    )
    if own or not found:
        return own
    facts = found.groupdict()
    agreed, halo = facts.pop("AGREED"), facts.pop("HALO")
    facts["CONSERVED"] = "yes" if agreed == "kept" else "no"
    facts["TILING"] = f"approximate tiling, halo {halo}" if halo else None
    return {f"GEOMEDSR_{name}": text for name, text in facts.items() if text is not None}


def _provenance(comment: str) -> dict[str, str]:
    """The provenance in a comment of NIfTI; empty where it is another's."""
    try:
        found = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    ours = found.items() if isinstance(found, dict) else ()
    return {key: text for key, text in ours if key.startswith(PREFIX) and isinstance(text, str)}


@lru_cache(maxsize=1)
def _load(path: str, stamp: tuple[int, int]) -> Array:
    if path.lower().endswith(nifti.SUFFIXES):
        nifti.check_length(path)
    try:
        with nifti.alone(path) as name, _silent():
            array: Array = sitk.GetArrayFromImage(sitk.ReadImage(name))
    except RuntimeError as error:
        raise _unreadable(path) from error
    return array if array.ndim == 3 else array[None]


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what ITK's C libraries print beside their errors off the screen."""
    sys.stderr.flush()
    with _lock:
        try:
            kept = os.dup(2)
        except OSError:  # there is no such stream
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


def _triple(values: Sequence[float] | Array) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
