"""The values of a labelled array: band names, nodata values, scales and units."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from geomedsr.errors import InputError
from geomedsr.labelled.axes import Axes
from geomedsr.scene.bands import listed
from geomedsr.scene.classes import by_band
from geomedsr.scene.scene import Band

#: Attributes that hold a nodata value, in rioxarray's order: from CF, and from datacube and odc-stac.
FILLS = ("_FillValue", "missing_value", "fill_value", "nodata")


def bands_of(array: xr.DataArray, axes: Axes) -> list[Band]:
    """The bands: names as in rioxarray, kinds and roles from geomedsr's stores, nodata values, scale and unit."""
    band, units = axes.band, array.attrs.get("units")
    slope, offset = (_number(array.attrs.get(key), rest) for key, rest in (("scale_factor", 1.0), ("add_offset", 0.0)))
    texts = array.attrs.get("long_name")
    alone = isinstance(texts, str) and band is not None and array.sizes[band] == 1
    attributes = [entries(array, band, key) for key in ("long_name", "band_kind", "band_role")]
    tags = {str(key): str(value) for key, value in array.attrs.items()}
    names = [
        str(name if name is not None else texts if alone and not isinstance(own, str) else own)
        for own, name in zip(own_names(array, band), attributes[0], strict=True)
    ]
    return [
        Band(
            name,
            kind="nearest" if kind == "nearest" or (kind is None and by_band(name, tags)) else "continuous",
            nodata=nodata,
            scale=slope,
            offset=offset,
            units=units if isinstance(units, str) and units else None,
            description=texts if isinstance(texts, str) and texts and not alone else None,
            role=role.strip().casefold() or None if isinstance(role, str) else None,
        )
        for name, kind, role, nodata in zip(names, *attributes[1:], nodata_of(array, axes), strict=True)
    ]


def entries(array: xr.DataArray, band: Hashable | None, key: str) -> list[Any]:
    """Each band's entry in an attribute with one entry per band of a file (:func:`geomedsr.scene.bands.listed`).

    None for bands without an entry.
    """
    stated: Any = array.attrs.get(key)
    count = 1 if band is None else array.sizes[band]
    found = listed(numbers(array, band), len(stated)) if isinstance(stated, (list, tuple)) else None
    return [None] * count if found is None else [stated[entry] for entry in found]


def numbers(array: xr.DataArray, band: Hashable | None) -> list[Any]:
    """The values of the band coordinate; None for each band if there is no such coordinate."""
    count = 1 if band is None else array.sizes[band]
    axis = "band" if band is None else band
    found = np.atleast_1d(array.coords[axis].values).tolist() if axis in array.coords else []
    return found if len(found) == count else [None] * count


def own_names(array: xr.DataArray, band: Hashable | None) -> list[Any]:
    """The bands' names if no attribute lists them: from their coordinate, or the array's name."""
    if band is None:
        return [array.name or "1"]
    if band in array.coords:
        return list(array.coords[band].values.tolist())
    return list(range(1, array.sizes[band] + 1))


def nodata_of(array: xr.DataArray, axes: Axes) -> list[float | int | None]:
    """Each band's nodata value in the array; NaN if values were masked when the file was opened.

    Raises:
        InputError: the attribute is not a number.
    """
    count = 1 if axes.band is None else array.sizes[axes.band]
    if array.dtype.kind == "f" and array.encoding.get("_FillValue") is not None:  # masked when it was opened
        return [None] * count
    stated = next((array.attrs[key] for key in FILLS if array.attrs.get(key) is not None), None)
    if stated is None and isinstance(array.attrs.get("nodatavals"), (list, tuple)):  # from xarray.open_rasterio
        values = entries(array, axes.band, "nodatavals")
        return [_fill(value, array.dtype) for value in values]
    return [_fill(stated, array.dtype)] * count


def _fill(stated: Any, dtype: np.dtype[Any]) -> float | int | None:
    if stated is None or dtype.kind not in "iuf":
        return None
    try:
        one = np.asarray(stated).item()
        value = one if isinstance(one, int) else float(one)
    except (TypeError, ValueError) as error:
        raise InputError(f"the fill value {stated!r}", "one number", "correct the attribute _FillValue") from error
    if dtype.kind == "f":
        return None if math.isnan(value) else float(value)
    if not math.isfinite(value) or value != int(value):
        return None
    info = np.iinfo(dtype)
    return int(value) if info.min <= value <= info.max else None  # out of range: no pixel can have it


def _number(stated: Any, rest: float) -> float:
    """A number from an attribute; ``rest`` if there is none or it is invalid."""
    try:
        value = float(np.asarray(rest if stated is None else stated).item())
    except (TypeError, ValueError):
        return rest
    return value if math.isfinite(value) else rest
