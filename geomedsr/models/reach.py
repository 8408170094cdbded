"""The receptive radius of a convolutional network, from its layers."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def radius(layers: Iterable[nn.Module]) -> int:
    """Receptive radius, in input pixels, of convolutions applied one after the other at input resolution.

    Each adds ``dilation · (kernel − 1) / 2``; other layers here act on a pixel alone and add nothing.
    Containers are followed in order, so parallel branches must be given apart.
    """
    total = 0
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d):
                total += max(d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True))
    return total
