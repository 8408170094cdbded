"""xarray's labelled arrays as scenes.

Axes, position, names and fill values are read as CF, rioxarray, odc-stac, stackstac, GeoZarr and the Open Data Cube
write them.
"""

from geomedsr.labelled.scenes import scene_of

__all__ = ["scene_of"]
