"""A robust linear fit between the values of two sensors, from pixels of the same area; some may have changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geomedsr.scene.sources import Array

#: The most pairs of pixels for the median slope, and the number of rounds in which outliers are removed.
_PAIRS, _ROUNDS = 1 << 15, 3

#: Standard deviations beyond which a pixel is an outlier, and a Gaussian's standard deviation in median absolute
#: deviations.
_FAR, _DEVIATION = 3.0, 1.4826


@dataclass(frozen=True)
class Line:
    """``y ≈ gain · x + offset``; ``r2`` is the share of y's variance that it explains among the ``kept`` points."""

    gain: float
    offset: float
    r2: float
    kept: float


def fit_line(x: Array, y: Array) -> Line:
    """The least-squares line through points ``x``, ``y`` of shape ``(n,)``, without outliers.

    The first line has the median of slopes between random pairs, which tolerates up to 29 % of outliers (Theil 1950;
    Sen 1968, J. Am. Stat. Assoc. 63). Points within three robust standard deviations of it are then fitted by least
    squares, repeatedly (reweighted least squares, Rousseeuw and Leroy 1987, chapter 1). The result is deterministic.
    Gain and R² are 0 if no line is defined: fewer than two points, or a single value.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Line(0.0, float(y.mean()) if len(y) else 0.0, 0.0, 1.0)
    one, other = np.random.default_rng(0).integers(len(x), size=(2, _PAIRS))
    apart = x[one] != x[other]
    gain = float(np.median((y[one] - y[other])[apart] / (x[one] - x[other])[apart])) if apart.any() else 0.0
    offset = float(np.median(y - gain * x))
    kept = np.ones(len(x), bool)
    for _ in range(_ROUNDS):
        distance = np.abs(y - gain * x - offset)
        kept = distance <= max(_FAR * _DEVIATION * float(np.median(distance)), 1e-9 * float(np.ptp(y)))
        if np.ptp(x[kept]) == 0:
            return Line(0.0, offset, 0.0, float(kept.mean()))
        centre_x, centre_y = x[kept].mean(), y[kept].mean()
        spread = x[kept] - centre_x
        gain = float((spread * (y[kept] - centre_y)).sum() / (spread**2).sum())
        offset = float(centre_y - gain * centre_x)
    rest = ((y[kept] - gain * x[kept] - offset) ** 2).sum()
    total = ((y[kept] - y[kept].mean()) ** 2).sum()
    return Line(gain, offset, float(1 - rest / total) if total > 0 else 0.0, float(kept.mean()))
