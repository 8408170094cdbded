"""Mean square error in decibels: what PSNR measures."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from geomedsr.losses.loss import Loss, Sample


class LogMSE(Loss):
    """``mean 10 · log₁₀(MSE + ε)``, MSE that of each image after projection: the PSNR lost, in dB.

    Chen et al. 2021, "HINet", arXiv:2105.06086, section 3.3. Calm images teach as much as those full of edges, which
    lead in ``mse``. ``floor`` is ε, on the value scale squared: images with less error than that hardly count.
    """

    kind: Literal["log-mse"] = "log-mse"
    floor: float = Field(default=1e-5, gt=0)

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over images."""
        error = (sample.sr - sample.hr).square().mean((1, 2, 3))
        return 10 * (error + self.floor).log10().mean()
