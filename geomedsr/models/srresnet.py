"""``srresnet``: the generator of SRGAN, without its batch normalisation.

Ledig et al. 2017, arXiv:1609.04802, figure 4: a 9 × 9 convolution, residual blocks with PReLU, a convolution and a long
skip around them, sub-pixel convolutions, a 9 × 9 convolution. Two changes: there is no batch normalisation, whose
statistics would carry the training set's brightness over to other images (ESRGAN, arXiv:1809.00219, section 3.1); and
a bicubic skip runs around the whole network, as in all generators here.
"""

from __future__ import annotations

import torch
from torch import nn

from geomedsr.models.residual import ResidualGenerator
from geomedsr.models.upsampling import sub_pixel


class ResidualBlock(nn.Module):
    """Convolution, PReLU, convolution, added to the input; ``(B, width, H, W)`` in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        change: torch.Tensor = self.change(x)
        return x + change


class SRResNet(ResidualGenerator):
    """SRGAN's generator; s is 2, 3, 4 or 8. The paper has ``width`` 64 and ``blocks`` 16."""

    def __init__(self, scale: int, channels: int = 1, width: int = 64, blocks: int = 16, frames: int = 1) -> None:
        if width < 1 or blocks < 0:
            raise ValueError(f"width {width} must be at least 1 and blocks {blocks} at least 0")
        super().__init__(
            scale,
            head=nn.Sequential(nn.Conv2d(frames * channels, width, 9, padding=4), nn.PReLU()),
            body=nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1)),
            up=sub_pixel(width, scale),
            tail=nn.Conv2d(width, channels, 9, padding=4),
        )
