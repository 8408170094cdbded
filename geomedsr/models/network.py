"""The interface of a generator's network: named images in, named images out, and its capabilities as data.

All networks, third-party ones included, are subclasses of one class, so that no caller needs to know which one it has.
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

#: Activations in memory at once, as a multiple of the widest layer's input and output; measured.
_ALIVE = 2.9

#: Side of the image with which the layers' sizes are found.
_LOOK = 16


def outputs_of(made: torch.Tensor | Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """A network's outputs by name; a network that makes only the image returns a bare tensor."""
    return {IMAGE: made} if isinstance(made, torch.Tensor) else made


def image_of(made: torch.Tensor | Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The image among a network's outputs."""
    return outputs_of(made)[IMAGE]


class Network(nn.Module, ABC):
    """A generator ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values, fully convolutional.

    Other inputs are keyword arguments, ``(B, C, fy·H, fx·W)``. A network with other outputs returns a mapping of all
    outputs by name. A network that makes new frames returns ``(B, C · ff, s·H, s·W)``, with the frames of one band next
    to each other. A network with several heads uses the one for its ``factors``.

    Attributes:
        scale: how many times finer its output is in plane.
        frame_factor: how many frames it makes from each.
        receptive_radius: the largest distance, in input pixels, at which an input pixel still affects an output pixel.
            Tiles get a halo of this width.
        tiling: ``"exact"`` if the network sees no farther than this halo; else a description of what is done instead.
        stride: tiles must begin at whole multiples of so many rows and columns, counted from where the operator's
            blocks begin.
        trims: each layer leaves out pixels of the halo that later layers do not need.
        precisions: the precisions that it may run in.
        any_layout: its tensors may be channels-last in memory.
        exports: it can be exported as ONNX.
        knows_profile: it is told how wide slices are (:meth:`through`).
    """

    scale: int
    frame_factor: int = 1
    tiling: str = "exact"
    stride: int = 1
    trims: bool = False
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    any_layout: bool = True
    exports: bool = True
    knows_profile: bool = False

    @property
    @abstractmethod
    def receptive_radius(self) -> int:
        """See the class docstring."""

    def held(self, shapes: Shapes) -> float:
        """The most numbers that it holds in memory at once, per pixel of the image, for inputs of these shapes."""
        return _ALIVE * _widest(self, shapes)

    @property
    def factors(self) -> Factors:
        """How many times finer its outputs are, along each axis."""
        return Factors(self.frame_factor, self.scale, self.scale)

    def chosen(self, factors: Factors) -> Self:
        """The same network, with the same weights, that uses its head for these factors."""
        other = copy.copy(self)  # a shallow copy shares the layers
        other.frame_factor, other.scale = factors.frame, factors.y
        return other

    def through(self, profile: float) -> Self:
        """The same network for slices of a profile, a multiple of their distance, 0 a box; most do not ask."""
        return self

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Its outputs without the halo, as sub-pixel planes (:mod:`geomedsr.operators.sub_pixel`).

        Args:
            inputs: by name, ``(B, C, H + 2r, W + 2r)`` with a halo of ``receptive_radius`` pixels; rows and columns of
                inputs on a finer grid are multiplied by their factors.

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
    """Numbers in the widest layer's input and output, per pixel of the image; found by running the network once."""
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
