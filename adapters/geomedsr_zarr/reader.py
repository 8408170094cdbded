"""A Zarr store as a scene: as geomedsr writes them, and any with a ``(band, y, x)`` array and CF's grid mapping."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
import zarr
from affine import Affine

from geomedsr.bands import listed
from geomedsr.errors import InputError
from geomedsr.grid import ControlPoint, Grid, Window
from geomedsr.provenance import PREFIX, picked
from geomedsr.scene import Band, Scene
from geomedsr.sources import Array, data_by_value
from geomedsr_zarr.sink import MASK, PLACE

_DIMS = ("band", "y", "x")


@dataclass(frozen=True)
class ZarrSource:
    """Windows of an array of a store."""

    path: str
    version: int
    name: str
    shape: tuple[int, int, int, int]
    kind: str
    chunk: tuple[int, int]
    picks: tuple[int, ...]
    nodata: tuple[float | int | None, ...]
    flat: bool
    mask: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return np.dtype(self.kind)

    @property
    def block(self) -> tuple[int, int]:
        """A chunk."""
        return self.chunk

    def read(self, frames: slice, window: Window) -> Array:
        """Stored values, ``(1, band, height, width)``."""
        end_row, end_col = window.stop
        place = slice(window.row, end_row), slice(window.col, end_col)
        try:
            array = _opened(self.path, self.version, self.name)
            picked = [place] if self.flat else [(pick, *place) for pick in self.picks]
            values = np.stack([np.asarray(array[where]) for where in picked])[None]
            os.stat(os.path.join(self.path, "zarr.json"))  # chunks of a store that is gone read as its fill value
            return values
        except (OSError, EOFError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(
                f"{self.path}, which fails at columns {window.col}–{end_col}, rows {window.row}–{end_row}",
                "a whole store",
                "copy or download it again",
            ) from error

    def valid(self, frames: slice, window: Window) -> Array:
        """Not masked, finite, and not the fill value."""
        if not self.mask and self.dtype.kind != "f" and all(value is None for value in self.nodata):
            return np.broadcast_to(np.True_, (1, len(self.picks), window.height, window.width))
        valid = data_by_value(self.read(frames, window), self.nodata)
        if self.mask:
            end_row, end_col = window.stop
            mask = _opened(self.path, self.version, MASK)[window.row : end_row, window.col : end_col]
            valid &= np.asarray(mask) != 0
        return valid

    def select(self, bands: Sequence[int]) -> ZarrSource:
        """Some of the bands."""
        return replace(
            self,
            shape=(1, len(bands), *self.shape[2:]),
            picks=tuple(self.picks[b] for b in bands),
            nodata=tuple(self.nodata[b] for b in bands),
        )


@lru_cache(maxsize=16)
def _opened(path: str, version: int, name: str) -> Any:
    return zarr.open_array(path, path=name, mode="r")


def open_store(path: str) -> Scene:
    """The scene of a store; only headers are read.

    Raises:
        InputError: none of its arrays is a raster.
    """
    version = os.stat(os.path.join(path, "zarr.json")).st_mtime_ns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = xr.open_zarr(path, mask_and_scale=False, chunks=None)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} ({' '.join(str(error).split())[:120]})", "a Zarr store", "check it") from error
    names = [n for n, v in dataset.data_vars.items() if v.dims in (_DIMS, _DIMS[1:]) and n != MASK]
    if not names:
        raise InputError(f"the Zarr store {path}", "an array of dimensions (band, y, x) or (y, x)", "name another")
    name = str(names[0])
    image = dataset[name]
    if image.dtype.kind not in "iuf" or image.dtype.itemsize < 1:
        raise InputError(f"{path} of type {image.dtype}", "real integers or floats", "convert it")
    shape = image.shape if image.ndim == 3 else (1, *image.shape)
    fill = image.attrs.get("_FillValue")
    nodata = None if fill is None else (float(fill) if image.dtype.kind == "f" else int(fill))
    attrs, where = image.attrs, dataset.variables[PLACE].attrs if PLACE in dataset.variables else {}
    chunk = zarr.open_array(path, path=name, mode="r").chunks[-2:]
    source = ZarrSource(
        path=path,
        version=version,
        name=name,
        shape=(1, *shape),
        kind=str(image.dtype),
        chunk=(int(chunk[0]), int(chunk[1])),
        picks=tuple(range(shape[0])),
        nodata=(nodata,) * shape[0],
        flat=image.ndim == 2,
        mask=MASK in dataset.data_vars,
    )
    tags = _tags(dataset.attrs.get("tags"))
    numbers = _numbers(image)
    tags.setdefault("", {}).update(_provenance(dataset.attrs, attrs, numbers))
    return Scene(
        source=source,
        grid=_grid(dataset, where, shape[1:]),
        bands=tuple(_band(told, attrs, i, nodata) for i, told in enumerate(_told(attrs, numbers))),
        name=os.path.basename(path.rstrip("/")),
        files=(path, os.path.join(path, "zarr.json")),
        masked=source.mask,
        tags={ns: values for ns, values in tags.items() if values},
    )


def _tags(text: Any) -> dict[str, dict[str, str]]:
    """Ours, by namespace; other writers may mean something else by that name."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    ours = isinstance(found, dict) and all(isinstance(values, dict) for values in found.values())
    return found if ours else {}


def _palette(text: Any) -> dict[int, tuple[int, ...]] | None:
    """The colours of stored values; None where there are none, or another writer's."""
    try:
        return {int(value): tuple(map(int, colour)) for value, colour in json.loads(text).items()}
    except (TypeError, ValueError, AttributeError, RecursionError):
        return None


def _numbers(image: Any) -> list[Any]:
    """What the coordinate ``band`` calls the bands, one by one; None for each where there is no such coordinate."""
    count = image.shape[0] if image.ndim == 3 else 1
    return np.atleast_1d(image.coords["band"].values).tolist() if "band" in image.coords else [None] * count


def _told(attrs: Mapping[str, Any], numbers: Sequence[Any]) -> list[dict[str, Any]]:
    """What the lists among the attributes, one entry for each band, say of each band."""
    found: list[dict[str, Any]] = [{} for _ in numbers]
    for key, values in attrs.items():
        entries = listed(numbers, len(values)) if isinstance(values, (list, tuple)) else None
        for band, entry in zip(found, entries or (), strict=False):
            if values[entry] is not None:
                band[key] = values[entry]
    return found


def _provenance(told: Mapping[str, Any], attrs: Mapping[str, Any], numbers: Sequence[Any]) -> dict[str, str]:
    """What geomedsr said when it made the store, of those of its bands that are there now."""
    ours = {key: str(value) for key, value in told.items() if key.startswith(PREFIX)}
    names = attrs.get("long_name")
    entries = listed(numbers, len(names)) if isinstance(names, (list, tuple)) else None
    if not ours or not names or entries is None or list(entries) == list(range(len(names))):
        return ours
    return ours | picked(ours, [str(name) for name in names], entries)


def _band(told: Mapping[str, Any], attrs: Mapping[str, Any], index: int, nodata: float | int | None) -> Band:
    return Band(
        name=str(told.get("long_name", index + 1)),
        kind=told.get("band_kind", "continuous"),
        nodata=nodata,
        scale=float(told.get("band_scale", attrs.get("scale_factor", 1.0))),
        offset=float(told.get("band_offset", attrs.get("add_offset", 0.0))),
        units=told.get("band_units"),
        description=told.get("band_description"),
        interpretation=told.get("band_interpretation", "undefined"),
        palette=_palette(told.get("band_palette")),
        tags=_tags(told.get("band_tags")),
        role=told.get("band_role"),
    )


def _grid(dataset: Any, where: dict[str, Any], shape: tuple[int, int]) -> Grid:
    affine = None
    if "GeoTransform" in where:
        c, a, b, f, d, e = (float(v) for v in str(where["GeoTransform"]).split())
        affine = Affine(a, b, c, d, e, f)
    elif {"x", "y"} <= set(dataset.variables) and min(shape) > 1:
        x, y = (np.asarray(dataset.variables[axis].values, np.float64) for axis in ("x", "y"))
        steps = (x[-1] - x[0]) / (len(x) - 1), (y[-1] - y[0]) / (len(y) - 1)
        if all(math.isfinite(step) and step for step in steps):
            affine = Affine(steps[0], 0, x[0] - steps[0] / 2, 0, steps[1], y[0] - steps[1] / 2)
    points = tuple(ControlPoint(*point) for point in json.loads(where.get("gcps", "[]")))
    return Grid(
        shape=shape,
        affine=affine,
        crs=where.get("crs_wkt") or where.get("spatial_ref") or None,
        gcps=points,
        gcp_crs=where.get("gcp_crs") or None,
        rpcs=json.loads(where["rpcs"]) if "rpcs" in where else None,
        epoch=float(where["coordinate_epoch"]) if "coordinate_epoch" in where else None,
        geolocation=json.loads(where["geolocation"]) if "geolocation" in where else None,
    )
