"""A labelled array as a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from geomedsr.geometry.grid import Grid
from geomedsr.labelled.axes import Axes, named, placed, spatial
from geomedsr.labelled.place import grid_of
from geomedsr.labelled.values import bands_of
from geomedsr.scene.arrays import usable
from geomedsr.scene.frames import Frames
from geomedsr.scene.provenance import PREFIX
from geomedsr.scene.scene import Band, Scene


def scene_of(
    array: Any,
    axes: Axes | None = None,
    valid: Any = None,
    *,
    grid: Grid | None = None,
    bands: Sequence[Band] | None = None,
    **more: Any,
) -> Scene:
    """The array as a scene; only coordinates are read.

    Values are the array's own; its fill value and NaN are no data. Band names are the ones that rioxarray lists, or
    come from the band coordinate. Roles and kinds are read from geomedsr's own Zarr stores.

    Args:
        array: any DataArray with 2 to 4 axes, or a Variable.
        axes: the axes; by default found by name, or by position.
        valid: True at valid pixels; it has the same axes, or fewer if its axes are named.
        grid: replaces the grid from coordinates and attributes.
        bands: replaces the bands from coordinates and attributes.
        more: other fields of a :class:`geomedsr.Scene`.

    Raises:
        InputError: the array is empty, values are not real numbers, pixels are not evenly spaced, or attributes are
            invalid.
    """
    array = usable(array)
    array = array if isinstance(array, xr.DataArray) else xr.DataArray(array)
    axes = axes or (named(array) if spatial(array) else placed(array))
    if valid is not None:
        mask = valid if isinstance(valid, xr.DataArray) else xr.DataArray(valid, dims=array.dims[-np.ndim(valid) :])
        valid = _lifted(mask.broadcast_like(array).transpose(*array.dims), axes)
    tags = {"": {k: str(v) for k, v in array.attrs.items() if str(k).startswith(PREFIX)}}
    return Scene.from_array(
        _lifted(array, axes),
        valid,
        grid=grid or grid_of(array, axes),
        bands=bands or bands_of(array, axes),
        **{"name": str(array.name or "array"), "tags": tags, "frames": frames_of(array, axes), **more},
    )


def _lifted(array: xr.DataArray, axes: Axes) -> Any:
    """The array's values as ``(frame, band, y, x)``."""
    values = array.transpose(*axes.order).data
    if axes.band is None:
        values = values[..., None, :, :]
    return values if axes.frame is not None else values[None]


def frames_of(array: xr.DataArray, axes: Axes) -> Frames | None:
    """The axis of the frames, and their positions on it."""
    if axes.frame is None:
        return None
    known = axes.frame in array.coords
    values = array.coords[axes.frame].values if known else np.arange(array.sizes[axes.frame])
    return Frames(str(axes.frame), values, dict(array.coords[axes.frame].attrs) if known else {})
