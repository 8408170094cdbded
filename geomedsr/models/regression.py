"""``guided-regression``: each band as a weighted sum of a guide's bands, and what that leaves interpolated.

Area-to-point regression (Wang, Shi and Atkinson 2016, "Area-to-point regression kriging for pan-sharpening", ISPRS J.
114; Wang et al. 2016, "Fusion of Sentinel-2 images", Remote Sens. Environ. 187), with bicubic interpolation in place of
kriging. It is a network of one layer, whose weights are least squares of one scene: no training makes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.descriptor import Descriptor
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.models.network import Network
from geomedsr.models.ports import Ports, Shapes
from geomedsr.models.store import ARCHITECTURES, Model, build

#: What cards call the architecture.
NAME = "guided-regression"


class GuidedRegression(Network):
    """``(B, C, H, W)`` and a guide ``(B, G, s·H, s·W)`` → ``(B, C, s·H, s·W)``, float32, normalised values.

    ``weights`` are ``(C, G)``, ``offsets`` ``(C,)``: the sum of the guide's bands, brought down by block means, is what
    they explain of the image; what they leave is interpolated, and added to the sum of the guide as it is.
    """

    precisions = ("float32",)
    exports = False

    def __init__(self, scale: int, channels: int, ports: Ports) -> None:
        super().__init__()
        (guide,) = ports.inputs
        self.scale = scale
        self.weights = nn.Parameter(torch.zeros(channels, len(guide.bands)))
        self.offsets = nn.Parameter(torch.zeros(channels))
        self.skip = BicubicSkip(scale)

    @property
    def receptive_radius(self) -> int:
        """The interpolation's."""
        return BicubicSkip.radius

    def held(self, shapes: Shapes) -> float:
        """The guide, two images of the result's size, and their sum."""
        return float(sum(count * y * x for _, count, (y, x) in shapes) + 3 * len(self.weights) * self.scale**2)

    def forward(self, image: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        """See the class's text."""
        left: torch.Tensor = self.skip(image - self._sum(F.avg_pool2d(guide, self.scale)))
        return left + self._sum(guide)

    def _sum(self, guide: torch.Tensor) -> torch.Tensor:
        """Band by band, in one order: a convolution's depends on the number of threads, and so do its last bits."""
        total = self.offsets[:, None, None].expand(len(guide), -1, *guide.shape[2:])
        for band, weights in enumerate(self.weights.T):
            total = total + guide[:, band : band + 1] * weights[:, None, None]
        return total


ARCHITECTURES.register(NAME, GuidedRegression)


class FittedModel(Model):
    """A model that no file holds: its few weights are those of one scene, and travel with it."""

    def with_factors(self, factors: Iterable[int]) -> Model:
        """Itself, if they are its own; an InputError else."""
        self.descriptor.choosing(factors)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.module.state_dict()
        return fitted, (self.descriptor.model_dump_json(), state["weights"].tolist(), state["offsets"].tolist())


def fitted(card: str, weights: list[list[float]], offsets: list[float]) -> FittedModel:
    """The model of a card, as JSON, with such weights ``(band, guide band)`` and offsets."""
    descriptor = Descriptor.model_validate_json(card)
    network, state = build(descriptor), {"weights": torch.tensor(weights), "offsets": torch.tensor(offsets)}
    network.load_state_dict(state)
    text = json.dumps([card, *(tensor.tolist() for tensor in state.values())])
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return FittedModel(descriptor, network.eval().requires_grad_(False), sha256, NAME)
