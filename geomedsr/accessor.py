"""``da.geomedsr``: super-resolution of any xarray DataArray with spatial coordinates, lazy in, lazy out.

Coordinates are read as CF and rioxarray have them: ``x`` and ``y`` (or longitude and latitude) at pixel centres, a
coordinate such as ``spatial_ref`` with the CRS as WKT and, where there are no coordinates of the axes, a GeoTransform.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine

from geomedsr.bands import listed
from geomedsr.errors import InputError
from geomedsr.grid import Grid
from geomedsr.inference import upscale
from geomedsr.models import Model
from geomedsr.provenance import PREFIX, foreign
from geomedsr.scene import Band, Scene

#: Names of the axes to the right and downwards; the first are ours, rioxarray's and the grid mapping's.
_X, _Y = ("x", "lon", "longitude", "easting", "X"), ("y", "lat", "latitude", "northing", "Y")

#: Names of an axis of bands; any other third axis is one of frames (times, slices).
_BANDS = ("band", "bands", "channel", "channels", "c", "wavelength", "variable")

#: Attributes of the coordinate that holds a CRS.
_WKT = ("crs_wkt", "spatial_ref")

#: How evenly pixels must be spaced, in parts of one.
_EVEN = 1e-3


class DataArrayAccessor:
    """``da.geomedsr``; see the module's text."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def scene(self) -> Scene:
        """The array as a :class:`geomedsr.Scene`: its axes as frames, bands, rows and columns. Nothing is read.

        Values are the array's own; ``_FillValue`` (of rioxarray, xarray or the file) and NaN are no data. Bands have
        the names that rioxarray lists, and what our own Zarr stores say: what they show, and which hold classes.

        Raises:
            InputError: no spatial axes, too many others, or pixels that are not evenly spaced.
        """
        array = self._array
        x, y, frame, band = _axes(array)
        order = [axis for axis in (frame, band) if axis is not None] + [y, x]
        values = array.transpose(*order).data
        if band is None:
            values = values[..., None, :, :]
        if frame is None:
            values = values[None]
        bands = _bands_of(array, band)
        grid = Grid((array.sizes[y], array.sizes[x]), _affine(array, x, y), _crs(array))
        made = Scene.from_array(values, grid=grid, bands=bands, name=str(array.name or "array"))
        return replace(made, tags={"": {k: str(v) for k, v in array.attrs.items() if str(k).startswith(PREFIX)}})

    def upscale(
        self,
        model: str | os.PathLike[str] | Model | None = None,
        *,
        value_range: tuple[float, float] | None = None,
        **options: Any,
    ) -> xr.DataArray:
        """The array ``scale`` times finer: same axes, attributes and CRS, finer coordinates. Nothing is computed but
        the value scale, from a spread of pixels.

        Args:
            model: as for :func:`geomedsr.upscale`; by default the model for satellite scenes.
            value_range: which values become 0 and 1 for the network; by default the 1st and 99th percentiles of each
                band, for which a spread of pixels is read now.
            options: as for :func:`geomedsr.upscale`: ``realism``, ``tile``, ``device``, ``precision``, ``conserve``.

        Coordinates along the two spatial axes are made anew, those that span both are left out, all others kept. The
        attributes say which model made it. Block means are the input's, as for files.
        """
        scene = self.scene()
        if value_range is not None:
            scene = scene.with_range(*value_range)
        made = upscale(scene, model, **options)
        return _like(self._array, made)


def _like(array: xr.DataArray, made: Scene) -> xr.DataArray:
    """A result with the axes, coordinates and attributes of what it was made from."""
    x, y, frame, band = _axes(array)
    values = made.data.data
    if band is None:
        values = values[:, 0]
    if frame is None:
        values = values[0]
    order = [axis for axis in (frame, band) if axis is not None] + [y, x]
    coords: dict[Hashable, Any] = {k: c for k, c in array.coords.items() if not {x, y} & set(c.dims)}
    affine, (height, width) = made.grid.affine, made.grid.shape
    if affine is not None and x in array.coords and y in array.coords:
        for axis, start, step, count in ((x, affine.c, affine.a, width), (y, affine.f, affine.e, height)):
            centres = start + step * (np.arange(count) + 0.5)
            coords[axis] = xr.Variable(axis, centres, array.coords[axis].attrs)
    for name, coord in coords.items():
        transform = getattr(coord, "attrs", {}).get("GeoTransform")
        if transform is not None and affine is not None:
            told = {"GeoTransform": " ".join(repr(float(v)) for v in affine.to_gdal())}
            coords[name] = xr.Variable(coord.dims, coord.data, coord.attrs | told)
    provenance = {key: value for key, value in made.provenance.items() if key != "GEOMEDSR_SOURCE"}
    result = xr.DataArray(values, dims=order, coords=coords, attrs=foreign(array.attrs) | provenance, name=array.name)
    kept = {
        k: v for k, v in array.encoding.items() if k in ("_FillValue", "grid_mapping", "scale_factor", "add_offset")
    }
    result = result.transpose(*array.dims)
    result.encoding = kept
    return result


def _axes(array: xr.DataArray) -> tuple[Hashable, Hashable, Hashable | None, Hashable | None]:
    """The names of the axes to the right, downwards, of frames and of bands."""
    x, y = (next((name for name in names if name in array.dims), None) for names in (_X, _Y))
    if x is None or y is None:
        raise InputError(
            f"an array of axes {', '.join(map(str, array.dims))}",
            "spatial ones: x and y, or longitude and latitude",
            'rename them, such as da.rename(cols="x", rows="y")',
        )
    others = [axis for axis in array.dims if axis not in (x, y)]
    band = next((axis for axis in others if str(axis).casefold() in _BANDS), None)
    frames = [axis for axis in others if axis != band]
    if len(frames) > 1:
        raise InputError(
            f"an array of axes {', '.join(map(str, array.dims))}",
            "at most one besides band, y and x",
            "select or stack",
        )
    return x, y, frames[0] if frames else None, band


def _bands_of(array: xr.DataArray, band: Hashable | None) -> list[Band]:
    """The bands, with names as rioxarray lists them, and the kinds and roles of our own stores."""
    nodata, units = _nodata(array), _text(array.attrs.get("units"))
    told = (_entries(array, band, key) for key in ("long_name", "band_kind", "band_role"))
    return [
        Band(
            str(own if name is None else name),
            kind="nearest" if kind == "nearest" else "continuous",
            nodata=nodata,
            units=units,
            role=role.strip().casefold() or None if isinstance(role, str) else None,
        )
        for own, name, kind, role in zip(_own_names(array, band), *told, strict=True)
    ]


def _entries(array: xr.DataArray, band: Hashable | None, key: str) -> list[Any]:
    """Each band's entry in an attribute that lists one for each band of a file (:func:`geomedsr.bands.listed`); None
    where that cannot be told.
    """
    told: Any = array.attrs.get(key)
    count = 1 if band is None else array.sizes[band]
    axis = "band" if band is None else band
    numbers = np.atleast_1d(array.coords[axis].values).tolist() if axis in array.coords else []
    if len(numbers) != count:
        numbers = [None] * count
    entries = listed(numbers, len(told)) if isinstance(told, (list, tuple)) else None
    return [None] * count if entries is None else [told[entry] for entry in entries]


def _own_names(array: xr.DataArray, band: Hashable | None) -> list[Any]:
    if band is None:
        return [array.name or "1"]
    if band in array.coords:
        return list(array.coords[band].values.tolist())
    return list(range(1, array.sizes[band] + 1))


def _nodata(array: xr.DataArray) -> float | int | None:
    """The fill value among the values; what has been masked already is NaN."""
    told = array.attrs.get("_FillValue", array.attrs.get("missing_value"))
    if told is None:
        return None
    try:
        one = np.asarray(told).item()
        value = one if isinstance(one, int) else float(one)
    except (TypeError, ValueError) as error:
        raise InputError(f"the fill value {told!r}", "one number", "correct the attribute _FillValue") from error
    if array.dtype.kind == "f":
        return None if math.isnan(value) else float(value)
    if array.dtype.kind not in "iu" or not math.isfinite(value) or value != int(value):
        return None
    info = np.iinfo(array.dtype)
    return int(value) if info.min <= value <= info.max else None  # else no pixel can have it


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(array: xr.DataArray) -> dict[str, Any]:
    """The attributes of the coordinate that holds the CRS."""
    named = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping"))
    names = [name for name in (named, "spatial_ref", "crs") if name in array.coords]
    return dict(array.coords[names[0]].attrs) if names else {}


def _crs(array: xr.DataArray) -> str | None:
    mapping = _mapping(array)
    texts = [*(mapping.get(key) for key in _WKT), array.attrs.get("crs")]
    return next((text for text in texts if isinstance(text, str) and "[" in text), None)  # WKT has brackets


def _affine(array: xr.DataArray, x: Hashable, y: Hashable) -> Affine | None:
    if x in array.coords and y in array.coords:
        (left, right), (top, down) = _line(array, x), _line(array, y)
        if right and down:
            return Affine(right, 0, left - right / 2, 0, down, top - down / 2)
    told = str(_mapping(array).get("GeoTransform", "")).split()
    try:
        return Affine.from_gdal(*map(float, told)) if len(told) == 6 else None
    except ValueError as error:
        raise InputError(f"the GeoTransform {' '.join(told)}", "six numbers", "correct the attribute") from error


def _line(array: xr.DataArray, axis: Hashable) -> tuple[float, float]:
    """The first pixel's centre and the step to the next; of a single pixel 0, for nothing tells it."""
    values = np.asarray(array.coords[axis].values)
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise InputError(f"coordinates of {axis} of type {values.dtype}", "numbers, one for each pixel", "convert them")
    # Where coordinates are written in few digits, they lie off by as much.
    grain = float(np.spacing(np.abs(values).max())) if values.dtype.kind == "f" and len(values) else 0.0
    values = values.astype(np.float64)
    if len(values) < 2:
        return float(values[0]), 0.0
    step = (values[-1] - values[0]) / (len(values) - 1)
    off = np.abs(np.diff(values) - step).max()
    if not (np.isfinite(step) and step != 0 and off <= max(_EVEN * abs(step), min(2 * grain, abs(step) / 4))):
        raise InputError(
            f"coordinates of {axis} that are not evenly spaced ({step:.6g} on average, off by {off:.3g})",
            "a regular grid",
            "resample it to one first",
        )
    return float(values[0]), float(step)
