"""What a generator's network is to those that run it: named images in, named images out, and what it can do, as data.

All networks are this one class's, those of other authors too, so that nobody asks which one it has.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.geometry import Factors
from geomedsr.models.ports import IMAGE, Shapes

#: Activations that are alive at once, as multiples of the widest layer's input and output; measured.
_ALIVE = 2.9

#: Side of the image that the layers are looked at with.
_LOOK = 16


def outputs_of(made: torch.Tensor | Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """What a network makes, by name: those that make the image alone give it by itself."""
    return {IMAGE: made} if isinstance(made, torch.Tensor) else made


def image_of(made: torch.Tensor | Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The image of what a network makes."""
    return outputs_of(made)[IMAGE]


class Network(nn.Module, ABC):
    """A generator ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values, fully convolutional.

    One that takes other inputs has them as keywords, ``(B, C, fy·H, fx·W)``; one that makes other outputs returns all
    of them by name. Where new frames are made between frames, its outputs are ``(B, C · ff, s·H, s·W)``, those of a
    band next to each other. One with several heads uses that for its ``factors``.

    Attributes:
        scale: how many times finer its output is in plane.
        frame_factor: how many frames it makes of one.
        receptive_radius: how many input pixels away a pixel can still change an output pixel's block. It is the halo
            that tiles are given.
        tiling: ``"exact"`` where that halo is all that the network sees; else, in words, what is done instead.
        trims: it leaves out, layer by layer, what only the halo's pixels need.
        precisions: those that it may run in.
        any_layout: its tensors may lie channels-last in memory.
        exports: it can be written as ONNX.
    """

    scale: int
    frame_factor: int = 1
    tiling: str = "exact"
    trims: bool = False
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    any_layout: bool = True
    exports: bool = True

    @property
    @abstractmethod
    def receptive_radius(self) -> int:
        """See the class's text."""

    def held(self, shapes: Shapes) -> float:
        """Numbers that it holds at once for each pixel of the image, with inputs of such shapes, at most."""
        return _ALIVE * _widest(self, shapes)

    @property
    def factors(self) -> Factors:
        """How many times finer its outputs are, along each axis."""
        return Factors(self.frame_factor, self.scale, self.scale)

    def chosen(self, factors: Factors) -> Self:
        """The same network, with the same weights, that uses its head for such factors."""
        other = copy.copy(self)  # its layers are this one's
        other.frame_factor, other.scale = factors.frame, factors.y
        return other

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Its outputs without the halo, as sub-pixel planes (:mod:`geomedsr.operators.sub_pixel`).

        Args:
            inputs: by name, ``(B, C, H + 2r, W + 2r)`` with a halo of ``receptive_radius`` pixels; those on a finer
                grid have as many times more.

        Returns:
            By name, ``(B, C, v, H, W)``.
        """
        others = {name: batch for name, batch in inputs.items() if name != IMAGE}
        return {name: self._split(fine) for name, fine in outputs_of(self(inputs[IMAGE], **others)).items()}

    def _split(self, fine: torch.Tensor) -> torch.Tensor:
        edge = self.receptive_radius * self.scale
        fine = fine[..., edge : fine.shape[-2] - edge, edge : fine.shape[-1] - edge]
        planes = F.pixel_unshuffle(fine, self.scale)
        return planes.reshape(len(fine), -1, self.factors.volume, *planes.shape[2:])


@lru_cache(maxsize=64)
def _widest(network: nn.Module, shapes: Shapes) -> float:
    """Numbers in the widest layer's input and output, for each pixel of the image: layers keep an image's shape."""
    most = 0

    def seen(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal most
        most = max(most, inputs[0].numel() + output.numel())

    hooks = [m.register_forward_hook(seen) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        with torch.inference_mode():
            given = {name: torch.zeros(1, count, _LOOK * y, _LOOK * x) for name, count, (y, x) in shapes}
            network(given.pop(IMAGE), **given)
    finally:
        for hook in hooks:
            hook.remove()
    return most / _LOOK**2
