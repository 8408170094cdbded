"""Improvement, omission and hallucination: what became of the detail that interpolation lacks, pixel by pixel.

In the manner of opensr-test (Aybar et al. 2024, "A comprehensive benchmark for optical remote sensing image
super-resolution", IEEE GRSL 21). With L the interpolated input (bicubic here), S the result, H the reference:

    d_im = |S − H| / |L − H|        how far from the truth, in units of what was missing
    d_om = |S − L| / |L − H|        how far from the input, in the same units
    excess = d_im + d_om − 1        at least 0, by the triangle inequality

    improvement   = d_im + d_om · (1 − exp(−0.8 · excess))
    omission      = d_om + d_im · (1 − exp(−0.8 · excess))
    hallucination = exp(−0.4 · d_im · d_om)

Each is the less the nearer the pixel lies to that outcome: S = H, S = L, S far from both. A pixel is given to the least
(of equals to the first); the figures are the shares of the three. The distance is the absolute difference in a band,
the package's ``l1`` of one band, and the coefficients 0.8 and 0.4 are those that its ``Config`` had with it, up to 1.0.

What differs from the package as it is now (1.3.3): its default distance is ``nd``, the mean over bands of
``|a − b| / |a + b|``, with 0.05 for all three coefficients; it tells means of a softmin rather than shares of pixels,
matches histograms and registers first, interpolates bilinearly, and chooses its threshold for each scene, where here,
of pixels whose three differences are all at most 2 % of the peak, nothing is said.
"""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: The names of the classes, in their order.
CLASSES = ("improvement", "omission", "hallucination")

#: How fast excess counts against improvement and omission, and distance from both for hallucination.
_EXCESS, _FAR = 0.8, 0.4

#: Of PSNR's peak: what differs less is not looked at.
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
    missing = np.maximum(missing, 1e-9)  # where nothing was missing, all that was added is far from both
    d_im, d_om = error / missing, added / missing
    wasted = 1 - np.exp(-_EXCESS * (d_im + d_om - 1))
    scores = np.stack([d_im + d_om * wasted, d_om + d_im * wasted, np.exp(-_FAR * d_im * d_om)])
    return np.where(looked, scores.argmin(0), -1).astype(np.int8)


def shares(counts: Array) -> Array:
    """Percent of each class, from counts ``(…, 3)``; NaN where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        percent: Array = 100 * counts / counts.sum(-1, keepdims=True)
    return percent
