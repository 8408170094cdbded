"""Labelled arrays, xarray's, as scenes: axes, place, names and fill values as CF, rioxarray, odc-stac, stackstac,
GeoZarr and the Open Data Cube write them.
"""

from geomedsr.labelled.scenes import scene_of

__all__ = ["scene_of"]
