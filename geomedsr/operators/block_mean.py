"""The block mean: a coarse pixel is the mean of the ``s × s`` fine pixels it covers.

For the float images of training, ``down`` and ``project`` act on tensors. For the output of inference,
:mod:`geomedsr.operators.conserve` does the same to stored values, exactly.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F


class BlockMean:
    """``down(x)[i, j]`` = mean of the block."""

    name = "block-mean"
    reach: Literal["block", "frame"] = "block"

    def down(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """Float tensor ``(B, C, s·H, s·W)`` to ``(B, C, H, W)``."""
        return F.avg_pool2d(fine, scale)

    def project(self, fine: torch.Tensor, coarse: torch.Tensor, scale: int) -> torch.Tensor:
        """The image nearest to ``fine`` (least squares) whose block means are ``coarse``.

        ``fine`` is ``(B, C, s·H, s·W)``, ``coarse`` ``(B, C, H, W)``; the deviations of each block from its
        own mean are kept, the mean is replaced.
        """
        return fine + F.interpolate(coarse - self.down(fine, scale), scale_factor=scale, mode="nearest")
