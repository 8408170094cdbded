"""Bootstrap intervals: how much a figure would vary between scenes of the same kind."""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: Number of resamples, the random seed, and the coverage of an interval.
TIMES, SEED, SHARE = 1000, 0, 0.95


def draws(units: int, times: int = TIMES, seed: int = SEED) -> Array:
    """How often each unit (a square of a scene, a slice of a series) is drawn with replacement.

    ``(times, units)`` float64; each row sums to ``units`` (Efron 1979). The draws are the same for all methods, so that
    differences between methods are paired.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(units, np.full(units, 1 / units), size=times).astype(np.float64)


def interval(values: Array) -> tuple[float, float] | None:
    """The 2.5th and the 97.5th percentile of a figure's resampled values (Efron's percentile method).

    None if fewer than two values are finite, as for the PSNR of equal images.
    """
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return None
    low, high = np.percentile(finite, (50 * (1 - SHARE), 50 * (1 + SHARE)))
    return float(low), float(high)
