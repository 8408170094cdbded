"""GeoTIFF adapter of geomedsr: any raster GDAL reads; out: Cloud-Optimized GeoTIFF, or an image."""

from geomedsr_geotiff.adapter import GeoTiffAdapter

__all__ = ["GeoTiffAdapter"]
