"""Wavelet details as a discriminator's input: the image without its local means, which the input fixes anyway."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Wavelets(nn.Module):
    """A discriminator of stationary Haar wavelet details: ``(B, C, H, W)``, normalised values, to its logits.

    For each channel and level it sees three details at every pixel, without subsampling: horizontal, vertical and
    diagonal differences. Level ``l`` compares means of ``2^(l − 1)`` pixels. Operators such as block means fix the rest
    of an image. The discriminator thus cannot accept invented objects for their brightness (Korkmaz, Tekalp and Doğan
    2024, arXiv:2402.19215, with Haar instead of Symlets). ``discriminator`` takes ``3 · levels`` times the channels.
    """

    def __init__(self, discriminator: nn.Module, levels: int) -> None:
        super().__init__()
        self.discriminator, self.levels = discriminator, levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The discriminator's logits for the details."""
        found, smooth = [], x.float()  # small differences of large values need float32; autocast keeps it for sums
        for level in range(self.levels):
            smooth, details = _level(smooth, 2**level)
            found += details
        logits: torch.Tensor = self.discriminator(torch.cat(found, 1))
        return logits


def _level(x: torch.Tensor, step: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The smooth part, and horizontal, vertical and diagonal details of pixels ``step`` apart; edges are repeated."""
    right = F.pad(x, (0, step, 0, 0), mode="replicate")
    low, high = (right[..., :-step] + right[..., step:]) / 2, right[..., :-step] - right[..., step:]
    parts = []
    for part in (low, high):
        below = F.pad(part, (0, 0, 0, step), mode="replicate")
        parts += [(below[..., :-step, :] + below[..., step:, :]) / 2, below[..., :-step, :] - below[..., step:, :]]
    return parts[0], parts[1:]
