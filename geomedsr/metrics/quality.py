"""PSNR and SSIM per band, for a given value range."""

from __future__ import annotations

import numpy as np

from geomedsr.errors import GeomedsrError
from geomedsr.scene.sources import Array

#: How far SSIM's window goes: a Gaussian of σ 1.5 pixels, cut at 3.5 σ.
_REACH = 5


def psnr(result: Array, reference: Array, span: Array, valid: Array | None = None) -> Array:
    """Peak signal-to-noise ratio in dB of each band: ``10 · log₁₀(span² / MSE)``.

    ``result`` and ``reference`` are ``(band, y, x)`` in the same units. ``span`` is the peak: the value range of each
    band. ``valid`` ``(y, x)`` tells which pixels count. Equal images give infinity.
    """
    valid = np.ones(result.shape[1:], bool) if valid is None else valid
    error = np.square(result.astype(np.float64) - reference.astype(np.float64))[:, valid].mean(1)
    with np.errstate(divide="ignore"):
        decibels: Array = 10 * np.log10(np.square(span) / error)
    return decibels


def ssim(result: Array, reference: Array, span: Array, valid: Array | None = None) -> Array:
    """Structural similarity of each band (Wang et al. 2004; Gaussian window of σ 1.5), by scikit-image.

    Axes, ``span`` and ``valid`` as in :func:`psnr`. The mean is over windows centred on valid pixels.

    Raises:
        GeomedsrError: scikit-image is not installed.
    """
    valid = np.ones(result.shape[1:], bool) if valid is None else valid
    similar: Array = ssim_map(result, reference, span)[:, valid].mean(1)
    return similar


def ssim_map(result: Array, reference: Array, span: Array) -> Array:
    """The structural similarity in the window around each pixel, ``(band, y, x)``; see :func:`ssim`.

    Images are mirrored at their edges, which are at least six pixels long.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise GeomedsrError("no scikit-image", "it for SSIM", "pip install 'geomedsr[evaluate]'") from error
    maps = []
    for one, other, peak in zip(result, reference, span, strict=True):
        pair = (np.pad(plane.astype(np.float64) / peak, _REACH, mode="reflect") for plane in (one, other))
        _, image = structural_similarity(
            *pair, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        maps.append(image[_REACH:-_REACH, _REACH:-_REACH])
    return np.stack(maps)
