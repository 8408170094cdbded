"""Geometry: boxes and windows of pixels, grids and the factors between them. It imports no other room of the core."""

from geomedsr.geometry.box import Box
from geomedsr.geometry.factors import Factors
from geomedsr.geometry.window import Window

__all__ = ["Box", "Factors", "Window"]
