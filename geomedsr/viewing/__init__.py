"""Looking at scenes: cards, figures, the before/after viewer, reports."""

from geomedsr.viewing.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
