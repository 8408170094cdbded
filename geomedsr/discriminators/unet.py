"""``unet``: Real-ESRGAN's discriminator, a U-Net with spectral normalisation that classifies every pixel.

Wang et al. 2021, arXiv:2107.10833, section 3.4: three steps down and three up with skips between them; spectral
normalisation (Miyato et al. 2018, arXiv:1802.05957) bounds each layer's gain, which stabilises training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def _convolution(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, kernel, stride, padding=1, bias=False))


class UNetDiscriminator(nn.Module):
    """``(B, C, H, W)``, normalised values, to logits ``(B, 1, H, W)``. ``width`` is 64 in the paper."""

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width {width} must be at least 1")
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(_convolution(width * f, width * f * 2, 4, 2) for f in (1, 2, 4))
        self.up = nn.ModuleList(_convolution(width * f * 2, width * f) for f in (4, 2, 1))
        self.tail = nn.ModuleList((_convolution(width, width), _convolution(width, width)))
        self.score = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, one for each pixel."""
        x = F.leaky_relu(self.head(x), 0.2)
        passed = []
        for layer in self.down:
            passed.append(x)
            x = F.leaky_relu(layer(x), 0.2)
        for layer, skip in zip(self.up, reversed(passed), strict=True):
            x = F.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
            x = F.leaky_relu(layer(x), 0.2) + skip
        for layer in self.tail:
            x = F.leaky_relu(layer(x), 0.2)
        logits: torch.Tensor = self.score(x)
        return logits
