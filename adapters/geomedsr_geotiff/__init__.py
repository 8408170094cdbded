"""The adapter for rasters: reads all that GDAL reads, and writes Cloud-Optimized GeoTIFF or images."""

from geomedsr_geotiff.adapter import GeoTiffAdapter

__all__ = ["GeoTiffAdapter"]
