"""Visualisation of scenes: cards, figures, the before/after viewer, reports."""

from geomedsr.viewing.comparison import compare
from geomedsr.viewing.swipe import Comparison

__all__ = ["Comparison", "compare"]
