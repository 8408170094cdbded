"""What a discriminator may see instead of an image: its details, without the level that the input fixes anyway."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Wavelets(nn.Module):
    """A discriminator of stationary Haar wavelet details: ``(B, C, H, W)``, normalised values, to its logits.

    Of each channel and level it sees three details at every pixel, without subsampling: differences across, down and
    both. Level ``l`` compares means of ``2^(l − 1)`` pixels. Operators such as block means fix the rest of an image. So
    seen, no invented object passes for its brightness (Korkmaz, Tekalp and Doğan 2024, arXiv:2402.19215,
    with Haar for Symlets). ``discriminator`` takes ``3 · levels`` times the channels.
    """

    def __init__(self, discriminator: nn.Module, levels: int) -> None:
        super().__init__()
        self.discriminator, self.levels = discriminator, levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the discriminator says of the details."""
        found, smooth = [], x.float()  # small differences of large values; sums like these keep their type in autocast
        for level in range(self.levels):
            smooth, details = _level(smooth, 2**level)
            found += details
        logits: torch.Tensor = self.discriminator(torch.cat(found, 1))
        return logits


def _level(x: torch.Tensor, step: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The smooth part, and the details across, down and both; pixels ``step`` apart, the last ones repeated."""
    right = F.pad(x, (0, step, 0, 0), mode="replicate")
    low, high = (right[..., :-step] + right[..., step:]) / 2, right[..., :-step] - right[..., step:]
    parts = []
    for part in (low, high):
        below = F.pad(part, (0, 0, 0, step), mode="replicate")
        parts += [(below[..., :-step, :] + below[..., step:, :]) / 2, below[..., :-step, :] - below[..., step:, :]]
    return parts[0], parts[1:]
