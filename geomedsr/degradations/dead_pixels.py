"""Dead detector elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from geomedsr.degradations.degradation import Disturbance

#: The value of a pixel that is stuck at an end of the value scale.
_LEVELS = {"low": 0.0, "high": 1.0}


@dataclass(frozen=True)
class Defects:
    """One draw: the share of dead pixels, and a seed for their positions and values."""

    fraction: float
    seed: int


class DeadPixels(Disturbance):
    """Each pixel of each band is dead with the same probability, ``fraction``, a range to draw from.

    ``stuck`` lists the values of dead pixels, of which one is drawn for each: ``low`` is 0 on the value scale, ``high``
    is 1, ``random`` anything between. A share ``fraction`` of the pixels thus carries no information on the scene.
    """

    makes: ClassVar[tuple[str, ...]] = ("mask",)

    kind: Literal["dead-pixels"] = "dead-pixels"
    fraction: tuple[float, float] = (0.0, 0.001)
    stuck: tuple[Literal["low", "high", "random"], ...] = Field(default=("low", "high"), min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> DeadPixels:
        if not 0 <= self.fraction[0] <= self.fraction[1] <= 1:
            raise ValueError("fraction needs two numbers 0 <= low <= high <= 1")
        return self

    def draw(self, rng: np.random.Generator) -> Defects:
        """A share, and a seed."""
        return Defects(float(rng.uniform(*self.fraction)), int(rng.integers(2**63)))

    def apply(self, coarse: torch.Tensor, drawn: Defects) -> torch.Tensor:
        """The image with its dead pixels; the same draw gives the same ones."""
        rng, shape = np.random.default_rng(drawn.seed), tuple(coarse.shape)
        dead = rng.random(shape) < drawn.fraction
        levels = np.stack(
            [np.full(shape, _LEVELS[name]) if name in _LEVELS else rng.random(shape) for name in self.stuck]
        )
        shown = np.take_along_axis(levels, rng.integers(len(self.stuck), size=(1, *shape)), 0)[0]
        return torch.where(torch.from_numpy(dead).to(coarse.device), torch.from_numpy(shown).to(coarse), coarse)

    def marks(self, coarse: torch.Tensor, drawn: Defects) -> dict[str, torch.Tensor]:
        """The port ``mask``: 1 at dead pixels."""
        dead = np.random.default_rng(drawn.seed).random(tuple(coarse.shape)) < drawn.fraction
        return {"mask": torch.from_numpy(dead).to(coarse)}
