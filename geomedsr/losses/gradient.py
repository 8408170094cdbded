"""The gradient difference loss."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class Gradient(Loss):
    """``mean ||∂x SR| − |∂x HR|| + mean ||∂y SR| − |∂y HR||``, where ∂ is the difference of neighbours: sharpness.

    The gradient difference loss of Mathieu et al. 2016, arXiv:1511.05440, eq. 6, with α = 1 and means instead of sums.
    It ignores the level, and which side of an edge is brighter; combine it with a pixel loss.
    """

    kind: Literal["gradient"] = "gradient"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The sum of both directions, each a mean over its pairs of neighbours."""
        across, down = (F.l1_loss(sample.sr.diff(dim=dim).abs(), sample.hr.diff(dim=dim).abs()) for dim in (-1, -2))
        return across + down
