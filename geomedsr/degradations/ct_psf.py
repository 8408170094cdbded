"""A coarser CT reconstruction: its in-plane point-spread function, and its noise."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from geomedsr.degradations.ct_noise import CTField, CTNoise
from geomedsr.degradations.degradation import Reduction
from geomedsr.degradations.gaussian_psf import GaussianPSF


class CTPSF(Reduction):
    """A Gaussian point-spread function sampled at the coarse pixels, then correlated noise.

    ``mtf`` is the modulation transfer at the coarse grid's Nyquist frequency, a range to draw from. The MTF of a
    scanner with a standard kernel falls off approximately as a Gaussian (Judy 1976, Med. Phys. 3(4)); see
    :class:`GaussianPSF` for the formula. ``noise`` is :class:`CTNoise`, added to the noise that the fine slice already
    has. Slices are reduced only in plane.
    """

    kind: Literal["ct-psf"] = "ct-psf"
    mtf: tuple[float, float] = (0.1, 0.4)
    noise: CTNoise = CTNoise()

    @property
    def psf(self) -> GaussianPSF:
        """The reduction without noise."""
        return GaussianPSF(mtf=self.mtf)

    def margin(self, scale: int) -> int:
        """The margin of the Gaussian."""
        return self.psf.margin(scale)

    def draw(self, rng: np.random.Generator) -> tuple[float, CTField]:
        """A modulation transfer, and the noise's parameters."""
        return self.psf.draw(rng), self.noise.draw(rng)

    def apply(self, fine: torch.Tensor, scale: int, drawn: tuple[float, CTField]) -> torch.Tensor:
        """The coarse slice."""
        mtf, field = drawn
        return self.noise.apply(self.psf.apply(fine, scale, mtf), field)
