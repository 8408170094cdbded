"""Mean squared error in decibels, as PSNR measures it."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from geomedsr.losses.loss import Loss, Sample


class LogMSE(Loss):
    """``mean 10 · log₁₀(MSE + ε)`` in dB, with the MSE of each image after projection.

    Chen et al. 2021, "HINet", arXiv:2105.06086, section 3.3. Smooth images have as much weight as images full of edges,
    which dominate in ``mse``. ``floor`` is ε, on the value scale squared: images with a smaller MSE hardly count.
    """

    kind: Literal["log-mse"] = "log-mse"
    floor: float = Field(default=1e-5, gt=0)

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over images."""
        error = (sample.sr - sample.hr).square().mean((1, 2, 3))
        return 10 * (error + self.floor).log10().mean()
