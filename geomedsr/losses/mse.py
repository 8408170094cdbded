"""Mean squared difference."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class MSE(Loss):
    """``mean (SR − HR)²``: content (SRGAN, arXiv:1609.04802, eq. 4); the optimum is the mean of the likely images."""

    kind: Literal["mse"] = "mse"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all pixels."""
        return F.mse_loss(sample.sr, sample.hr)
