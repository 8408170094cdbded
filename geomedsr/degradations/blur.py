"""Blur of the coarse image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import model_validator

from geomedsr.degradations.degradation import Disturbance
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class Ellipse:
    """One draw: standard deviations along two axes, in pixels, and the angle of the first axis, from x towards y."""

    first: float
    second: float
    angle: float


class Blur(Disturbance):
    """Convolution with a Gaussian, isotropic in half of the cases, else with different widths along two rotated axes.

    ``exp(−½ Cᵀ Σ⁻¹ C)`` at ``C = (x, y)``, normalised to sum 1, with ``Σ = R diag(σ₁², σ₂²) Rᵀ`` (Real-ESRGAN, Wang et
    al. 2021, section 3.1). ``sigma`` is the range of σ₁ and σ₂, in coarse pixels. The image is continued by reflection.
    """

    kind: Literal["blur"] = "blur"
    sigma: tuple[float, float] = (0.2, 1.5)

    @model_validator(mode="after")
    def _ordered(self) -> Blur:
        if not 0.05 <= self.sigma[0] <= self.sigma[1] <= 20:
            raise ValueError("sigma needs two numbers 0.05 <= low <= high <= 20, in pixels")
        return self

    def draw(self, rng: np.random.Generator) -> Ellipse:
        """Two widths, equal in half of the cases, and an angle."""
        first, second = (float(sigma) for sigma in rng.uniform(*self.sigma, 2))
        angle = float(rng.uniform(0, math.pi))
        return Ellipse(first, second, angle) if rng.integers(2) else Ellipse(first, first, angle)

    def apply(self, coarse: torch.Tensor, drawn: Ellipse) -> torch.Tensor:
        """The blurred image."""
        weights = torch.from_numpy(kernel(drawn)).to(coarse)
        half = len(weights) // 2
        edge = ((0, 0), (0, 0), (half, half), (half, half))
        around = torch.from_numpy(np.pad(coarse.cpu().numpy(), edge, mode="reflect")).to(coarse)
        channels = coarse.shape[1]
        return F.conv2d(around, weights.expand(channels, 1, -1, -1).contiguous(), groups=channels)


def kernel(shape: Ellipse) -> Array:
    """The square array of weights, float64, out to four times the larger standard deviation."""
    half = math.ceil(4 * max(shape.first, shape.second))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    along, across = (cos * x + sin * y) / shape.first, (cos * y - sin * x) / shape.second
    weights = np.exp(-(along**2 + across**2) / 2)
    return np.asarray(weights / weights.sum())
