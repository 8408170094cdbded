"""Error after a local linear fit, for two sensors or bands that show the same area with different values."""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array


def residual(result: Array, truth: Array, counted: Array) -> Array:
    """The sum of squared residuals of a linear fit from a result to the truth, in one square.

    ``truth ≈ a · result + b`` by least squares over the pixels ``counted``; all ``(band, y, x)``.

    Returns:
        ``(band,)``, float64; 0 where no pixel counts.
    """
    number = np.maximum(counted.sum((1, 2)), 1)

    def centred(values: Array) -> Array:
        mean = np.where(counted, values, 0).sum((1, 2)) / number
        away: Array = np.where(counted, values - mean[:, None, None], 0)
        return away

    seen, there = centred(result), centred(truth)
    own, shared, total = ((a * b).sum((1, 2)) for a, b in ((seen, seen), (seen, there), (there, there)))
    left: Array = total - np.divide(shared**2, own, out=np.zeros_like(own), where=own > 0)
    return np.maximum(left, 0)
