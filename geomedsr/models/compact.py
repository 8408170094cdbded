"""``compact``: a small residual generator, the fast default.

After EDSR (Lim et al. 2017, arXiv:1707.02921): residual blocks without normalisation, one long skip around
them, and sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158) at the end. Another skip around the whole
network adds bicubic interpolation, so that the network learns only what bicubic lacks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.half_width import PORT, HalfWidthHead
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.network import Network
from geomedsr.models.ports import IMAGE
from geomedsr.models.receptive_field import radius
from geomedsr.scene.context import middle

#: Rows that are added at once, so that they stay in a core's cache.
_ROWS = 16


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input; ``(B, width, H, W)`` in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        change: torch.Tensor = self.second(F.relu(self.first(x)))
        return x + change

    def trimmed(self, x: torch.Tensor) -> torch.Tensor:
        """The same without padding: the result is two pixels smaller on each side."""
        return unpadded(self.second, unpadded(self.first, x).relu_()).add_(cropped(x, 2))


def begin_as_skip(body: nn.ModuleList, tail: nn.Conv2d) -> None:
    """Let a network begin as its skip: the tail gives zero, and blocks of the body change little."""
    for block in body:
        assert isinstance(block, ResidualBlock)
        with torch.no_grad():  # keep the sum of many blocks close to the input in magnitude
            block.second.weight.mul_(0.1)
    nn.init.zeros_(tail.weight)
    nn.init.zeros_(tail.bias)  # type: ignore[arg-type]


def unpadded(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A layer's convolution without padding."""
    return F.conv2d(x, layer.weight, layer.bias)


def cropped(x: torch.Tensor, margin: int) -> torch.Tensor:
    """An image without so many pixels on each side."""
    return x[..., margin:-margin, margin:-margin] if margin else x


class Compact(Network):
    """Generator ``(B, frames · C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values.

    Before training it is exactly bicubic interpolation of the middle frame: its last convolution starts at zero.
    """

    trims = True

    #: What makes half-widths of its features, too; None where only the image is made.
    half_width: HalfWidthHead | None

    def __init__(self, scale: int, channels: int = 1, width: int = 48, blocks: int = 8, frames: int = 1) -> None:
        super().__init__()
        if width < 1 or blocks < 0:
            raise ValueError(f"width {width} must be at least 1 and blocks {blocks} at least 0")
        self.scale, self.channels = scale, channels
        self.head = nn.Conv2d(frames * channels, width, 3, padding=1)
        self.body = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.tail = nn.Conv2d(width, channels * scale * scale, 3, padding=1)
        self.skip = BicubicSkip(scale)
        self.half_width = None
        begin_as_skip(self.body, self.tail)

    def head_of_half_widths(self, hidden: int) -> HalfWidthHead:
        """A new head that fits its features; see :func:`geomedsr.models.half_width.attached`."""
        return HalfWidthHead(self.tail.in_channels, self.tail.out_channels, hidden)

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in input pixels, at which an input pixel still affects an output pixel."""
        return max(radius([self.head, *self.body, self.tail]), self.skip.radius)

    def forward(self, x: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        """Super-resolve a batch; with a head of half-widths, both by name."""
        features = self.features(x)
        detail = F.pixel_shuffle(self.tail(features), self.scale)
        fine: torch.Tensor = detail.to(x.dtype) + self.skip(middle(x, self.channels))
        if self.half_width is None:
            return fine
        return {IMAGE: fine, PORT.name: F.pixel_shuffle(self.half_width(features), self.scale)}

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the last layer sees, ``(B, width, H, W)``."""
        shallow: torch.Tensor = self.head(x.to(self.head.weight.dtype))
        deep = shallow
        for block in self.body:
            deep = block(deep)
        return deep + shallow

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The output as sub-pixel planes, for inference.

        Layers use no padding, so that each computes only the pixels of the halo that later layers still need. On tiles
        that saves half of the halo's cost. Layers work in place.
        """
        x = inputs[IMAGE]
        shallow = unpadded(self.head, x.to(self.head.weight.dtype))
        deep = shallow
        for block in self.body:
            assert isinstance(block, ResidualBlock)
            deep = block.trimmed(deep)
        features = deep + cropped(shallow, 2 * len(self.body))
        detail = unpadded(self.tail, features)
        inner = cropped(middle(x, self.channels), self.receptive_radius - self.skip.radius)
        made = {IMAGE: _added(self.skip.subpixels(inner), detail)}
        if self.half_width is not None:
            made[PORT.name] = self.half_width.trimmed(features).reshape(made[IMAGE].shape)
        return made


def _added(subpixels: torch.Tensor, detail: torch.Tensor) -> torch.Tensor:
    """Add ``detail`` in place; on CPUs some rows at a time, since ``detail`` may be channels-last."""
    detail = detail.reshape(subpixels.shape)
    height = subpixels.shape[-2]
    step = height if subpixels.is_cuda else _ROWS
    for row in range(0, height, step):
        rows = slice(row, row + step)
        subpixels[..., rows, :] += detail[..., rows, :]
    return subpixels
