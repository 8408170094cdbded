"""A separable filter that is sampled once per block, shared by all reductions with a kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def places(scale: int, margin: int) -> torch.Tensor:
    """Positions of a block's pixels and of ``margin`` pixels around it, from the block's centre; float64, in pixels."""
    length = scale + 2 * margin
    return torch.arange(length, dtype=torch.float64) - (length - 1) / 2


def sampled(fine: torch.Tensor, taps: torch.Tensor, scale: int) -> torch.Tensor:
    """``(B, C, s·H + 2·margin, s·W + 2·margin)`` to ``(B, C, H, W)``: weighted means with ``taps ⊗ taps``.

    ``taps`` are weights at :func:`places`; they are normalised to sum 1.
    """
    weights = (taps / taps.sum()).to(fine)
    channels = fine.shape[1]
    rows = F.conv2d(fine, weights.reshape(1, 1, -1, 1).repeat(channels, 1, 1, 1), stride=(scale, 1), groups=channels)
    return F.conv2d(rows, weights.reshape(1, 1, 1, -1).repeat(channels, 1, 1, 1), stride=(1, scale), groups=channels)
