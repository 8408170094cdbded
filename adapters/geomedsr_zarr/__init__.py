"""Zarr stores (version 3, and 2) with the CF conventions that xarray and rioxarray read: an adapter of geomedsr.

Needs the extra ``zarr``.
"""

from geomedsr_zarr.adapter import ZarrAdapter

__all__ = ["ZarrAdapter"]
