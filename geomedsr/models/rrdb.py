"""``rrdb``: the generator of ESRGAN, residual-in-residual dense blocks.

Wang et al. 2018, arXiv:1809.00219, section 3.1 and figure 4: in a dense block each convolution sees the input and all
results before it; three dense blocks with a residual around them make one RRDB; every residual is scaled by β = 0.2.
Weights start at a tenth of He's initialisation, as in the paper's supplement. The bicubic skip around the network is
an addition.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.residual import ResidualGenerator
from geomedsr.models.upsampling import nearest

#: β: the scale of a residual.
RESIDUAL = 0.2


class DenseBlock(nn.Module):
    """Five convolutions, each on the input and all results before it; ``(B, width, H, W)`` in and out."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * 4 + [width]
        self.layers = nn.ModuleList(nn.Conv2d(width + i * growth, out, 3, padding=1) for i, out in enumerate(outputs))
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            with torch.no_grad():
                layer.weight.mul_(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        seen = x
        for layer in self.layers[:-1]:
            seen = torch.cat([seen, F.leaky_relu(layer(seen), 0.2)], 1)
        change: torch.Tensor = self.layers[-1](seen)
        return x + RESIDUAL * change


class RRDB(nn.Module):
    """Three dense blocks with a residual around them."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        change: torch.Tensor = self.blocks(x)
        return x + RESIDUAL * change


class RRDBNet(ResidualGenerator):
    """ESRGAN's generator; s is 2, 3, 4 or 8. The paper has ``width`` 64, ``growth`` 32 and ``blocks`` 23."""

    def __init__(
        self, scale: int, channels: int = 1, width: int = 64, growth: int = 32, blocks: int = 23, frames: int = 1
    ) -> None:
        if width < 1 or growth < 1 or blocks < 0:
            raise ValueError(f"width {width} and growth {growth} must be at least 1, and blocks {blocks} at least 0")
        super().__init__(
            scale,
            head=nn.Conv2d(frames * channels, width, 3, padding=1),
            body=nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1)),
            up=nearest(width, scale),
            tail=nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(width, channels, 3, padding=1)
            ),
        )
