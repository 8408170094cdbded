"""geomedsr: single-image super-resolution of satellite scenes and medical slices, with nothing lost.

import geomedsr

scene = geomedsr.open("scene.tif")
sr = geomedsr.upscale(scene, model="satellite-x4")   # lazy
geomedsr.write(sr, "scene_x4.tif")
"""

import wrapt

from geomedsr._version import __version__
from geomedsr.adapters import open_scene as open
from geomedsr.errors import GeomedsrError
from geomedsr.grid import Grid, Window
from geomedsr.inference import upscale, write
from geomedsr.models import Model, load_model
from geomedsr.progress import show_progress
from geomedsr.promises import Check, verify
from geomedsr.scene import Band, Scene
from geomedsr.viewing import Comparison, compare

# `DataArray.geomedsr`, from the moment that xarray is imported, by whomever: it is slow to, and not always needed.
wrapt.register_post_import_hook("geomedsr.accessor:register", "xarray")

__all__ = [
    "Band",
    "Check",
    "Comparison",
    "GeomedsrError",
    "Grid",
    "Model",
    "Scene",
    "Window",
    "__version__",
    "compare",
    "load_model",
    "open",
    "show_progress",
    "upscale",
    "verify",
    "write",
]
