"""The block mean, an ideal detector; or one behind optics that blur."""

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
    """A coarse pixel is the mean of its ``s × s`` block: the operator of that name.

    ``blur`` are standard deviations of a Gaussian that acts on the fine image before, in coarse pixels; one is drawn,
    each as often as the others, 0 is none. Real detectors see a little of their neighbours: what a network gets from
    them is softer than block means. Results agree with the input by block means all the same.
    """

    kind: Literal["block-mean"] = "block-mean"
    blur: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> BlockMean:
        if not all(0 <= sigma <= 2 for sigma in self.blur):
            raise ValueError("blur needs numbers from 0 to 2, in coarse pixels")
        return self

    def margin(self, scale: int) -> int:
        """Four standard deviations of the widest."""
        return math.ceil(4 * max(self.blur, default=0.0) * scale)

    def draw(self, rng: np.random.Generator) -> float:
        """A standard deviation, in coarse pixels."""
        return float(rng.choice(self.blur)) if self.blur else 0.0

    def apply(self, fine: torch.Tensor, scale: int, drawn: float | None = None) -> torch.Tensor:
        """The means."""
        margin = self.margin(scale)
        if drawn:
            return sampled(fine, _taps(drawn * scale, scale, margin), scale)
        inner = fine[..., margin:-margin, margin:-margin] if margin else fine
        return operators.get(self.kind).forward(inner, scale)


def _taps(sigma: float, scale: int, margin: int) -> torch.Tensor:
    """What each pixel of a row, in a block and beside it, adds to the mean of the block: a Gaussian over a box."""
    inside = places(scale, 0)
    apart = places(scale, margin)[:, None] - inside
    gaussian = torch.exp(-(apart**2) / (2 * sigma**2))
    return (gaussian / gaussian.sum(0)).sum(1)
