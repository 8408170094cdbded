"""Arrays in files of NumPy, ``.npy`` and ``.npz``, in and out: an adapter of geomedsr that needs nothing but NumPy."""

from geomedsr_arrays.adapter import ArraysAdapter
from geomedsr_arrays.facts import save

__all__ = ["ArraysAdapter", "save"]
