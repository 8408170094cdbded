"""A Gaussian point-spread function and decimation: a sensor's optics and detector together."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr.degradations.degradation import Reduction
from geomedsr.degradations.separable import places, sampled


class GaussianPSF(Reduction):
    """Convolution with a Gaussian, then one sample at the centre of each ``s × s`` block.

    ``mtf`` is a range to draw from: the modulation transfer at the coarse grid's Nyquist frequency, as specified for
    sensors, 0.1 to 0.4 for most. A Gaussian of σ fine pixels has ``MTF(f) = exp(−2 π² σ² f²)``, so at
    ``f = 1 / (2 s)``: ``σ = (s / π) √(2 ln (1 / MTF))``.
    """

    kind: Literal["gaussian-psf"] = "gaussian-psf"
    mtf: tuple[float, float] = (0.15, 0.4)

    @model_validator(mode="after")
    def _between(self) -> GaussianPSF:
        if not 0.01 <= self.mtf[0] <= self.mtf[1] < 1:
            raise ValueError("mtf needs two numbers 0.01 <= low <= high < 1")
        return self

    def sigma(self, mtf: float, scale: int) -> float:
        """The σ, in fine pixels, of a Gaussian with the modulation transfer ``mtf`` at the coarse Nyquist frequency."""
        return scale / math.pi * math.sqrt(2 * math.log(1 / mtf))

    def margin(self, scale: int) -> int:
        """Four σ of the widest Gaussian from the block's centre, minus half the block."""
        return max(0, math.ceil(4 * self.sigma(self.mtf[0], scale) - scale / 2))

    def draw(self, rng: np.random.Generator) -> float:
        """A modulation transfer."""
        return float(rng.uniform(*self.mtf))

    def apply(self, fine: torch.Tensor, scale: int, drawn: float) -> torch.Tensor:
        """The coarse image; its pixel centres are the centres of the blocks."""
        taps = torch.exp(-(places(scale, self.margin(scale)) ** 2) / (2 * self.sigma(drawn, scale) ** 2))
        return sampled(fine, taps, scale)
