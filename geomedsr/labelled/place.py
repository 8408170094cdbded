"""The position of a labelled array: its affine, from coordinates or attributes, and its CRS.

Both are read as rioxarray does. Coordinates at pixel centres take precedence over a GeoTransform, which is used if
there are none or if it is rotated. An attribute ``transform`` (or ``spatial:transform``, ``proj:transform``) with the
same steps tells whether coordinates are at pixel centres or corners; stackstac's are at corners.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.crs import wkt_of
from geomedsr.geometry.grid import Grid
from geomedsr.labelled.axes import Axes

#: The tolerance of the spacing of pixels, and of the position of coordinates within pixels; both in pixels.
_EVEN, _AT = 1e-3, 1e-2

#: Attributes of a grid mapping that hold a CRS, as in rioxarray.
_WKT = ("spatial_ref", "crs_wkt")

#: Attributes of an array or its group that hold a CRS, from rioxarray, datacube, GeoZarr and EOPF.
_CRS = ("crs", "crs_wkt", "proj:wkt2", "proj:code", "proj:projjson", "proj:epsg")

#: Attributes that hold an affine, in rasterio's order.
TRANSFORMS = ("transform", "spatial:transform", "proj:transform")


def grid_of(array: xr.DataArray, axes: Axes) -> Grid:
    """The grid of an array: shape, affine and CRS.

    Raises:
        InputError: coordinates are not evenly spaced, or attributes are invalid.
    """
    return Grid((array.sizes[axes.y], array.sizes[axes.x]), _affine(array, axes), _crs(array, axes))


def mapping_name(array: xr.DataArray) -> Hashable | None:
    """The coordinate that holds the CRS: the one named as grid mapping, else one that looks like a grid mapping."""
    stated = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping"))
    named = stated.split()[0].rstrip(":") if isinstance(stated, str) and stated.split() else stated
    for name in (named, "spatial_ref", "crs"):
        if name in array.coords:
            return str(name)
    scalars = (name for name, coord in array.coords.items() if coord.ndim == 0)
    marks = (*_WKT, "grid_mapping_name")
    return next((name for name in scalars if any(mark in array.coords[name].attrs for mark in marks)), None)


def mapping_of(array: xr.DataArray) -> dict[Any, Any]:
    """The attributes of the coordinate that holds the CRS."""
    name = mapping_name(array)
    return {} if name is None else dict(array.coords[name].attrs)


def _crs(array: xr.DataArray, axes: Axes) -> str | None:
    mapping = mapping_of(array)
    found = [mapping[key] for key in _WKT if key in mapping]
    found += [mapping] if "grid_mapping_name" in mapping else []
    found += [array.attrs[key] for key in _CRS if key in array.attrs]
    found += [array.coords[axis].attrs.get("crs") for axis in (axes.y, axes.x) if axis in array.coords]  # datacube
    if "epsg" in array.coords and array.coords["epsg"].ndim == 0:  # stackstac
        found.append(array.coords["epsg"].item())
    unknown = []
    for stated in found:
        if stated is None or stated == "":
            continue
        if (wkt := wkt_of(stated)) is not None:
            return wkt
        unknown.append(stated)
    if unknown:
        text = " ".join(str(unknown[0]).split())[:80]
        warnings.warn(f"the CRS {text} is none that PROJ knows: the scene has none", SceneWarning, stacklevel=4)
    return None


def _affine(array: xr.DataArray, axes: Axes) -> Affine | None:
    stated, mapped = stated_affine(array.attrs), _mapped(array)
    rotated = next((a for a in (mapped, stated) if a is not None and (a.b or a.d)), None)
    if rotated is not None:
        return rotated
    if axes.x in array.coords and axes.y in array.coords:
        (left, right), (top, down) = (_line(array, axis) for axis in (axes.x, axes.y))
        if right and down:
            found = Affine(right, 0, left - right / 2, 0, down, top - down / 2)
            for exact in (mapped, stated):
                if exact is not None and _same(found, exact, array.sizes[axes.y], array.sizes[axes.x]):
                    return exact  # coordinates are rounded, the transform is not
            return found if stated is None else _settled(found, stated, (array.sizes[axes.y], array.sizes[axes.x]))
        if stated is None and mapped is None:
            line = axes.y if right else axes.x
            warnings.warn(
                f"{line} has one pixel, and nothing tells its size: the scene has no place on the map, which an "
                "attribute transform, or rio.write_transform, would give it",
                SceneWarning,
                stacklevel=4,
            )
    return stated if stated is not None else mapped


def _same(found: Affine, exact: Affine, height: int, width: int) -> bool:
    """Whether all corners agree within a thousandth of a pixel under two affines."""
    moved = ~exact @ found
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    return all(math.dist(moved @ corner, corner) < _EVEN for corner in corners)


def _settled(found: Affine, stated: Affine, shape: tuple[int, int]) -> Affine:
    """The affine from coordinates as pixel centres, corrected if a transform tells that they are corners."""
    drift = abs(abs(found.a / stated.a) - 1) * shape[1], abs(abs(found.e / stated.e) - 1) * shape[0]  # in pixels
    if max(drift) > 0.25:
        warnings.warn(
            f"the attribute transform has pixels of {stated.a:.6g} × {stated.e:.6g}, the coordinates of {found.a:.6g} "
            f"× {found.e:.6g}: these are taken",
            SceneWarning,
            stacklevel=5,
        )
        return found
    fractions = ((found.c - stated.c) / stated.a) % 1, ((found.f - stated.f) / stated.e) % 1
    if any(abs(fraction - 0.5) > _AT for fraction in fractions):
        return found
    warnings.warn(
        "the coordinates are pixel corners, as stackstac writes them and as the attribute transform tells: they are "
        "taken as such, and a result's are pixel centres",
        SceneWarning,
        stacklevel=5,
    )
    return Affine.translation(stated.a / 2, stated.e / 2) @ found  # the order of rows may be reversed


def stated_affine(attrs: Mapping[Any, Any]) -> Affine | None:
    """The affine in the attributes of an array, for pixel corners; None without one.

    Raises:
        InputError: the attribute is not an affine.
    """
    for key in TRANSFORMS:
        stated = attrs.get(key)
        if stated is None or isinstance(stated, str):
            continue
        try:
            affine = Affine(*[float(number) for number in list(stated)[:6]])
            if not (all(map(math.isfinite, affine)) and affine.determinant):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the attribute {key} {stated}", "six numbers of an affine, as rasterio orders them", "correct it"
            ) from error
        if key == "spatial:transform" and attrs.get("spatial:registration") == "node":
            affine = affine @ Affine.translation(-0.5, -0.5)
        return affine
    return None


def _mapped(array: xr.DataArray) -> Affine | None:
    stated = mapping_of(array).get("GeoTransform")
    numbers: Sequence[Any] = stated.split() if isinstance(stated, str) else [] if stated is None else list(stated)
    try:
        return Affine.from_gdal(*map(float, numbers)) if len(numbers) == 6 else None
    except ValueError as error:
        text = " ".join(map(str, numbers))
        raise InputError(f"the GeoTransform {text}", "six numbers", "correct the attribute") from error


def _line(array: xr.DataArray, axis: Hashable) -> tuple[float, float]:
    """The first pixel's centre and the step to the next; the step is 0 for a single pixel, where it is unknown."""
    values = np.asarray(array.coords[axis].values)
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise InputError(f"coordinates of {axis} of type {values.dtype}", "numbers, one for each pixel", "convert them")
    # Coordinates with few digits have a rounding error of this size.
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
