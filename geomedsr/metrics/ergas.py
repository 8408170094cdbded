"""ERGAS: the error of all bands together, each relative to its own mean."""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array


def ergas(squares: Array, reference: Array, count: Array, scale: int) -> Array:
    """``100 / scale · √(mean over bands of MSE / mean²)``, in percent; 0 is equal (Wald 2000).

    Computed from running sums, so that a scene of any size is measured region by region: the sum of squared errors
    ``squares``, the sum of the reference's values ``reference``, and the number of pixels ``count``, each ``(…,
    band)``, in physical units. The result is ``(…,)``; NaN where no pixel counts, or where a band's mean is not above
    0, which would make the relative error meaningless.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(reference > 0, reference / count, np.nan)
        relative: Array = np.sqrt((squares / count / np.square(mean)).mean(-1))
    return 100 / scale * relative
