"""The noise of filtered back-projection, which is correlated because the ramp filter removes low frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr.degradations.degradation import Disturbance
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class CTField:
    """One draw: standard deviation, peak frequency of the spectrum, and a seed for the noise."""

    sigma: float
    peak: float
    seed: int


class CTNoise(Disturbance):
    """Stationary Gaussian noise with the power spectrum of filtered back-projection, independent for slices and bands.

    ``NPS(f) = k · f · exp(−f² / (2 peak²))`` with f in cycles per coarse pixel. White noise in the projections,
    filtered by the ramp and an apodisation ``A`` and divided by ``f`` for the density of spokes, has the spectrum ``f ·
    A(f)²`` (Riederer et al. 1978, Phys. Med. Biol. 23(3); Kijewski & Judy 1987, Phys. Med. Biol. 32(5)); here ``A`` is
    a Gaussian. The power is highest at ``f = peak``, low for soft kernels and high for sharp ones; ``k`` makes the
    variance ``sigma²``. The power at f = 0 is zero, so means are kept. Aliasing by the sampling of the image is left
    out.

    ``sigma`` and ``peak`` are ranges to draw from. ``sigma`` is on the value scale: 0.01 is 14 HU where 0 and 1 are
    −1000 and 400 HU.
    """

    kind: Literal["ct-noise"] = "ct-noise"
    sigma: tuple[float, float] = (0.0, 0.02)
    peak: tuple[float, float] = (0.1, 0.3)

    @model_validator(mode="after")
    def _ordered(self) -> CTNoise:
        if not 0 <= self.sigma[0] <= self.sigma[1]:
            raise ValueError("sigma needs two numbers 0 <= low <= high")
        if not 0.02 <= self.peak[0] <= self.peak[1] <= 1:
            raise ValueError("peak needs two numbers 0.02 <= low <= high <= 1, in cycles per pixel")
        return self

    def draw(self, rng: np.random.Generator) -> CTField:
        """A standard deviation, a peak frequency, and a seed."""
        return CTField(float(rng.uniform(*self.sigma)), float(rng.uniform(*self.peak)), int(rng.integers(2**63)))

    def apply(self, coarse: torch.Tensor, drawn: CTField) -> torch.Tensor:
        """The noisy image; the same draw gives the same noise."""
        white = np.random.default_rng(drawn.seed).normal(size=coarse.shape)
        amplitude = np.sqrt(noise_power(coarse.shape[-2:], drawn.peak)) * drawn.sigma
        noise = np.fft.ifft2(np.fft.fft2(white) * amplitude).real
        return coarse + torch.from_numpy(noise).to(coarse)


def noise_power(shape: tuple[int, ...], peak: float) -> Array:
    """The power spectrum at the frequencies of ``numpy.fft.fft2`` for an image ``(H, W)``.

    Its mean, and thus the variance of the noise, is 1. It is 0 for a single pixel, whose only frequency is 0.
    """
    rows, cols = (np.fft.fftfreq(length) for length in shape)
    frequency = np.hypot(rows[:, None], cols[None, :])
    power = frequency * np.exp(-(frequency**2) / (2 * peak**2))
    return np.asarray(power / (power.mean() or 1.0))
