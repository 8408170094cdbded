"""A network that fills what guides leave: predictions by other bands, or by another date, with a filling network.

What a guide predicts is taken off, the network fills what is left over, and the prediction is put back: where the two
meet known pixels, what is left over goes on smoothly, and so does the fill (regression kriging, with the network in
place of kriging: Hengl et al. 2007, doi 10.1016/j.cageo.2007.05.001).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from geomedsr.models.compact import cropped
from geomedsr.models.filling import MASK, MISSING, Filling
from geomedsr.models.network import Network
from geomedsr.models.ports import IMAGE, Port, Ports, Shapes
from geomedsr.models.store import Model


def told(guide: int) -> str:
    """The input that holds what a guide predicts, on the image's value scale."""
    return f"told_{guide}"


def covered(guide: int) -> str:
    """The input that marks where a guide predicts."""
    return f"covered_{guide}"


class GuidedFilling(Network):
    """:class:`~geomedsr.models.filling.Filling` with guides: each ``(B, 1, H, W)``, a prediction and where it is one.

    Each missing pixel is filled by the first guide that covers it, from known pixels that it covers, too; what none
    covers is filled by the network alone. Exact tiles, as the network's: guides are looked at pixel by pixel.
    """

    trims = True
    exports = False

    def __init__(self, filling: Filling, guides: int) -> None:
        super().__init__()
        self.filling, self.guides, self.scale = filling, guides, filling.scale

    @property
    def receptive_radius(self) -> int:
        """The network's."""
        return self.filling.receptive_radius

    def held(self, shapes: Shapes) -> float:
        """What the network holds, the guides, and an image of what one leaves and one of the result."""
        own = tuple(shape for shape in shapes if shape[0] in (IMAGE, MASK, MISSING))
        return self.filling.held(own) + 2 * self.guides + 4

    def forward(self, image: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        """The filled image, of the same size; beyond its edges nothing is known."""
        filled, left = None, others[MASK]
        for wanted, prediction, missing in self._by_guide(others):
            left = left * (1 - wanted)
            made = self.filling(image - prediction, **{MASK: wanted, MISSING: missing}) + prediction
            filled = made if filled is None else torch.where(wanted > 0, made, filled)
        alone: torch.Tensor = self.filling(image, **{MASK: left, MISSING: others[MISSING]})
        return alone if filled is None else torch.where((others[MASK] > 0) & (left == 0), filled, alone)

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same without the halo, as planes."""
        image, left, edge = inputs[IMAGE], inputs[MASK], self.receptive_radius
        parts = []
        for wanted, prediction, missing in self._by_guide(inputs):
            left = left * (1 - wanted)
            here = cropped(wanted, edge)
            if bool(here.any()):
                made = self._planes(image - prediction, wanted, missing) + cropped(prediction, edge)[:, :, None]
                parts.append((here[:, :, None], made))
        filled = self._planes(image, left, inputs[MISSING])
        for here, made in parts:
            filled = torch.where(here > 0, made, filled)
        return {IMAGE: filled}

    def _by_guide(self, inputs: Mapping[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Of each guide what it is to fill, what it predicts, and what is not known to it."""
        left, found = inputs[MASK], []
        for guide in range(self.guides):
            there = inputs[covered(guide)]
            found.append((left * there, inputs[told(guide)], torch.maximum(inputs[MISSING], 1 - there)))
            left = left * (1 - there)
        return found

    def _planes(self, image: torch.Tensor, mask: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return self.filling.planes({IMAGE: image, MASK: mask, MISSING: missing})[IMAGE]


@dataclass(frozen=True, eq=False)
class GuidedModel(Model):
    """A model that fills, with guides. No file holds it: it travels as the one that it is made of, ``plain``."""

    plain: Model | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        assert isinstance(self.module, GuidedFilling)
        return guided, (self.plain, self.module.guides)


def guided(plain: Model, guides: int) -> GuidedModel:
    """A model of the architecture ``filling`` with so many guides besides its two masks."""
    assert isinstance(plain.module, Filling)
    names = range(guides)
    added = (port for i in names for port in (Port(name=told(i)), Port(name=covered(i), meaning="mask")))
    ports = Ports(inputs=(*plain.descriptor.ports.inputs, *added))
    card = plain.descriptor.model_copy(update={"ports": ports})
    network = GuidedFilling(plain.module, guides).eval().requires_grad_(False)
    sha256 = hashlib.sha256(f"{plain.sha256} with {guides} guides".encode()).hexdigest()  # a key of its own
    return GuidedModel(card, network, sha256, plain.path, plain.realism, plain=plain)
