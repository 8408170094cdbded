"""ERGAS: the error of all bands together, each relative to its own mean."""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array


def ergas(squares: Array, reference: Array, count: Array, scale: int) -> Array:
    """``100 / scale · √(mean over bands of MSE / mean²)``, in percent; 0 is equal (Wald 2000).

    From running sums, so that a scene of any size is measured region by region: ``squares`` of the squared errors,
    ``reference`` of the reference's values and ``count`` of the pixels, each ``(…, band)``, physical. The result is
    ``(…,)``; NaN where no pixel counts or a band's mean is not above 0, since nothing is relative to that then.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(reference > 0, reference / count, np.nan)
        relative: Array = np.sqrt((squares / count / np.square(mean)).mean(-1))
    return 100 / scale * relative
