"""Bootstrap intervals: how much a figure would differ on other ground of the same kind."""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: Resamples, the seed they are drawn with, and the share of them that an interval holds.
TIMES, SEED, SHARE = 1000, 0, 0.95


def draws(units: int, times: int = TIMES, seed: int = SEED) -> Array:
    """How often each of so many units (squares of a scene, slices of a series) is drawn, with replacement.

    ``(times, units)`` float64, each row summing to ``units`` (Efron 1979). The same for all methods, so that their
    differences are paired.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(units, np.full(units, 1 / units), size=times).astype(np.float64)


def interval(values: Array) -> tuple[float, float] | None:
    """The 2.5th and the 97.5th percentile of a figure's resampled values (Efron's percentile method).

    None where fewer than two are finite, such as the gain over an image that is equal.
    """
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return None
    low, high = np.percentile(finite, (50 * (1 - SHARE), 50 * (1 + SHARE)))
    return float(low), float(high)
