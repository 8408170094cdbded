"""Geometry: boxes of pixels, and how many times finer one grid is than another. No other room is below this one."""

from geomedsr.geometry.box import Box
from geomedsr.geometry.factors import Factors

__all__ = ["Box", "Factors"]
