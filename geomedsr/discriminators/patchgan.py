"""``patchgan``: pix2pix's discriminator, which classifies each of many overlapping patches.

Isola et al. 2017, arXiv:1611.07004, section 3.2.2 and appendix 6.1.2: C64-C128-C256-C512, 4 × 4 convolutions, the first
``layers`` of stride 2, with batch normalisation on all but the first and the last, and LeakyReLU(0.2); weights from
N(0, 0.02²). The receptive field of a logit is 70 × 70 pixels with 3 layers; 16, 34, 142 and 286 with 1, 2, 4 and 5. In
the paper it also sees the input; here, as all discriminators, it sees the image alone.
"""

from __future__ import annotations

import torch
from torch import nn

from geomedsr.discriminators.dcgan import small


class PatchGANDiscriminator(nn.Module):
    """``(B, C, H, W)``, normalised values, to logits ``(B, 1, h, w)``; h is ``H / 2^layers − 2``, rounded down.

    ``width``: channels of the first layer, 64 in the paper; they double up to eight times that. ``batch_norm`` 0 turns
    batch normalisation off, for losses that do not allow it.
    """

    def __init__(self, channels: int = 1, width: int = 64, layers: int = 3, batch_norm: int = 1) -> None:
        super().__init__()
        if width < 1 or layers < 1 or batch_norm not in (0, 1):
            raise ValueError(f"width {width} and layers {layers} must be at least 1, batch_norm {batch_norm} 0 or 1")
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, padding=1), nn.LeakyReLU(0.2)]
        before = width
        for index in range(1, layers + 1):
            after = width * min(2**index, 8)
            stride = 2 if index < layers else 1
            parts.append(nn.Conv2d(before, after, 4, stride, padding=1, bias=not batch_norm))
            parts += [nn.BatchNorm2d(after)] if batch_norm else []
            parts.append(nn.LeakyReLU(0.2))
            before = after
        self.layers = nn.Sequential(*parts, nn.Conv2d(before, 1, 4, 1, padding=1))
        self.apply(small)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, one for each patch."""
        logits: torch.Tensor = self.layers(x)
        return logits
