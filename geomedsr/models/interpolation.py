"""Bicubic interpolation as a convolution at low resolution: the skip around every generator."""

from __future__ import annotations

from math import isqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.scene.sources import Array


def keys_cubic(distance: Array, a: float = -0.5) -> Array:
    """Keys' cubic convolution kernel (Keys 1981, eq. 15); ``a = −0.5`` is exact for quadratics."""
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


class BicubicSkip(nn.Module):
    """Area-aligned bicubic upsampling ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``, shift-invariant on the input's grid.

    The ``s²`` sub-pixel planes are the output channels of one fixed 5 × 5 convolution, followed by PixelShuffle. Unlike
    ``interpolate``, it uses no floating-point positions, so a pixel's value does not depend on where its
    window begins. Edge pixels are repeated beyond the edge.
    """

    radius = 2

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        offsets = (np.arange(scale) + 0.5) / scale - 0.5  # from the coarse centre to the fine ones
        taps = keys_cubic(np.arange(-2, 3)[None, :] - offsets[:, None])  # (s, 5)
        kernel = np.einsum("iy,jx->ijyx", taps, taps).reshape(scale * scale, 1, 5, 5)
        self.kernel: torch.Tensor
        self.register_buffer("kernel", torch.tensor(kernel, dtype=torch.float32), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` float to ``(B, C, s·H, s·W)``."""
        return merged(self.subpixels(F.pad(x, (self.radius,) * 4, mode="replicate")))

    def subpixels(self, x: torch.Tensor) -> torch.Tensor:
        """The sub-pixel planes, without padding: ``(B, C, H + 4, W + 4)`` to ``(B, C, s², H, W)``."""
        batch, channels, height, width = x.shape
        planes = F.conv2d(x.reshape(-1, 1, height, width), self.kernel.to(x.dtype))
        return planes.reshape(batch, channels, *planes.shape[1:])


def merged(subpixels: torch.Tensor) -> torch.Tensor:
    """PixelShuffle: ``(B, C, s², H, W)`` to ``(B, C, s·H, s·W)``."""
    batch, channels, count, height, width = subpixels.shape
    fine: torch.Tensor = F.pixel_shuffle(subpixels.reshape(batch, channels * count, height, width), isqrt(count))
    return fine
