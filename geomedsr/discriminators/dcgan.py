"""``dcgan``: a discriminator by the DCGAN guidelines: strided convolutions, and only the last layer dense.

Radford et al. 2016, arXiv:1511.06434: section 3 (strides instead of pooling, batch normalisation except on the input
layer, LeakyReLU(0.2), no hidden dense layers) and section 4 (weights from N(0, 0.02²)). The layers mirror the generator
of figure 1: four 5 × 5 convolutions of stride 2 with 128 to 1024 channels, which reduce 64 × 64 pixels to 4 × 4; other
sizes are averaged to that. It returns logits; the sigmoid is in the losses.
"""

from __future__ import annotations

import torch
from torch import nn


class DCGANDiscriminator(nn.Module):
    """``(B, C, H, W)``, normalised values, to logits ``(B, 1)``.

    ``width``: channels of the first layer, 128 in the paper. ``batch_norm`` 0 turns batch normalisation off, for losses
    that do not allow it.
    """

    def __init__(self, channels: int = 1, width: int = 128, batch_norm: int = 1) -> None:
        super().__init__()
        if width < 1 or batch_norm not in (0, 1):
            raise ValueError(f"width {width} must be at least 1, batch_norm {batch_norm} 0 or 1")
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 5, 2, padding=2), nn.LeakyReLU(0.2)]
        for factor in (1, 2, 4):
            before, after = width * factor, width * factor * 2
            layers.append(nn.Conv2d(before, after, 5, 2, padding=2, bias=not batch_norm))
            layers += [nn.BatchNorm2d(after)] if batch_norm else []
            layers.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*layers)
        self.score = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(width * 8 * 16, 1))
        self.apply(small)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, one for each image."""
        logits: torch.Tensor = self.score(self.features(x))
        return logits


def small(layer: nn.Module) -> None:
    """Initialise a layer as in DCGAN: weights N(0, 0.02²), zero bias. Batch normalisation keeps torch's defaults."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
