"""The common structure of generators that work at low resolution and upsample at the end."""

from __future__ import annotations

import torch
from torch import nn

from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.network import Network
from geomedsr.models.receptive_field import radius
from geomedsr.scene.context import middle


class ResidualGenerator(Network):
    """Generator ``(B, frames · C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values.

    ``head``, then ``body`` with a skip around it, ``up`` to the fine grid, ``tail``; plus bicubic interpolation of the
    middle frame. Before training it is exactly bicubic, since the last convolution starts at zero.
    """

    def __init__(self, scale: int, head: nn.Module, body: nn.Module, up: nn.Module, tail: nn.Module) -> None:
        super().__init__()
        self.scale = scale
        self.head, self.body, self.up, self.tail = head, body, up, tail
        self.skip = BicubicSkip(scale)
        *_, last = (layer for layer in tail.modules() if isinstance(layer, nn.Conv2d))
        self.channels = last.out_channels
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in input pixels, at which an input pixel still affects an output pixel."""
        return max(radius([self.head, self.body, self.up, self.tail]), self.skip.radius)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Super-resolve a batch."""
        shallow = self.head(x.to(self._first.weight.dtype))
        detail: torch.Tensor = self.tail(self.up(shallow + self.body(shallow))).to(x.dtype)
        fine: torch.Tensor = detail + self.skip(middle(x, self.channels))
        return fine

    @property
    def _first(self) -> nn.Conv2d:
        return next(layer for layer in self.head.modules() if isinstance(layer, nn.Conv2d))
