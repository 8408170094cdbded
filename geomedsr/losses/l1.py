"""Mean absolute difference."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class L1(Loss):
    """``mean |SR − HR|``: content; the optimum is the median of the likely images."""

    kind: Literal["l1"] = "l1"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all pixels."""
        return F.l1_loss(sample.sr, sample.hr)
