"""How a scene is laid out as a store, so that xarray, rioxarray and GDAL read it: with CF's conventions."""

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

#: The names of the array, of the mask that some have beside it, and of the variable that holds the reference system.
IMAGE, MASK, PLACE = "image", "mask", "spatial_ref"

#: The attribute of a store that tells the order of bands that are arrays of their own.
ORDER = "bands"

#: What the mask's attributes say of it.
SEEN = "1 where there is data"

#: What is kept of bands in lists, one entry for each.
_LISTED = ("units", "description", "interpretation", "kind", "role")


@dataclass(frozen=True)
class Layout:
    """The arrays of a store: ``names`` are one for each band, or the one that has an axis of bands.

    ``frames`` tells whether they have an axis of frames, ``mask`` whether a mask is beside them, ``each`` whether that
    has an axis of bands, since they are masked in different places, as under alpha, which itself is data everywhere.
    """

    names: tuple[str, ...]
    frames: bool
    mask: bool
    each: bool = False

    @classmethod
    def of(cls, scene: Scene, store: Path | None = None) -> Layout:
        """One array for all bands, unless their scale, offset or fill value differ, which CF says once for each array.

        ``store`` is one that was begun: as it is.
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
        """Whether each band is an array."""
        return self.names != (IMAGE,)

    def make(self, scene: Scene, store: Path, version: int) -> None:
        """The store as xarray lays it out, without chunks."""
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
            each = (*((1,) * len(lead)), min(count, (CHUNK // side) ** 2), *chunks)  # as large for many bands
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
    """The name of the axis of frames."""
    name = "time" if scene.frames is None else scene.frames.name
    return name if name not in ("x", "y", "band", PLACE, IMAGE, MASK) else "frame"


def _unique(names: Sequence[str], axis: str) -> list[str]:
    """Names of arrays, one for each band, that a folder can have and nothing else in the store has."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        plain = "".join(c if c.isalnum() or c in "_-. " else "_" for c in name)[:80].strip(" .") or f"band_{number}"
        taken = {*(n.casefold() for n in found), "x", "y", "band", axis.casefold(), PLACE, IMAGE, MASK}
        found.append(plain if plain.casefold() not in taken else f"{plain}_{number}")
    return found


def _physical(band: Band) -> dict[str, Any]:
    """What CF says of stored values: physical = stored × scale_factor + add_offset."""
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
    if any(undefined):  # xarray writes NaN where nothing was said, too
        attrs["band_nodata"] = ["nan" if nan else None for nan in undefined]
    if any(b.tags for b in bands):
        attrs["band_tags"] = [_tags(b.tags) for b in bands]
    if any(b.palette for b in bands):
        attrs["band_palette"] = [json.dumps(dict(b.palette)) if b.palette else None for b in bands]
    return attrs


def _fill(scene: Scene, band: Band) -> dict[str, Any]:
    return {} if band.nodata is None else {"_FillValue": scene.dtype.type(band.nodata)}


def _tags(tags: Mapping[str, Mapping[str, str]]) -> str:
    """As a text: an attribute holds no tables."""
    return json.dumps({namespace: dict(values) for namespace, values in tags.items()})


def _place(scene: Scene) -> dict[str, str]:
    """What rioxarray and GDAL look for: the reference system as WKT, the affine in GDAL's order."""
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
