"""The Charbonnier loss: a smooth absolute difference."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from geomedsr.losses.loss import Loss, Sample


class Charbonnier(Loss):
    """``mean √((SR − HR)² + ε²)``: content; like L1 for differences above ε (normalised values), like MSE below.

    Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553; LapSRN, arXiv:1704.03915, with ε = 0.001.
    """

    kind: Literal["charbonnier"] = "charbonnier"
    epsilon: float = Field(default=1e-3, ge=1e-6)

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all pixels."""
        return ((sample.sr - sample.hr).square() + self.epsilon**2).sqrt().mean()
