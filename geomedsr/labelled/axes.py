"""The axes of a labelled array: columns, rows, bands and frames, found by name or by CF attributes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import xarray as xr

from geomedsr.errors import InputError

#: Names of the x and y axes, in lower case. The first are used by geomedsr, rioxarray and grid mappings.
_X, _Y = ("x", "lon", "longitude", "easting"), ("y", "lat", "latitude", "northing")

#: CF attributes that identify them by other names: ``axis``, and standard names.
_CF_X = ("X", "longitude", "projection_x_coordinate", "grid_longitude")
_CF_Y = ("Y", "latitude", "projection_y_coordinate", "grid_latitude")

#: Names of a band axis; any other third axis holds frames (times, slices).
_BANDS = ("band", "bands", "channel", "channels", "c", "wavelength", "variable")


class Axes(NamedTuple):
    """The names of the x, y, frame and band axes; the last two may be None."""

    x: Hashable
    y: Hashable
    frame: Hashable | None
    band: Hashable | None

    @property
    def order(self) -> list[Hashable]:
        """The existing axes in a scene's order: frames, bands, rows, columns."""
        return [axis for axis in (self.frame, self.band) if axis is not None] + [self.y, self.x]


def spatial(array: xr.DataArray) -> tuple[Hashable, Hashable] | None:
    """The x and y axes; None if nothing identifies them."""
    named = array.attrs.get("spatial:dimensions")  # GeoZarr: rows, columns
    if isinstance(named, (list, tuple)) and len(named) == 2 and {*map(str, named)} <= {*map(str, array.dims)}:
        row, column = (next(axis for axis in array.dims if str(axis) == str(name)) for name in named)
        return column, row
    folded = {str(axis).casefold(): axis for axis in reversed(array.dims)}
    for x, y in zip(_X, _Y, strict=True):
        if x in folded and y in folded:
            return folded[x], folded[y]
    found = (next(_known(array, folded, *names), None) for names in ((_X, _CF_X), (_Y, _CF_Y)))
    column_axis, row_axis = found
    return None if column_axis is None or row_axis is None else (column_axis, row_axis)


def _known(
    array: xr.DataArray, folded: dict[str, Hashable], names: Sequence[str], cf: Sequence[str]
) -> Iterator[Hashable]:
    yield from (folded[name] for name in names if name in folded)
    for axis in array.dims:
        attrs = array.coords[axis].attrs if axis in array.coords else {}
        if str(attrs.get("axis", "")).upper() == cf[0] or str(attrs.get("standard_name", "")).lower() in cf[1:]:
            yield axis


def named(array: xr.DataArray) -> Axes:
    """The axes of an array, in any order.

    Raises:
        InputError: no spatial axes, or too many others.
    """
    found = spatial(array)
    if found is None:
        raise InputError(
            f"an array of axes {', '.join(map(str, array.dims))}",
            "spatial ones: x and y, or longitude and latitude",
            'rename them, such as da.rename(cols="x", rows="y")',
        )
    others = [axis for axis in array.dims if axis not in found]
    band = next((axis for axis in others if str(axis).casefold() in _BANDS), None)
    frames = [axis for axis in others if axis != band]
    if len(frames) > 1:
        raise InputError(
            f"an array of axes {', '.join(map(str, array.dims))}",
            "at most one besides band, y and x",
            "select or stack",
        )
    return Axes(*found, frames[0] if frames else None, band)


def placed(array: xr.DataArray) -> Axes:
    """The axes by position, for an array without telling names: the last ones of ``(frame, band, y, x)``."""
    *others, y, x = array.dims
    frame, band = [None, None, *others][-2:]
    return Axes(x, y, frame, band)
