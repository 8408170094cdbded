"""Headers of NIfTI-1 and -2 (nifti1.h, nifti2.h) and of FreeSurfer's MGH, read by nibabel."""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError

from geomedsr.errors import GeomedsrError, InputError, SceneWarning
from geomedsr.scene.provenance import PREFIX, Provenance
from geomedsr.scene.sources import Array
from geomedsr_volume.description import described
from geomedsr_volume.files import DAMAGED, damaged, opened
from geomedsr_volume.names import FREESURFER, PAIRS, pair_of, suffix_of

#: The most voxels along an axis in NIfTI-1.
LONGEST = 32_767

#: The code of an extension that holds plain text.
COMMENT = 6

#: Intents whose values are labels (nifti1.h: labels, NeuroNames), which are never interpolated.
NAMES = (1002, 1003)

#: Intents of point and triangle lists, which are not images.
_SHAPES = (1008, 1009)

#: The most bytes of extensions that are read.
_MOST = 1 << 26

#: Millimetres per unit of length; without a stated unit, mm are assumed.
MM = {1: 1000.0, 2: 1.0, 3: 0.001}

_quiet = logging.getLogger("geomedsr.nifti")  # nibabel logs each field that it corrects
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


@dataclass(frozen=True)
class NiftiFields:
    """An original header: its bytes in its byte order, and its extensions by code. ``version`` is 1 or 2."""

    version: int
    order: str
    block: bytes
    extensions: tuple[tuple[int, bytes], ...]

    def header(self) -> Nifti1Header:
        """The header as nibabel's, for a single file, without extensions."""
        kind: Any = Nifti2Header if self.version == 2 else Nifti1Header
        header: Nifti1Header = kind(self.block, self.order, check=False)
        header["magic"] = header.single_magic
        return header


@dataclass(frozen=True)
class VolumeFile:
    """The contents of a header: the place of the voxels in the file, their type, their shape, and their positions.

    The shape has the fastest axis first. ``matrix`` maps indices to mm, towards right, anterior and superior. ``line``
    is the slope and intercept from stored to real values. ``slices`` is the slice axis that the header states, from 0.
    ``data`` is the file of the voxels.
    """

    data: str
    offset: int
    kind: str
    shape: tuple[int, ...]
    matrix: Array
    line: tuple[float, float]
    slices: int | None = None
    intent: int = 0
    fields: NiftiFields | None = None


def read_header(path: str) -> VolumeFile:
    """The header of a NIfTI file or pair, or of a FreeSurfer file.

    Raises:
        InputError: the file is of another kind, or damaged.
    """
    suffix = suffix_of(path)
    try:
        if suffix in FREESURFER:
            return _freesurfer(path)
        return _nifti(*pair_of(path), path) if suffix in PAIRS else _nifti(path, path, path)
    except GeomedsrError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"{path} without {os.path.basename(str(error.filename))}", "both files of a pair", "copy the other too"
        ) from error
    except (MGHError, HeaderDataError) as error:
        raise InputError(
            f"{path}, which nibabel cannot read ({' '.join(str(error).split())[:100]})",
            "a whole volume",
            "copy it again",
        ) from error
    except DAMAGED as error:
        raise damaged(path) from error


def _nifti(name: str, data: str, path: str) -> VolumeFile:
    os.stat(data)  # raises if the file is missing
    with opened(name) as file:
        start = file.read(544)
        single = name == data
        kinds: Any = (Nifti1Header, Nifti2Header) if single else (Nifti1PairHeader, Nifti2PairHeader)
        kind = next((k for k in kinds if k.may_contain_header(start)), None)
        if kind is None:
            raise _none_of_it(path, start)
        header = kind(start[: kind.sizeof_hdr], check=False)
        begins = int(header["vox_offset"])  # raises if it is not finite
        header.check_fix(_quiet, 40)
        block = start + file.read(max(0, min(begins - len(start), _MOST)) if single else _MOST)
    shape = tuple(int(n) for n in header.get_data_shape())
    dtype = header.get_data_dtype()
    _refuse(path, shape, dtype, int(header["intent_code"]))
    slope, inter = header.get_slope_inter()
    fields = NiftiFields(
        2 if isinstance(header, Nifti2Header) else 1,
        header.endianness,
        header.binaryblock,
        _extensions(header, block, path),
    )
    units = MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return VolumeFile(
        data=data,
        offset=begins or (header.single_vox_offset if single else 0),
        kind=dtype.str,
        shape=shape,
        matrix=_placed(header, path) * np.array([[units], [units], [units], [1.0]]),
        line=(1.0 if slope is None else slope, inter or 0.0),
        slices=header.get_dim_info()[2],
        intent=int(header["intent_code"]),
        fields=fields,
    )


def _freesurfer(path: str) -> VolumeFile:
    with opened(path) as file:
        header = MGHHeader.from_fileobj(io.BytesIO(file.read(1024)))
    shape = tuple(int(n) for n in header.get_data_shape())
    dtype = header.get_data_dtype().newbyteorder(">")
    _refuse(path, shape, dtype, 0)
    return VolumeFile(path, int(header.get_data_offset()), dtype.str, shape, header.get_best_affine(), (1.0, 0.0))


def _none_of_it(path: str, start: bytes) -> InputError:
    if AnalyzeHeader.may_contain_header(start[:348]):
        return InputError(
            f"{path}, a volume of Analyze 7.5, which does not tell left from right",
            "NIfTI",
            "convert it with the program that made it",
        )
    return (
        damaged(path)
        if len(start) < 348
        else InputError(
            f"{path}, which is no NIfTI file", "a whole volume", "copy it again, or name it after what it is"
        )
    )


def _refuse(path: str, shape: tuple[int, ...], dtype: np.dtype[Any], intent: int) -> None:
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        what = "colours" if dtype.names else "complex numbers" if dtype.kind == "c" else f"{dtype}"
        raise InputError(f"{path} of {what}", "one real number per voxel, of at most 64 bits", "split or convert it")
    if intent in _SHAPES:
        raise InputError(f"{path}, a list of points or triangles", "an image", "name another file")
    sizes = [*shape, 1, 1][:3]
    if min(shape, default=0) < 1:
        raise InputError(f"{path} without voxels", "a volume", "copy it again")
    if sum(size > 1 for size in sizes) < 2:
        raise InputError(
            f"{path} of {' × '.join(map(str, shape))} voxels, a row of values", "an image", "name another file"
        )


def _placed(header: Nifti1Header, path: str) -> Array:
    """The matrix that programs use: ``sform``, else ``qform``, else the sizes of voxels alone. Skips invalid ones."""
    ways = [header.get_sform] * bool(header["sform_code"]) + [header.get_qform] * bool(header["qform_code"])
    for number, way in enumerate(ways):
        matrix = _matrix(way)
        if matrix is not None and _usable(matrix, header):
            return matrix
        name = "sform" if header["sform_code"] and number == 0 else "qform"
        warnings.warn(f"{path} has a {name} that is not a valid transform; it is ignored", SceneWarning, stacklevel=2)
    matrix = np.array(header.get_base_affine(), np.float64)
    if not _usable(matrix, header):
        raise InputError(f"{path}, whose voxels have no size", "sizes in mm", "correct its header")
    return matrix


def _matrix(way: Any) -> Array | None:
    try:
        return np.array(way(), np.float64)
    except (HeaderDataError, ValueError):
        return None


def _usable(matrix: Array, header: Nifti1Header) -> bool:
    """Whether a matrix gives different positions to voxels along each axis that has more than one."""
    axes = [a for a, size in enumerate([*header.get_data_shape(), 1, 1][:3]) if size > 1]
    if not np.isfinite(matrix).all():
        return False
    columns = matrix[:3, axes]
    sizes = np.linalg.norm(columns, axis=0)
    return bool(sizes.all() and np.linalg.matrix_rank(columns / sizes, tol=1e-6) == len(axes))


def _extensions(header: Nifti1Header, block: bytes, path: str) -> tuple[tuple[int, bytes], ...]:
    """The extensions after the header, by code; warns if they are damaged."""
    begin = header.sizeof_hdr
    if not block[begin : begin + 1].strip(b"\0"):
        return ()
    end = int(header["vox_offset"]) if header.is_single else len(block)
    rest = block[begin + 4 : end]
    sizes = f"{header.endianness}i4"
    found, place = [], 0
    while place + 8 <= len(rest):
        size, code = (int(v) for v in np.frombuffer(rest[place : place + 8], sizes))
        if not 8 < size <= len(rest) - place:
            warnings.warn(f"{path} has damaged extensions behind its header, left out", SceneWarning, stacklevel=2)
            break
        found.append((code, rest[place + 8 : place + size].rstrip(b"\0")))
        place += size
    return tuple(found)


def provenance_in(fields: NiftiFields) -> Provenance:
    """The provenance that geomedsr wrote into an extension, else the part that is in the description."""
    own: dict[str, Any] = {}
    for code, content in fields.extensions:
        own |= _json(code, content)
    return Provenance.of(own) or described(fields.header()["descrip"].item().decode("latin-1"))


def others(fields: NiftiFields) -> list[tuple[int, bytes]]:
    """The extensions that geomedsr did not write."""
    kept = []
    for code, content in fields.extensions:
        found = _json(code, content)
        if not any(key.startswith(PREFIX) for key in found):
            kept.append((code, content))
        elif rest := {key: value for key, value in found.items() if not key.startswith(PREFIX)}:
            kept.append((code, json.dumps(rest).encode()))
    return kept


def _json(code: int, content: bytes) -> Mapping[str, Any]:
    """The JSON in a comment; empty if other software wrote the comment."""
    if code != COMMENT:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
