"""Geometry: boxes and windows of pixels, and how much finer one grid is than another. No other room is below it."""

from geomedsr.geometry.box import Box
from geomedsr.geometry.factors import Factors
from geomedsr.geometry.window import Window

__all__ = ["Box", "Factors", "Window"]
