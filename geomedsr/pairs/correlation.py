"""Correlation of two images at whole shifts, where both are data (Padfield 2012, "Masked object registration in the
Fourier domain", IEEE Trans. Image Process. 21, eqs. 8 to 10).
"""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array


def lag_sums(image: Array, known: Array, other: Array, valid: Array, far: int) -> Array:
    """Sums over the pixels that are data in both, for each shift of ``other`` by up to ``far`` pixels.

    Args:
        image: ``(y, x)``.
        known: where it is data.
        other: ``(y, x)`` of the same shape.
        valid: where that is data.
        far: the largest shift along each axis.

    Returns:
        ``(6, 2 · far + 1, 2 · far + 1)``: the number of pixels, the sums of both images, of their squares, and of their
        products. At index ``(i, j)``, pixel ``(y, x)`` of the image meets ``(y + i − far, x + j − far)`` of the other.
    """
    sides = [length + far for length in image.shape]  # no shift within ``far`` wraps around
    one, two = known.astype(np.float64), valid.astype(np.float64)
    a, b = np.where(known, image, 0), np.where(valid, other, 0)
    ones, of_a, squares_a = (np.conj(np.fft.rfft2(plane, sides)) for plane in (one, a, a * a))
    twos, of_b, squares_b = (np.fft.rfft2(plane, sides) for plane in (two, b, b * b))
    spectra = [ones * twos, of_a * twos, ones * of_b, squares_a * twos, ones * squares_b, of_a * of_b]
    lags = np.arange(-far, far + 1)
    return np.stack([np.fft.irfft2(spectrum, sides)[np.ix_(lags, lags)] for spectrum in spectra])


def correlation(sums: Array, fewest: float) -> Array:
    """Pearson's correlation at each shift; −∞ where fewer than ``fewest`` pixels are data in both, or all are alike."""
    count, a, b, aa, bb, ab = sums
    count = np.maximum(np.rint(count), 1)
    spread = np.maximum(aa - a * a / count, 0) * np.maximum(bb - b * b / count, 0)
    enough = (count >= fewest) & (spread > 1e-9 * spread.max())
    found: Array = np.where(enough, (ab - a * b / count) / np.sqrt(np.where(enough, spread, 1)), -np.inf)
    return found
