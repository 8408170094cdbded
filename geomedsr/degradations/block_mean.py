"""The block mean: an ideal detector, optionally behind optics that blur."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr import operators
from geomedsr.degradations.degradation import Reduction
from geomedsr.degradations.separable import places, sampled


class BlockMean(Reduction):
    """A coarse pixel is the mean of its ``s × s`` block, as in the operator of the same name.

    ``blur`` lists standard deviations, in coarse pixels, of a Gaussian that is applied to the fine image first. One is
    drawn, each with equal probability; 0 means no blur. Real detectors also see a little of the neighbouring pixels, so
    their images are softer than block means. Results agree with the input by block means all the same.
    """

    kind: Literal["block-mean"] = "block-mean"
    blur: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> BlockMean:
        if not all(0 <= sigma <= 2 for sigma in self.blur):
            raise ValueError("blur needs numbers from 0 to 2, in coarse pixels")
        return self

    def margin(self, scale: int) -> int:
        """Four standard deviations of the widest Gaussian."""
        return math.ceil(4 * max(self.blur, default=0.0) * scale)

    def draw(self, rng: np.random.Generator) -> float:
        """A standard deviation, in coarse pixels."""
        return float(rng.choice(self.blur)) if self.blur else 0.0

    def apply(self, fine: torch.Tensor, scale: int, drawn: float | None = None) -> torch.Tensor:
        """The block means, after the blur if one is drawn."""
        margin = self.margin(scale)
        if drawn:
            return sampled(fine, _taps(drawn * scale, scale, margin), scale)
        inner = fine[..., margin:-margin, margin:-margin] if margin else fine
        return operators.get(self.kind).forward(inner, scale)


def _taps(sigma: float, scale: int, margin: int) -> torch.Tensor:
    """The weight of each pixel of a row in a block's mean, neighbours included: a Gaussian convolved with a box."""
    inside = places(scale, 0)
    apart = places(scale, margin)[:, None] - inside
    gaussian = torch.exp(-(apart**2) / (2 * sigma**2))
    return (gaussian / gaussian.sum(0)).sum(1)
