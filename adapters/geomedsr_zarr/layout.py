"""The layout of a scene as a store with CF conventions, so that xarray, rioxarray and GDAL can read it."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from geomedsr.io.blocks import CHUNK, chunk_side
from geomedsr.scene.masking import alike
from geomedsr.scene.scene import Band, Scene

#: The names of the array, of its mask if there is one, and of the variable that holds the CRS.
IMAGE, MASK, PLACE = "image", "mask", "spatial_ref"

#: The attribute of a store with the order of the bands, if each band is a separate array.
ORDER = "bands"

#: The description in the mask's attributes.
SEEN = "1 where there is data"

#: Fields of bands that are kept in lists, one entry for each band.
_LISTED = ("units", "description", "interpretation", "kind", "role")


@dataclass(frozen=True)
class Layout:
    """The arrays of a store: ``names`` has one name for each band, or that of a single array with a band axis.

    ``frames`` tells whether arrays have a frame axis, and ``mask`` whether there is a mask. ``each`` tells whether the
    mask has a band axis, because bands are masked in different places; an alpha band, for example, is itself data
    everywhere.
    """

    names: tuple[str, ...]
    frames: bool
    mask: bool
    each: bool = False

    @classmethod
    def of(cls, scene: Scene, store: Path | None = None) -> Layout:
        """One array for all bands, unless scale, offset or fill value differ, which CF allows only once for each array.

        If ``store`` has already been started, its layout is kept.
        """
        stacked = scene.shape[0] > 1 or scene.frames is not None
        mask = scene.masked and all(band.nodata is None for band in scene.bands)
        each = mask and not alike(scene.source.masking)
        same = len({(band.scale, band.offset, str(band.nodata)) for band in scene.bands}) == 1
        if same or (store is not None and (store / IMAGE).exists()):
            return cls((IMAGE,), stacked, mask, each)
        return cls(tuple(_unique([band.name for band in scene.bands], _axis(scene))), stacked, mask, each)

    @property
    def apart(self) -> bool:
        """Whether each band is a separate array."""
        return self.names != (IMAGE,)

    def make(self, scene: Scene, store: Path, version: int) -> None:
        """Make the store as xarray would write it, without chunks."""
        frames, count, height, width = scene.shape
        side = chunk_side(count, scene.dtype.itemsize)
        chunks = (min(side, height), min(side, width))
        lead, axis = ((frames,), (_axis(scene),)) if self.frames else ((), ())
        variables: dict[str, Any] = {}
        if self.apart:
            for name, band in zip(self.names, scene.bands, strict=True):
                attrs = {**_physical(band), **_lists([band]), "band_name": [band.name]}
                empty = da.zeros((*lead, height, width), dtype=scene.dtype, chunks=((1,) * len(lead)) + chunks)
                variables[name] = ((*axis, "y", "x"), empty, {"grid_mapping": PLACE, **attrs, **_fill(scene, band)})
        else:
            attrs = {"long_name": [b.name for b in scene.bands], **_physical(scene.bands[0]), **_lists(scene.bands)}
            each = (*((1,) * len(lead)), min(count, (CHUNK // side) ** 2), *chunks)  # as large with many bands
            empty = da.zeros((*lead, count, height, width), dtype=scene.dtype, chunks=each)
            attrs |= {"grid_mapping": PLACE, **_fill(scene, scene.bands[0])}
            variables[IMAGE] = ((*axis, "band", "y", "x"), empty, attrs)
        if self.mask:
            shape = *lead, *[count] * self.each
            seen = da.zeros((*shape, height, width), dtype=np.uint8, chunks=(*[1] * len(shape), *chunks))
            variables[MASK] = (
                (*axis, *["band"] * self.each, "y", "x"),
                seen,
                {"grid_mapping": PLACE, "long_name": SEEN},
            )
        tags = {"tags": _tags(scene.tags), **({ORDER: list(self.names)} if self.apart else {}), **scene.provenance}
        dataset = xr.Dataset(variables, self._coordinates(scene), {"Conventions": "CF-1.10", **tags})
        encoding: dict[str, Any] = {name: {"chunks": array[1].chunksize} for name, array in variables.items()}
        shutil.rmtree(store, ignore_errors=True)
        with warnings.catch_warnings():  # version 3 does not specify consolidated metadata, but xarray asks for it
            warnings.simplefilter("ignore")
            dataset.to_zarr(
                store,
                zarr_format=3 if version == 3 else 2,
                compute=False,
                encoding=encoding,
                consolidated=True,
                mode="w",
            )

    def _coordinates(self, scene: Scene) -> dict[str, Any]:
        found: dict[str, Any] = {PLACE: ((), np.int64(0), _place(scene))}
        if not self.apart:
            found["band"] = np.arange(1, scene.shape[1] + 1)
        if self.frames and scene.frames is not None:
            found[_axis(scene)] = (_axis(scene), scene.frames.places, dict(scene.frames.attrs))
        affine = scene.grid.affine
        if affine is not None and affine.b == affine.d == 0:
            height, width = scene.shape[2:]
            names = {"axis": "X", "long_name": "x of pixel centres"}, {"axis": "Y", "long_name": "y of pixel centres"}
            found["x"] = ("x", affine.c + (np.arange(width) + 0.5) * affine.a, names[0])
            found["y"] = ("y", affine.f + (np.arange(height) + 0.5) * affine.e, names[1])
        return found


def _axis(scene: Scene) -> str:
    """The name of the frame axis."""
    name = "time" if scene.frames is None else scene.frames.name
    return name if name not in ("x", "y", "band", PLACE, IMAGE, MASK) else "frame"


def _unique(names: Sequence[str], axis: str) -> list[str]:
    """Array names, one for each band, that are valid folder names and unique in the store."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        plain = "".join(c if c.isalnum() or c in "_-. " else "_" for c in name)[:80].strip(" .") or f"band_{number}"
        taken = {*(n.casefold() for n in found), "x", "y", "band", axis.casefold(), PLACE, IMAGE, MASK}
        found.append(plain if plain.casefold() not in taken else f"{plain}_{number}")
    return found


def _physical(band: Band) -> dict[str, Any]:
    """CF attributes of stored values: physical = stored × scale_factor + add_offset."""
    found: dict[str, Any] = {}
    if (band.scale, band.offset) != (1.0, 0.0):
        found |= {"scale_factor": float(band.scale), "add_offset": float(band.offset)}
    return found


def _lists(bands: Sequence[Band]) -> dict[str, Any]:
    attrs: dict[str, Any] = {f"band_{key}": [getattr(b, key) for b in bands] for key in _LISTED}
    units = {b.units for b in bands}
    if len(units) == 1 and None not in units:
        attrs["units"] = units.pop()
    undefined = [b.nodata is not None and math.isnan(b.nodata) for b in bands]
    if any(undefined):  # xarray also writes NaN for bands without nodata
        attrs["band_nodata"] = ["nan" if nan else None for nan in undefined]
    if any(b.tags for b in bands):
        attrs["band_tags"] = [_tags(b.tags) for b in bands]
    if any(b.palette for b in bands):
        attrs["band_palette"] = [json.dumps(dict(b.palette)) if b.palette else None for b in bands]
    return attrs


def _fill(scene: Scene, band: Band) -> dict[str, Any]:
    return {} if band.nodata is None else {"_FillValue": scene.dtype.type(band.nodata)}


def _tags(tags: Mapping[str, Mapping[str, str]]) -> str:
    """Tags as text, since an attribute cannot hold mappings."""
    return json.dumps({namespace: dict(values) for namespace, values in tags.items()})


def _place(scene: Scene) -> dict[str, str]:
    """The attributes that rioxarray and GDAL read: the CRS as WKT, and the affine in GDAL's order."""
    grid = scene.grid
    attrs: dict[str, str] = {}
    if grid.crs:
        attrs.update(crs_wkt=grid.crs, spatial_ref=grid.crs)
    if grid.affine is not None:
        a = grid.affine
        attrs["GeoTransform"] = " ".join(repr(float(v)) for v in (a.c, a.a, a.b, a.f, a.d, a.e))
    if grid.gcps:
        attrs["gcps"] = json.dumps([[p.row, p.col, p.x, p.y, p.z, p.id, p.info] for p in grid.gcps])
        attrs["gcp_crs"] = grid.gcp_crs or ""
    if grid.rpcs:
        attrs["rpcs"] = json.dumps(dict(grid.rpcs))
    if grid.geolocation:
        attrs["geolocation"] = json.dumps(dict(grid.geolocation))
    if grid.epoch is not None:
        attrs["coordinate_epoch"] = repr(grid.epoch)
    return attrs
