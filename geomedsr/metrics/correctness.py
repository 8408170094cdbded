"""Improvement, omission and hallucination: how each pixel of a result relates to the detail that interpolation lacks.

After opensr-test (Aybar et al. 2024, "A comprehensive benchmark for optical remote sensing image
super-resolution", IEEE GRSL 21). With L the interpolated input (bicubic here), S the result, H the reference:

    d_im = |S − H| / |L − H|        how far from the truth, in units of what was missing
    d_om = |S − L| / |L − H|        how far from the input, in the same units
    excess = d_im + d_om − 1        at least 0, by the triangle inequality

    improvement   = d_im + d_om · (1 − exp(−0.8 · excess))
    omission      = d_om + d_im · (1 − exp(−0.8 · excess))
    hallucination = exp(−0.4 · d_im · d_om)

Each score is smaller the closer the pixel is to that outcome: S = H, S = L, or S far from both. A pixel belongs to the
class with the smallest score (the first, if equal); the figures are the shares of the three classes. The distance is
the absolute difference in one band, the package's ``l1`` for one band. The coefficients 0.8 and 0.4 are those of its
``Config`` for this distance, up to version 1.0.

Differences from the current package (1.3.3): its default distance is ``nd``, the mean over bands of
``|a − b| / |a + b|``, with 0.05 for all three coefficients. It reports means of a softmin instead of shares of pixels,
matches histograms and registers first, interpolates bilinearly, and chooses its threshold for each scene. Here, pixels
whose three differences are all at most 2 % of the peak have no class.
"""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: The names of the classes, in their order.
CLASSES = ("improvement", "omission", "hallucination")

#: The coefficients of the excess in improvement and omission, and of the distances in hallucination.
_EXCESS, _FAR = 0.8, 0.4

#: Smaller differences, as a share of PSNR's peak, are not classified.
THRESHOLD = 0.02


def classes(result: Array, interpolated: Array, reference: Array, peak: Array) -> Array:
    """The class of each pixel, int8: a position in :data:`CLASSES`, or −1 where the three images hardly differ.

    All are ``(…, band, y, x)``, physical; ``peak`` is ``(band,)``, as for PSNR.
    """
    span = np.asarray(peak, np.float64)[:, None, None]
    missing, error, added = (
        np.abs(a - b) / span for a, b in ((interpolated, reference), (result, reference), (result, interpolated))
    )
    looked = np.maximum(np.maximum(missing, error), added) > THRESHOLD
    missing = np.maximum(missing, 1e-9)  # where no detail was missing, any added detail is far from both
    d_im, d_om = error / missing, added / missing
    wasted = 1 - np.exp(-_EXCESS * (d_im + d_om - 1))
    scores = np.stack([d_im + d_om * wasted, d_om + d_im * wasted, np.exp(-_FAR * d_im * d_om)])
    return np.where(looked, scores.argmin(0), -1).astype(np.int8)


def shares(counts: Array) -> Array:
    """The percentage of each class, from counts ``(…, 3)``; NaN where all counts are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        percent: Array = 100 * counts / counts.sum(-1, keepdims=True)
    return percent
