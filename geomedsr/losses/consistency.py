"""Agreement with the input, which projection hides from every other loss."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class Consistency(Loss):
    """``mean (D(prediction) − LR)²``, D being the observation operator.

    The other losses see the prediction after projection. Without this one, the part that projection replaces drifts
    away (docs/decisions/0006). Where the operator acts on whole frames, or is none, nothing is projected, and this is
    0.
    """

    kind: Literal["consistency"] = "consistency"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all coarse pixels."""
        if sample.operator.whole_frames or not sample.operator.constrains:
            return sample.prediction.new_zeros(())
        return F.mse_loss(sample.operator.forward(sample.prediction, sample.scale), sample.coarse)
