"""``srresnet``: the generator of SRGAN, without its batch normalisation.

Ledig et al. 2017, arXiv:1609.04802, figure 4: a 9 × 9 convolution, residual blocks with PReLU, a convolution and a long
skip around them, sub-pixel convolutions, a 9 × 9 convolution. Two changes: no batch normalisation, whose statistics
would carry one training set's brightness into every other (ESRGAN, arXiv:1809.00219, section 3.1), and a bicubic skip
around the whole, as all our generators have.
"""

from __future__ import annotations

import torch
from torch import nn

from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.reach import radius
from geomedsr.models.upsampling import sub_pixel


class ResidualBlock(nn.Module):
    """Convolution, PReLU, convolution, added to the input; ``(B, width, H, W)`` to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        change: torch.Tensor = self.change(x)
        return x + change


class SRResNet(nn.Module):
    """Generator ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values; s is 2, 3, 4 or 8.

    The paper has ``width`` 64 and ``blocks`` 16. A new one is exactly bicubic, since its last convolution
    starts at zero.
    """

    def __init__(self, scale: int, channels: int = 1, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        if width < 1 or blocks < 0:
            raise ValueError(f"width {width} must be at least 1 and blocks {blocks} at least 0")
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1))
        self.up = sub_pixel(width, scale)
        self.tail = nn.Conv2d(width, channels, 9, padding=4)
        self.skip = BicubicSkip(scale)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    @property
    def receptive_radius(self) -> int:
        """How many input pixels away a pixel can still change an output pixel's block."""
        return max(radius([self.head, self.body, self.up, self.tail]), self.skip.reach)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Super-resolve a batch."""
        shallow = self.head(x)
        fine: torch.Tensor = self.tail(self.up(shallow + self.body(shallow))) + self.skip(x)
        return fine
