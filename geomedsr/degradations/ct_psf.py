"""A coarser CT reconstruction: its point-spread function in the plane of the slice, and its noise."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from geomedsr.degradations.ct_noise import CTField, CTNoise
from geomedsr.degradations.degradation import Reduction
from geomedsr.degradations.gaussian_psf import GaussianPSF


class CTPSF(Reduction):
    """A Gaussian point-spread function sampled at the coarse pixels, then correlated noise.

    ``mtf`` is the modulation transfer at the coarse grid's Nyquist frequency, a range to draw from: the transfer of a
    scanner with a standard kernel falls off about as a Gaussian does (Judy 1976, Med. Phys. 3(4)); see
    :class:`GaussianPSF` for the formula. ``noise`` is that of :class:`CTNoise`, which comes on top of what the fine
    slice has. Slices are reduced in their plane alone.
    """

    kind: Literal["ct-psf"] = "ct-psf"
    mtf: tuple[float, float] = (0.1, 0.4)
    noise: CTNoise = CTNoise()

    @property
    def psf(self) -> GaussianPSF:
        """The first half."""
        return GaussianPSF(mtf=self.mtf)

    def margin(self, scale: int) -> int:
        """That of the Gaussian."""
        return self.psf.margin(scale)

    def draw(self, rng: np.random.Generator) -> tuple[float, CTField]:
        """A modulation transfer, and the noise's parameters."""
        return self.psf.draw(rng), self.noise.draw(rng)

    def apply(self, fine: torch.Tensor, scale: int, drawn: tuple[float, CTField]) -> torch.Tensor:
        """The coarse slice."""
        mtf, field = drawn
        return self.noise.apply(self.psf.apply(fine, scale, mtf), field)
