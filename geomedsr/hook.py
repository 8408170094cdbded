"""The hook that runs when xarray is imported: it registers ``DataArray.geomedsr``, and imports nothing itself.

It is separate from the accessor, which imports xarray: if the accessor is imported first, its module is still
incomplete when this hook runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from geomedsr.accessor import DataArrayAccessor


def register(xarray: Any) -> None:
    """Register ``DataArray.geomedsr``."""
    xarray.register_dataarray_accessor("geomedsr")(accessor)


def accessor(array: xr.DataArray) -> DataArrayAccessor:
    """``da.geomedsr``; :mod:`geomedsr.accessor` is imported on first use."""
    from geomedsr.accessor import DataArrayAccessor

    return DataArrayAccessor(array)
