"""Difference of amplitude spectra, regardless of phase."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class FourierAmplitude(Loss):
    """``mean ||F(w·SR)| − |F(w·HR)||`` over all frequencies, F the orthonormal Fourier transform: texture.

    w is a Hann window; without it the borders of a patch would be its strongest edges. Fuoli, Van Gool and Timofte
    2021, arXiv:2106.00783, section 3.1, the amplitude term. F is orthonormal, so that white noise has the same weight
    in patches of any size.
    """

    kind: Literal["fourier-amplitude"] = "fourier-amplitude"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over bands and frequencies."""
        return F.l1_loss(_amplitudes(sample.sr), _amplitudes(sample.hr))


def _amplitudes(image: torch.Tensor) -> torch.Tensor:
    rows, columns = (torch.hann_window(n, dtype=image.dtype, device=image.device) for n in image.shape[-2:])
    spectrum: torch.Tensor = torch.fft.fft2(image * rows[:, None] * columns, norm="ortho")
    return spectrum.abs()
