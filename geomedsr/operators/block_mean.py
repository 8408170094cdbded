"""The block mean: a coarse pixel is the mean of the ``s × s`` fine pixels it covers."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from geomedsr.operators.conserve import conserve
from geomedsr.operators.operator import Observation, Operator
from geomedsr.sources import Array


class BlockMean(Operator):
    """``forward(x)[i, j]`` = mean of the block; kept exactly on stored values (:mod:`geomedsr.operators.conserve`)."""

    name = "block-mean"
    reduction = "block-mean"
    held = 8

    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """Float tensor ``(B, C, s·H, s·W)`` to ``(B, C, H, W)``."""
        return F.avg_pool2d(fine, scale)

    def project(self, fine: torch.Tensor, coarse: torch.Tensor, scale: int) -> torch.Tensor:
        """The image nearest to ``fine`` (least squares) whose block means are ``coarse``.

        ``fine`` is ``(B, C, s·H, s·W)``, ``coarse`` ``(B, C, H, W)``; the deviations of each block from its
        own mean are kept, the mean is replaced.
        """
        return fine + F.interpolate(coarse - self.forward(fine, scale), scale_factor=scale, mode="nearest")

    def agree(self, seen: Observation, planes: Array, out: Array) -> None:
        """Block means bit for bit in integers, within one ulp in floats."""
        conserve(seen.stored, planes, seen.factors, seen.span, seen.nodata, seen.limits, out)
