"""Agreement of the unprojected prediction with the input, which the other losses cannot see."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class Consistency(Loss):
    """``mean (D(prediction) − LR)²``, where D is the observation operator.

    The other losses see the prediction after projection. Without this loss, the part that projection replaces drifts
    away (docs/decisions/0006). If the operator acts on whole frames or does not constrain results, nothing is
    projected, and this loss is 0.
    """

    kind: Literal["consistency"] = "consistency"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all coarse pixels."""
        if sample.operator.whole_frames or not sample.operator.constrains:
            return sample.prediction.new_zeros(())
        return F.mse_loss(sample.operator.forward(sample.prediction, sample.scale), sample.coarse)
