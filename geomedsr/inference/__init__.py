"""Inference: lazy super-resolved scenes, and the engine that writes scenes region by region."""

from geomedsr.inference.engine import write
from geomedsr.inference.process import process
from geomedsr.inference.upscale import upscale

__all__ = ["process", "upscale", "write"]
