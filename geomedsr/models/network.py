"""What a generator's network is to those that run it: named images in, named images out, and what it can do, as data.

All networks are this one class's, those of other authors too, so that nobody asks which one it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

#: The input and the output that every network has.
IMAGE = "image"

#: Activations that are alive at once, as multiples of the widest layer's input and output; measured.
_ALIVE = 2.9

#: Side of the image that the layers are looked at with.
_LOOK = 16


class Network(nn.Module):
    """A generator ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values, fully convolutional.

    Attributes:
        scale: how many times finer its output is.
        receptive_radius: how many input pixels away a pixel can still change an output pixel's block. It is the halo
            that tiles are given.
        tiling: ``"exact"`` where that halo is all that the network sees; else, in words, what is done instead.
        trims: it leaves out, layer by layer, what only the halo's pixels need.
        precisions: those that it may run in.
        any_layout: its tensors may lie channels-last in memory.
        exports: it can be written as ONNX.
    """

    scale: int
    tiling: str = "exact"
    trims: bool = False
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    any_layout: bool = True
    exports: bool = True

    @property
    def receptive_radius(self) -> int:
        """See the class's text."""
        raise NotImplementedError

    def held(self, channels: int) -> float:
        """Numbers that it holds at once for each pixel of an input of so many channels, at most."""
        return _ALIVE * _widest(self, channels)

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Its outputs without the halo, as sub-pixel planes (:mod:`geomedsr.operators.phases`).

        Args:
            inputs: by name, ``(B, C, H + 2r, W + 2r)`` with a halo of ``receptive_radius`` pixels.

        Returns:
            By name, ``(B, C, s², H, W)``.
        """
        made = self(inputs[IMAGE])
        edge = self.receptive_radius * self.scale
        made = made[..., edge : made.shape[-2] - edge, edge : made.shape[-1] - edge]
        planes = F.pixel_unshuffle(made, self.scale)
        return {IMAGE: planes.reshape(*made.shape[:2], self.scale**2, *planes.shape[2:])}


@lru_cache(maxsize=64)
def _widest(network: nn.Module, channels: int) -> float:
    """Numbers in the widest layer's input and output, for each pixel of an image: layers keep an image's shape."""
    most = 0

    def seen(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal most
        most = max(most, inputs[0].numel() + output.numel())

    hooks = [m.register_forward_hook(seen) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, channels, _LOOK, _LOOK))
    finally:
        for hook in hooks:
            hook.remove()
    return most / _LOOK**2
