"""An adapter that reads and writes NumPy files, ``.npy`` and ``.npz``; it needs only NumPy."""

from geomedsr_arrays.adapter import ArraysAdapter
from geomedsr_arrays.facts import save

__all__ = ["ArraysAdapter", "save"]
