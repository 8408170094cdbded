"""Antialiased bicubic reduction, as image software does it."""

from __future__ import annotations

from typing import Any, Literal

import torch

from geomedsr.degradations.degradation import Reduction
from geomedsr.degradations.separable import places, sampled

#: The free parameter of Keys' kernel: −½, as in Keys' paper, MATLAB and Pillow.
_A = -0.5


class Bicubic(Reduction):
    """A coarse pixel is a mean of fine ones, weighted with Keys' cubic kernel widened ``s`` times.

    Keys 1981 (IEEE TASSP 29(6), eq. 15) with a = −½: ``1.5 |x|³ − 2.5 |x|² + 1`` up to 1,
    ``−0.5 |x|³ + 2.5 |x|² − 4 |x| + 2`` up to 2, and 0 beyond, at ``x`` = distance from the block's centre / s.
    MATLAB's ``imresize`` and Pillow's ``resize`` reduce like this; torch's bicubic interpolation has a = −¾ and, by
    default, does not widen the kernel.
    """

    kind: Literal["bicubic"] = "bicubic"

    def margin(self, scale: int) -> int:
        """The kernel's support: it falls to 0 at a distance of 2 s from the block's centre."""
        return 3 * scale // 2

    def apply(self, fine: torch.Tensor, scale: int, drawn: Any = None) -> torch.Tensor:
        """The coarse image; its pixel centres are the centres of the blocks."""
        return sampled(fine, cubic(places(scale, self.margin(scale)) / scale), scale)


def cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' kernel at ``x``, any shape, float."""
    x = x.abs()
    near = (_A + 2) * x**3 - (_A + 3) * x**2 + 1
    far = _A * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
