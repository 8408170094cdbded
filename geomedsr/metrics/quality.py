"""PSNR and SSIM per band, for a given value range."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.scene.sources import Array

#: What keeps SSIM's two quotients finite, for a peak of 1.
_C1, _C2 = 0.01**2, 0.03**2

#: SSIM's window along one axis: a Gaussian of σ 1.5 pixels, cut at 3.5 σ, of sum 1.
_BELL = [math.exp(-((at / 1.5) ** 2) / 2) for at in range(-5, 6)]
_TAPS = [weight / sum(_BELL) for weight in _BELL]


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
    """Structural similarity of each band (Wang et al. 2004; Gaussian window of σ 1.5).

    Axes, ``span`` and ``valid`` as in :func:`psnr`. The mean is over windows centred on valid pixels.
    """
    valid = np.ones(result.shape[1:], bool) if valid is None else valid
    similar: Array = ssim_map(result, reference, span)[:, valid].mean(1)
    return similar


def ssim_map(result: Array, reference: Array, span: Array) -> Array:
    """The structural similarity in the window around each pixel, ``(band, y, x)``; see :func:`ssim`.

    Images are mirrored at their edges, which are at least six pixels long.
    """
    maps = []
    for one, other, peak in zip(result, reference, span, strict=True):
        x, y = (torch.from_numpy(plane.astype(np.float64) / peak) for plane in (one, other))
        x_mean, y_mean = _windowed(x), _windowed(y)
        x_variance = (_windowed(x * x) - x_mean**2).clamp_(min=0)
        y_variance = (_windowed(y * y) - y_mean**2).clamp_(min=0)
        covariance = _windowed(x * y) - x_mean * y_mean
        luminance = (2 * x_mean * y_mean + _C1) / (x_mean**2 + y_mean**2 + _C1)
        structure = (2 * covariance + _C2) / (x_variance + y_variance + _C2)
        maps.append((luminance * structure).numpy())
    return np.stack(maps)


def _windowed(plane: torch.Tensor) -> torch.Tensor:
    """The mean over the window around each pixel, ``(H, W)`` in float64: along rows and then along columns.

    A sum of shifted planes; torch's convolutions of float64 take 20 times as long.
    """
    reach = len(_TAPS) // 2
    around = F.pad(plane[None], (reach, reach, reach, reach), mode="reflect")[0]
    for axis, length in enumerate(plane.shape):
        shifted = (around.narrow(axis, start, length) for start in range(len(_TAPS)))
        total = next(shifted) * _TAPS[0]
        for tap, part in zip(_TAPS[1:], shifted, strict=True):
            total.add_(part, alpha=tap)
        around = total
    return around
