"""A loss on artifacts of adversarial training, which differ from details in the local variance of errors."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample

#: Side of the windows for local variance, and the root that is taken of an image's global variance.
_SIDE, _ROOT = 7, 5


class LDL(Loss):
    """``mean (M · |HR − SR|)``: errors are weighted by how much they look like artifacts.

    ``M = var(R)^(1/5) · var₇(R)``, where R is ``|HR − SR|`` summed over channels, var₇ its variance in windows of
    7 × 7 pixels, and var its variance over the whole image. M is 0 at pixels where the generator's EMA has the larger
    error, since training improves there. Locally discriminative learning: Liang, Zeng and Zhang 2022,
    arXiv:2203.09195, section 3.
    """

    kind: Literal["ldl"] = "ldl"
    wants_average: ClassVar[bool] = True

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over pixels and channels; no gradient flows through M."""
        assert sample.average is not None
        error = sample.hr - sample.sr
        with torch.no_grad():
            own, slow = ((sample.hr - made).abs().sum(1, keepdim=True) for made in (sample.sr, sample.average))
            whole = own.var((-3, -2, -1), keepdim=True) ** (1 / _ROOT)
            weight = torch.where(own < slow, 0, whole * _local_variance(own))
        return (weight * error).abs().mean()


def _local_variance(x: torch.Tensor) -> torch.Tensor:
    """The unbiased variance in the window around each pixel; the image is reflected at its edges."""
    padded = F.pad(x, [_SIDE // 2] * 4, mode="reflect")
    windows = padded.unfold(-2, _SIDE, 1).unfold(-2, _SIDE, 1)
    return windows.var((-2, -1))
