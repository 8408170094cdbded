"""Cubic interpolation as a model: what every generator adds its details to, by itself."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from geomedsr._version import __version__
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.network import Network
from geomedsr.models.ports import Shapes
from geomedsr.models.store import ARCHITECTURES, Model

#: What cards call the architecture, and the model.
NAME = "bicubic"


class Bicubic(Network):
    """``(B, C, H, W)`` → ``(B, C, s·H, s·W)`` by area-aligned cubic convolution (Keys 1981); it has no weights."""

    receptive_radius = BicubicSkip.radius
    precisions = ("float32",)

    def __init__(self, scale: int, channels: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.skip = BicubicSkip(scale)

    def held(self, shapes: Shapes) -> float:
        """Two images of the result's size."""
        return float(2 * sum(count for _, count, _ in shapes) * self.scale**2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class's text."""
        made: torch.Tensor = self.skip(image)
        return made


ARCHITECTURES.register(NAME, Bicubic)


class _BicubicModel(Model):
    """Made anew in each process, since no file holds it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bicubic_model, (self.descriptor.scale, self.descriptor.domain)


def bicubic_model(scale: int, domain: str = "satellite") -> Model:
    """Cubic interpolation that keeps block means, for any scene."""
    card = Descriptor(
        name=NAME,
        version=__version__,
        architecture=NAME,
        scale=scale,
        domain=domain,
        value_range=(1.0, 99.0),
        description="Cubic convolution (Keys 1981), without weights.",
    )
    digest = hashlib.sha256(f"{NAME} {scale}".encode()).hexdigest()
    return _BicubicModel(card, Bicubic(scale).eval(), digest, path="")
