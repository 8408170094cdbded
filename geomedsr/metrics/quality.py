"""PSNR and SSIM per band, for a given value range."""

from __future__ import annotations

import numpy as np
import torch

from geomedsr.errors import GeomedsrError
from geomedsr.scene.sources import Array


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
    """Structural similarity of each band (Wang et al. 2004; Gaussian window of σ 1.5), by torchmetrics.

    Axes, ``span`` and ``valid`` as in :func:`psnr`. The mean is over windows centred on valid pixels.

    Raises:
        GeomedsrError: torchmetrics is not installed.
    """
    valid = np.ones(result.shape[1:], bool) if valid is None else valid
    similar: Array = ssim_map(result, reference, span)[:, valid].mean(1)
    return similar


def ssim_map(result: Array, reference: Array, span: Array) -> Array:
    """The structural similarity in the window around each pixel, ``(band, y, x)``; see :func:`ssim`."""
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure as measure
    except ImportError as error:
        raise GeomedsrError("no torchmetrics", "it for SSIM", "pip install 'geomedsr[evaluate]'") from error
    maps = []
    for one, other, peak in zip(result, reference, span, strict=True):
        first, second = (torch.from_numpy(plane.astype(np.float64) / peak)[None, None] for plane in (one, other))
        _, image = measure(first, second, data_range=1.0, return_full_image=True)
        maps.append(image[0, 0].numpy())
    return np.stack(maps)
