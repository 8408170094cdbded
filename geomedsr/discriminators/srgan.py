"""``srgan``: SRGAN's discriminator, a VGG-like classifier of whole patches.

Ledig et al. 2017, arXiv:1609.04802, figure 4: eight 3 × 3 convolutions of 64 to 512 channels, every second one of
stride 2, with batch normalisation and LeakyReLU(0.2), then two dense layers. It returns logits; the sigmoid is in the
losses. The paper's patches of 96 × 96 pixels become 6 × 6 before the dense layers; other sizes are averaged to that.
"""

from __future__ import annotations

import torch
from torch import nn


class SRGANDiscriminator(nn.Module):
    """``(B, C, H, W)``, normalised values, to logits ``(B, 1)``. ``width`` is 64 in the paper, ``dense`` 1024."""

    def __init__(self, channels: int = 1, width: int = 64, dense: int = 1024) -> None:
        super().__init__()
        if width < 1 or dense < 1:
            raise ValueError(f"width {width} and dense {dense} must be at least 1")
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        before = width
        for factor, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            layers += [
                nn.Conv2d(before, width * factor, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(width * factor),
                nn.LeakyReLU(0.2),
            ]
            before = width * factor
        self.features = nn.Sequential(*layers)
        self.score = nn.Sequential(
            nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(before * 36, dense), nn.LeakyReLU(0.2), nn.Linear(dense, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, one for each image."""
        logits: torch.Tensor = self.score(self.features(x))
        return logits
