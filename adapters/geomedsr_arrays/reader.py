"""A file of arrays as a scene. Uncompressed arrays are memory-mapped, so that only the requested parts are read."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Grid
from geomedsr.io.files import reason
from geomedsr.scene.arrays import NATIVE
from geomedsr.scene.masking import Masking
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array, ArraySource, Source, by_value
from geomedsr_arrays.facts import FACTS, VALID, VALUES, described

_AXES = "an array of 2 to 4 axes (frame, band, y, x), none empty, of integers or floats"


@dataclass(frozen=True)
class Place:
    """An array in a file: the offset of its data, None if they are compressed, and its type and shape."""

    offset: int | None
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class StoredSource(Source):
    """Windows of an array in a file; picklable."""

    path: str
    version: int
    name: str
    mask: str | None
    picks: tuple[int, ...]
    nodata: tuple[float | int | None, ...]
    shape: tuple[int, int, int, int]
    kind: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return np.dtype(self.kind)

    @property
    def block(self) -> tuple[int, int]:
        """Preferred ``(height, width)`` of a read."""
        return 512, 512

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        with _readable(self.path):
            return np.array(self._held.read(box))  # a copy, since the file may change

    def valid(self, box: Box) -> Array:
        """True where a pixel is not masked, finite, and not the nodata value."""
        with _readable(self.path):
            return self._held.valid(box)

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By value, and by the file's mask, which has its own bands."""
        beside = Masking.NONE if self.mask is None else Masking.OWN
        return tuple(way | beside for way in by_value(self.dtype, self.nodata))

    def select(self, bands: Sequence[int]) -> StoredSource:
        """Some of the bands."""
        return replace(
            self,
            shape=(self.shape[0], len(bands), *self.shape[2:]),
            picks=tuple(self.picks[b] for b in bands),
            nodata=tuple(self.nodata[b] for b in bands),
        )

    @property
    def _held(self) -> ArraySource:
        values, mask = (
            None if name is None else _bands(_opened(self.path, self.version, name), self.picks)
            for name in (self.name, self.mask)
        )
        return ArraySource(values, mask, self.nodata)


def open_arrays(path: str) -> Scene:
    """The scene in a file. Without geomedsr's metadata, arrays are interpreted as in ``Scene.from_array``.

    A ``.npz`` must contain the array ``values``, or only one array besides ``valid`` and ``geomedsr``.

    Raises:
        InputError: the file is not readable, holds several arrays with other names, or values that are not real
            numbers.
    """
    with _readable(path):
        version = os.stat(path).st_mtime_ns
        places = contents(path)
        others = [name for name in places if name not in (VALID, FACTS)]
        name = VALUES if VALUES in places else others[0] if len(others) == 1 else None
        text = str(_opened(path, version, FACTS)[()]) if FACTS in places else None
    if name is None:
        raise InputError(
            f"{path} with the arrays {', '.join(others[:20]) or '(none)'}",
            f"one, or one that is called {VALUES}",
            f"save the others elsewhere, or rename one to {VALUES}",
        )
    shape, dtype = places[name].shape, places[name].dtype
    if len(shape) not in (2, 3, 4) or 0 in shape or dtype not in NATIVE:
        raise InputError(f"{path}, an array of shape {shape} and type {dtype}", _AXES, "reshape or convert it")
    whole = 1, 1, *shape
    frames, bands, height, width = whole[-4:]
    masked = VALID in places and places[VALID].dtype == np.bool_ and places[VALID].shape == shape
    if VALID in places and not masked:
        raise InputError(
            f"{path}, whose array {VALID} has shape {places[VALID].shape} and type {places[VALID].dtype}",
            f"shape {shape}, and bool: True where there is data",
            "convert it, or leave it out",
        )
    facts: dict[str, Any] = {"name": os.path.basename(path), "grid": Grid((height, width))}
    facts["bands"] = tuple(Band(str(i + 1)) for i in range(bands))
    if text is not None:
        try:
            facts = described(text, (height, width))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, whose array {FACTS} is not what geomedsr writes", "that, or none", "remove it"
            ) from error
    if len(facts["bands"]) != bands or len(facts["grid"].planes) not in (0, frames):
        raise InputError(
            f"{path} of {frames} frames and {bands} bands, whose metadata describe other ones",
            "an array that fits",
            f"remove its array {FACTS}",
        )
    nodata = tuple(band.nodata for band in facts["bands"])
    picks, mask = tuple(range(bands)), VALID if masked else None
    source = StoredSource(path, version, name, mask, picks, nodata, (frames, bands, height, width), str(dtype))
    return Scene(source, files=(path,), **facts)


def contents(path: str) -> dict[str, Place]:
    """The arrays in a file, by name; those in a ``.npy`` have no names and are recognised by their types."""
    found: dict[str, Place] = {}
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            while True:
                place = _header(file)
                text, flags = place.dtype.kind == "U" and place.shape == (), place.dtype == np.bool_
                name = VALUES if not found else FACTS if text else VALID if flags else ""
                assert place.offset is not None
                if name in found or not name:
                    return found
                found[name] = place
                file.seek(place.offset + place.dtype.itemsize * int(np.prod(place.shape)))
                if not file.read(1):
                    return found
                file.seek(-1, os.SEEK_CUR)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                place = _header(file)
            start = None
            if member.compress_type == zipfile.ZIP_STORED:
                start = _data_of(path, member) + (place.offset or 0)
            found[member.filename.removesuffix(".npy")] = replace(place, offset=start)
    return found


def _header(file: IO[bytes]) -> Place:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("Python objects, which are not read")
    return Place(file.tell(), shape, fortran, dtype)


def _data_of(path: str, member: zipfile.ZipInfo) -> int:
    """The offset of a member's data. It must be read from its local header, which may differ from the directory's."""
    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return member.header_offset + 30 + int(name) + int(extra)


def _opened(path: str, version: int, name: str) -> Array:
    """An array in a file: memory-mapped while it is in use; a compressed one is read and kept."""
    place = _places(path, version)[name]
    if place.offset is None:
        return _read(path, version, name)
    if not place.shape:
        return np.fromfile(path, place.dtype, 1, offset=place.offset).reshape(())
    order: Any = "F" if place.fortran else "C"
    return np.memmap(path, place.dtype, "r", place.offset, place.shape, order)


@lru_cache(maxsize=64)
def _places(path: str, version: int) -> dict[str, Place]:
    return contents(path)


@lru_cache(maxsize=8)
def _read(path: str, version: int, name: str) -> Array:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _bands(array: Array, picks: tuple[int, ...]) -> Any:
    """An array with four axes and the picked bands; without a copy if all are picked."""
    whole = array[(None,) * (4 - array.ndim)]
    return whole if picks == tuple(range(whole.shape[1])) else _Picked(whole, picks)


class _Picked:
    """Some bands of a memory-mapped array, selected when a window is read."""

    def __init__(self, array: Array, picks: tuple[int, ...]) -> None:
        self.array, self.picks, self.dtype = array, picks, array.dtype
        self.shape = (array.shape[0], len(picks), *array.shape[2:])

    def __getitem__(self, where: Any) -> Array:
        return np.stack([self.array[where[0], band, *where[2:]] for band in self.picks], 1)


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise InputError(
            f"{path}, which is not readable ({reason(error)})", "a whole file of NumPy", "save it again"
        ) from error
