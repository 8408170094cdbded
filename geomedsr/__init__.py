"""geomedsr: single-image super-resolution of satellite scenes and medical slices, with nothing lost.

import geomedsr

scene = geomedsr.open("scene.tif")
sr = geomedsr.upscale(scene, model="satellite-x4")   # lazy
geomedsr.write(sr, "scene_x4.tif")
"""

from geomedsr._version import __version__
from geomedsr.adapters import open_scene as open
from geomedsr.errors import GeomedsrError
from geomedsr.grid import Grid, Window
from geomedsr.inference import upscale, write
from geomedsr.models import Model, load_model
from geomedsr.promises import Check, verify
from geomedsr.scene import Band, Scene

__all__ = [
    "Band",
    "Check",
    "GeomedsrError",
    "Grid",
    "Model",
    "Scene",
    "Window",
    "__version__",
    "load_model",
    "open",
    "upscale",
    "verify",
    "write",
]
