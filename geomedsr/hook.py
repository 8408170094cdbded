"""What is called when xarray is imported: it makes ``DataArray.geomedsr`` known, and imports nothing itself.

It is apart from the accessor, which imports xarray: whoever imports that first would find it half made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from geomedsr.accessor import DataArrayAccessor


def register(xarray: Any) -> None:
    """Make ``DataArray.geomedsr`` known."""
    xarray.register_dataarray_accessor("geomedsr")(accessor)


def accessor(array: xr.DataArray) -> DataArrayAccessor:
    """``da.geomedsr``; see :mod:`geomedsr.accessor`, which is imported when it is first used."""
    from geomedsr.accessor import DataArrayAccessor

    return DataArrayAccessor(array)
