"""The radially averaged power spectrum: how much detail an image has at each spatial frequency, regardless of place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geomedsr.scene.sources import Array


def power(patch: Array) -> Array:
    """Mean spectral power at 1, 2, … ⌊n/2⌋ periods across a square patch.

    The patch ``(band, n, n)``, minus its mean, is multiplied by a Hann window, so that the jump at its edges does not
    count as detail. ``|F|²`` is averaged over all frequencies whose magnitude rounds to the same number of periods. The
    result is ``(band, ⌊n/2⌋)``, in squared physical units; position ``k − 1`` stands for ``k / n`` cycles per pixel.
    """
    side = patch.shape[-1]
    hann = np.hanning(side + 1)[:-1]
    flat = (patch - patch.mean((-2, -1), keepdims=True)) * hann[:, None] * hann
    spectrum = np.square(np.abs(np.fft.fft2(flat)))
    frequency = np.fft.fftfreq(side, 1 / side)
    radius = np.rint(np.hypot(frequency[:, None], frequency)).astype(int).ravel()
    length = side // 2 + 1
    count = np.bincount(radius)[1:length]
    sums = [np.bincount(radius, plane.ravel())[1:length] for plane in spectrum]
    return np.array(sums) / count


def beyond_nyquist(result: Array, reference: Array, side: int, scale: int) -> Array:
    """The distance of a spectrum from the reference's beyond the input's Nyquist frequency, in dB; 0 is equal.

    ``mean |10 · log₁₀(result / reference)|`` over frequencies above ``1 / (2 · scale)`` cycles per pixel, the input's
    Nyquist frequency. Both are ``(…, ⌊side/2⌋)``, as :func:`power` returns them, or sums of these. Detail in the wrong
    place counts as much as detail in the right place: this measures sharpness, not correctness.
    """
    finer = np.arange(1, side // 2 + 1) * 2 * scale > side
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels: Array = np.abs(10 * np.log10(result[..., finer] / reference[..., finer])).mean(-1)
    return decibels


def mean_ratio(pairs: Sequence[tuple[Array, Array]]) -> tuple[float, ...]:
    """Spectra over their references', ``(⌊side/2⌋,)`` each, mean over bands; empty if a reference has no power."""
    if not pairs or any((reference <= 0).any() for _, reference in pairs):
        return ()
    return tuple(float(v) for v in np.mean([result / reference for result, reference in pairs], 0))
