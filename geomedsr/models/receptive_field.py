"""The receptive radius of a convolutional network, from its layers."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def radius(layers: Iterable[nn.Module]) -> int:
    """Receptive radius, in input pixels, of layers applied one after the other.

    It is the largest distance between two input pixels of which one affects the output pixels that the other covers.
    Layers are followed from the output back to the input. A convolution adds ``dilation · (kernel − 1) / 2`` pixels on
    the grid that it acts on. ``PixelShuffle`` and nearest-neighbour ``Upsample`` map a fine pixel to the coarse one
    that covers it. Other layers here act on single pixels. Containers are followed in order, so parallel branches must
    be passed separately.
    """
    chain = [module for layer in layers for module in layer.modules()]
    factors = [factor for module in chain if (factor := _factor(module)) > 1]
    first, last = 0, 1  # the pixels that one input pixel covers, half-open
    for factor in factors:
        last *= factor
    for module in reversed(chain):
        if isinstance(module, nn.Conv2d):
            half = max(d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True))
            first, last = first - half, last + half
        elif (factor := _factor(module)) > 1:
            first, last = first // factor, -(-last // factor)
    return max(-first, last - 1)


def _factor(module: nn.Module) -> int:
    if isinstance(module, nn.PixelShuffle):
        return module.upscale_factor
    if isinstance(module, nn.Upsample):
        assert module.mode == "nearest"
        assert isinstance(module.scale_factor, float)
        return int(module.scale_factor)
    return 1
