"""Photon noise and electronic noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr.degradations.degradation import Disturbance


@dataclass(frozen=True)
class Noise:
    """One draw: variance per unit of signal, standard deviation without signal, and a seed for the noise."""

    gain: float
    sigma: float
    seed: int


class PoissonGaussian(Disturbance):
    """``gain · Poisson(z / gain) + N(0, sigma²)`` for normalised values z (Foi et al. 2008, IEEE TIP 17(10), eq. 1).

    The variance is ``gain · z + sigma²``; values below 0 get no photon noise. ``gain`` and ``sigma`` are ranges to draw
    from.
    """

    kind: Literal["poisson-gaussian"] = "poisson-gaussian"
    gain: tuple[float, float] = (0.0, 0.001)
    sigma: tuple[float, float] = (0.0, 0.01)

    @model_validator(mode="after")
    def _ordered(self) -> PoissonGaussian:
        for low, high in (self.gain, self.sigma):
            if not 0 <= low <= high:
                raise ValueError("gain and sigma need two numbers 0 <= low <= high")
        return self

    def draw(self, rng: np.random.Generator) -> Noise:
        """A gain, a standard deviation, and a seed."""
        return Noise(float(rng.uniform(*self.gain)), float(rng.uniform(*self.sigma)), int(rng.integers(2**63)))

    def apply(self, coarse: torch.Tensor, drawn: Noise) -> torch.Tensor:
        """The noisy image; the same draw gives the same noise."""
        rng = np.random.default_rng(drawn.seed)
        clean = coarse.double().cpu().numpy()
        noisy = clean
        if drawn.gain > 1e-12:  # below, photon noise vanishes, and photon counts are too large to draw
            light = np.maximum(clean, 0)
            noisy = clean - light + rng.poisson(light / drawn.gain) * drawn.gain
        noisy = noisy + rng.normal(0, drawn.sigma, clean.shape)
        return torch.from_numpy(noisy).to(coarse)
