"""Artifacts of adversarial training, found where errors vary strongly, and separated from details."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample

#: Side of the windows that local variance is taken of, and the root that an image's own is taken to.
_SIDE, _ROOT = 7, 5


class LDL(Loss):
    """``mean (M · |HR − SR|)``: errors weigh where they look like artifacts.

    ``M = var(R)^(1/5) · var₇(R)``, with R = HR − SR summed over channels as absolutes, var₇ its variance in windows of
    7 × 7 pixels, and var that of the whole image; 0 where the moving average of the generator is further off than the
    generator itself, since there training improves. Locally discriminative learning: Liang, Zeng and Zhang 2022,
    arXiv:2203.09195, section 3.
    """

    kind: Literal["ldl"] = "ldl"
    wants_average: ClassVar[bool] = True

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over pixels and channels; M is held fixed."""
        assert sample.average is not None
        error = sample.hr - sample.sr
        with torch.no_grad():
            own, slow = ((sample.hr - made).abs().sum(1, keepdim=True) for made in (sample.sr, sample.average))
            whole = own.var((-3, -2, -1), keepdim=True) ** (1 / _ROOT)
            weight = torch.where(own < slow, 0, whole * _local_variance(own))
        return (weight * error).abs().mean()


def _local_variance(x: torch.Tensor) -> torch.Tensor:
    """The unbiased variance in the window about each pixel, the image reflected at its edges."""
    padded = F.pad(x, [_SIDE // 2] * 4, mode="reflect")
    windows = padded.unfold(-2, _SIDE, 1).unfold(-2, _SIDE, 1)
    return windows.var((-2, -1))
