"""Direct calls to the GDAL that rasterio has loaded, for facts that rasterio does not provide, or not safely.

rasterio crashes the process on a metadata item without "=", leaves out texts that are not UTF-8, and supports neither
category names nor class tables nor coordinate epochs. GDAL's own functions provide all of these.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import rasterio
import rasterio._base
from affine import Affine
from rasterio._path import _parse_path

from geomedsr_geotiff.handles import alone

_HANDLE, _TEXT, _TEXTS = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)

#: The GDAL functions in use: return type and argument types.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "GDALOpenEx": (_HANDLE, (_TEXT, ctypes.c_uint, _TEXTS, _TEXTS, _TEXTS)),
    "GDALClose": (None, (_HANDLE,)),
    "GDALGetRasterBand": (_HANDLE, (_HANDLE, ctypes.c_int)),
    "GDALGetDescription": (_TEXT, (_HANDLE,)),
    "GDALGetRasterUnitType": (_TEXT, (_HANDLE,)),
    "GDALGetMetadata": (_TEXTS, (_HANDLE, _TEXT)),
    "GDALGetMetadataDomainList": (_TEXTS, (_HANDLE,)),
    "CSLDestroy": (None, (_TEXTS,)),
    "GDALGetRasterCategoryNames": (_TEXTS, (_HANDLE,)),
    "GDALGetDefaultRAT": (_HANDLE, (_HANDLE,)),
    "GDALRATGetTableType": (ctypes.c_int, (_HANDLE,)),
    "GDALGetGeoTransform": (ctypes.c_int, (_HANDLE, ctypes.POINTER(ctypes.c_double))),
    "GDALGetSpatialRef": (_HANDLE, (_HANDLE,)),
    "GDALGetGCPSpatialRef": (_HANDLE, (_HANDLE,)),
    "OSRGetCoordinateEpoch": (ctypes.c_double, (_HANDLE,)),
}

#: GDAL_OF_RASTER: read-only, without verbose errors.
_RASTER = 2

#: Domains whose items may come from a sidecar file and have no "=".
_BESIDE = {"IMD"}

#: GRTT_THEMATIC.
_CLASSES = 0


@lru_cache(maxsize=1)
def library() -> Any:
    """The GDAL library that rasterio has loaded; None if it cannot be found."""
    places = [Path(rasterio._base.__file__)]  # it also resolves symbols of the libraries that it is linked to
    if sys.platform == "win32":
        places = sorted(Path(rasterio.__file__).parents[1].glob("rasterio.libs/gdal*.dll"))
    for place in places:
        try:
            found = ctypes.CDLL(os.fspath(place))
            for name, (gives, takes) in _FUNCTIONS.items():
                function = getattr(found, name)
                function.restype, function.argtypes = gives, takes
        except (OSError, AttributeError):
            continue
        return found
    return None


@dataclass(frozen=True)
class Native:
    """An open data set. Bands are counted from 1; 0 stands for the data set itself."""

    gdal: Any
    handle: int

    def description(self, band: int) -> str | None:
        """The description of a band."""
        return _text(self.gdal.GDALGetDescription(self._object(band))) or None

    def unit(self, band: int) -> str | None:
        """The unit of a band's values."""
        return _text(self.gdal.GDALGetRasterUnitType(self._object(band))) or None

    def domains(self, band: int = 0) -> list[str]:
        """The domains of its metadata."""
        names = self.gdal.GDALGetMetadataDomainList(self._object(band))
        try:
            return _texts(names)
        finally:
            self.gdal.CSLDestroy(names)

    def tags(self, band: int = 0, domain: str = "") -> dict[str, str]:
        """A domain's items; items with neither "=" nor ":" are not tags, and are left out."""
        return dict(filter(None, map(_item, _texts(self.gdal.GDALGetMetadata(self._object(band), domain.encode())))))

    def document(self, band: int, domain: str) -> str | None:
        """The single text in a domain such as ``xml:XMP``."""
        return next(iter(_texts(self.gdal.GDALGetMetadata(self._object(band), domain.encode()))), None)

    def classes(self, band: int) -> bool:
        """Whether a band has category names, or a class table."""
        place = self._object(band)
        if _texts(self.gdal.GDALGetRasterCategoryNames(place)):
            return True
        table = self.gdal.GDALGetDefaultRAT(place)
        return bool(table) and self.gdal.GDALRATGetTableType(table) == _CLASSES

    @property
    def affine(self) -> Affine:
        """The affine; the identity without one, since some drivers then leave memory uninitialised."""
        numbers = (ctypes.c_double * 6)()
        failed = self.gdal.GDALGetGeoTransform(self.handle, numbers)
        return Affine.identity() if failed else Affine.from_gdal(*numbers)

    @property
    def epoch(self) -> float | None:
        """The coordinate epoch, as a decimal year."""
        for function in (self.gdal.GDALGetSpatialRef, self.gdal.GDALGetGCPSpatialRef):
            if (crs := function(self.handle)) and (year := self.gdal.OSRGetCoordinateEpoch(crs)) > 0:
                return float(year)
        return None

    def _object(self, band: int) -> int:
        place: int = self.gdal.GDALGetRasterBand(self.handle, band) if band else self.handle
        return place


@dataclass(frozen=True)
class Limited:
    """The same facts, as far as rasterio provides them safely."""

    dataset: Any

    def description(self, band: int) -> str | None:
        """The description of a band."""
        name: str | None = self.dataset.descriptions[band - 1]
        return name

    def unit(self, band: int) -> str | None:
        """The unit of a band's values."""
        return self.dataset.units[band - 1] or None

    def domains(self, band: int = 0) -> list[str]:
        """The domains of its metadata, except for domains from sidecar files."""
        return [name for name in self.dataset.tag_namespaces(band) if name not in _BESIDE]

    def tags(self, band: int = 0, domain: str = "") -> dict[str, str]:
        """A domain's items."""
        return dict(self.dataset.tags(band, ns=domain or None))

    def document(self, band: int, domain: str) -> str | None:
        """None: rasterio would read a document as items."""
        return None

    def classes(self, band: int) -> bool:
        """False: unknown to rasterio."""
        return False

    @property
    def affine(self) -> Affine:
        """The affine as rasterio reads it."""
        affine: Affine = self.dataset.transform
        return affine

    @property
    def epoch(self) -> float | None:
        """None: unknown to rasterio."""
        return None


@contextmanager
def opened(path: str, dataset: Any) -> Iterator[Native | Limited]:
    """A data set of rasterio's, opened again for GDAL's functions; with rasterio alone if these are not available."""
    gdal = library()
    name = path if os.path.exists(path) else _parse_path(path).as_vsi()
    with rasterio.Env(**alone(path)):
        handle = None if gdal is None else gdal.GDALOpenEx(os.fsencode(name), _RASTER, None, None, None)
        if not handle:
            yield Limited(dataset)
            return
        try:
            yield Native(gdal, handle)
        finally:
            gdal.GDALClose(handle)


def _texts(items: Any) -> list[str]:
    """The texts in a C array of strings."""
    found: list[str] = []
    while items and items[len(found)] is not None:
        found.append(_text(items[len(found)]))
    return found


def _text(raw: bytes | None) -> str:
    """A decoded text: UTF-8, or Latin-1 if it is not valid UTF-8."""
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        return (raw or b"").decode("latin-1")


def _item(text: str) -> tuple[str, str] | None:
    """Name and value of an item, joined by "="; some of GDAL's readers keep a ":" from the file."""
    name, sign, value = text.partition("=" if "=" in text else ":")
    name, value = name.rstrip(" \t"), value.lstrip(" \t")
    return (name, value) if name and sign else None
