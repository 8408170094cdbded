"""``da.geomedsr``: super-resolution of any xarray DataArray with spatial coordinates, lazy in, lazy out.

Coordinates, CRS and fill values are read by :mod:`geomedsr.labelled`.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine

from geomedsr.errors import InputError
from geomedsr.inference import upscale
from geomedsr.labelled import scene_of
from geomedsr.labelled.axes import named
from geomedsr.labelled.place import TRANSFORMS
from geomedsr.models import Model
from geomedsr.scene.provenance import foreign
from geomedsr.scene.scene import Scene

#: Attributes of an array (stackstac, xarray.open_rasterio) or of a coordinate (datacube) that hold the size of a pixel.
_STEPS = ("resolution", "resolution_xy", "res")

#: Attributes that hold the number of pixels, rows first, from EOPF and GeoZarr.
_SHAPES = ("proj:shape", "spatial:shape")

#: Entries of an array's encoding that also apply to the result.
_ENCODED = ("_FillValue", "grid_mapping", "scale_factor", "add_offset")


class DataArrayAccessor:
    """``da.geomedsr``; see the module docstring."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def scene(self) -> Scene:
        """The array as a :class:`geomedsr.Scene`: its axes as frames, bands, rows and columns. Nothing is read.

        Values are the array's own; its fill value (as rioxarray finds it) and NaN are no data. Band names are the ones
        that rioxarray lists. Roles and kinds are read from geomedsr's own Zarr stores.

        Raises:
            InputError: no spatial axes, too many other axes, or pixels that are not evenly spaced.
        """
        return scene_of(self._array, named(self._array))

    def upscale(
        self,
        model: str | os.PathLike[str] | Model | None = None,
        *,
        value_range: tuple[float, float] | None = None,
        values_per_frame: bool = False,
        **options: Any,
    ) -> xr.DataArray:
        """The super-resolved array, lazily: same axes, attributes and CRS, and coordinates ``scale`` times finer.

        Only the value scale is computed now, from a sample of pixels.

        Args:
            model: as for :func:`geomedsr.upscale`; by default the model for satellite scenes.
            value_range: the values that become 0 and 1 for the network; by default the 1st and 99th percentiles of each
                band, for which a sample of pixels is read now.
            values_per_frame: use percentiles of each time by itself, so that each gives the same result as alone.
            options: as for :func:`geomedsr.upscale`: ``realism``, ``tile``, ``device``, ``precision``, ``conserve``.

        Coordinates along the two spatial axes are new; coordinates that span both are left out; all others are kept.
        The attributes state the model. Block means are the input's, as for files.
        """
        scene = self.scene()
        if value_range is not None and values_per_frame:
            raise InputError("a value range, and values per frame", "one of them", "leave one out")
        if value_range is not None:
            scene = scene.with_range(*value_range)
        if values_per_frame:
            scene = scene.with_values_per_frame()
        made = upscale(scene, model, **options)
        return _like(self._array, made)


def _like(array: xr.DataArray, made: Scene) -> xr.DataArray:
    """A result with the axes, coordinates and attributes of its input."""
    axes = named(array)
    x, y = axes.x, axes.y
    values = made.data.data
    if axes.band is None:
        values = values[:, 0]
    if axes.frame is None:
        values = values[0]
    coords: dict[Hashable, Any] = {k: c for k, c in array.coords.items() if not {x, y} & set(c.dims)}
    affine, (height, width) = made.grid.affine, made.grid.shape
    factor = width // array.sizes[x]
    if affine is not None and x in array.coords and y in array.coords:
        for axis, start, step, count in ((x, affine.c, affine.a, width), (y, affine.f, affine.e, height)):
            centres = start + step * (np.arange(count) + 0.5)
            coords[axis] = xr.Variable(axis, centres, _finer(array.coords[axis].attrs, affine, made.grid.shape, factor))
    for name, coord in coords.items():
        transform = getattr(coord, "attrs", {}).get("GeoTransform")
        if transform is not None and affine is not None:
            mapping = {"GeoTransform": " ".join(repr(float(v)) for v in affine.to_gdal())}
            coords[name] = xr.Variable(coord.dims, coord.data, coord.attrs | mapping)
    attrs = _finer(foreign(array.attrs), affine, made.grid.shape, factor) | dict(made.provenance.without_names)
    result = xr.DataArray(values, dims=axes.order, coords=coords, attrs=attrs).transpose(*array.dims)
    result.name = array.name  # set last: xarray names an unnamed array after dask's
    result.encoding = {k: v for k, v in array.encoding.items() if k in _ENCODED}
    return result


def _finer(attrs: Mapping[Any, Any], affine: Affine | None, shape: tuple[int, int], factor: int) -> dict[Any, Any]:
    """Attributes with their pixel sizes, shapes and transforms updated for a result."""
    made = dict(attrs)
    for key in TRANSFORMS:
        if key in made and affine is not None:
            text = affine
            if key == "spatial:transform" and made.get("spatial:registration") == "node":
                text = affine @ Affine.translation(0.5, 0.5)
            numbers = list(text)[: len(list(made[key]))]
            made[key] = text if isinstance(made[key], Affine) else type(made[key])(numbers)
    for key in _STEPS:
        if key in made:
            made[key] = _divided(made[key], factor)
    for key in _SHAPES:
        if key in made:
            made[key] = list(shape)
    spec = made.get("spec")  # stackstac's own description of the grid
    if is_dataclass(spec) and not isinstance(spec, type):
        try:
            made["spec"] = replace(spec, resolutions_xy=_divided(getattr(spec, "resolutions_xy", None), factor))
        except (TypeError, ValueError, AssertionError):  # a "spec" from other software
            del made["spec"]
    return made


def _divided(value: Any, factor: int) -> Any:
    """A number, or each of several, divided by the factor."""
    if isinstance(value, (list, tuple)):
        return type(value)(_divided(part, factor) for part in value)
    try:
        return value / factor
    except TypeError:
        return value
