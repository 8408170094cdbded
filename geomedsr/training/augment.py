"""Random changes of a patch: turns, flips, a line through its values, sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, model_validator

from geomedsr.parts import Part


@dataclass(frozen=True)
class Change:
    """One draw: quarter turns, a flip, ``gain · z + offset``, an amount of :func:`sharpen`."""

    turn: int = 0
    flip: bool = False
    gain: float = 1.0
    offset: float = 0.0
    sharpness: float = 0.0

    def move(self, patch: torch.Tensor) -> torch.Tensor:
        """All but the sharpness, on an image ``(C, H, W)``, fine or coarse."""
        patch = torch.rot90(patch, self.turn, (1, 2))
        if self.flip:
            patch = patch.flip(2)
        return (patch * self.gain + self.offset).contiguous()


class Augment(Part):
    """Besides flips and turns: a random line ``gain · z + offset`` on half of the patches.

    ``sharpness`` lists amounts ``a``, one drawn for each patch: the high-resolution image becomes
    ``z + a · (z − blur(z))``, with a 3 × 3 binomial blur, so that −1 is that blur itself, 0 changes nothing and
    positive ones sharpen. It stands for the kernels and scanners that the training data do not hold.
    """

    gain: tuple[float, float] = (1.0, 1.0)
    offset: float = Field(default=0.0, ge=0)
    sharpness: tuple[float, ...] = Field(default=(), max_length=8)

    @model_validator(mode="after")
    def _ordered(self) -> Augment:
        if not 0 < self.gain[0] <= self.gain[1]:
            raise ValueError("gain needs two numbers 0 < low <= high")
        return self

    def draw(self, rng: np.random.Generator) -> Change:
        """A random change."""
        lined = bool(rng.integers(2))
        gain = float(np.exp(rng.uniform(*np.log(self.gain))))
        offset = float(rng.uniform(-self.offset, self.offset))
        level = self.sharpness[int(rng.integers(len(self.sharpness)))] if self.sharpness else 0.0
        return Change(
            turn=int(rng.integers(4)),
            flip=bool(rng.integers(2)),
            gain=gain if lined else 1.0,
            offset=offset if lined else 0.0,
            sharpness=level,
        )


def sharpen(fine: torch.Tensor, amount: float) -> torch.Tensor:
    """``z + amount · (z − blur(z))`` with a 3 × 3 binomial blur; ``(…, H, W)``, the outermost pixels as they are."""
    if not amount:
        return fine
    rows = (fine[..., :-2, :] + 2 * fine[..., 1:-1, :] + fine[..., 2:, :]) / 4
    blur = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4
    out = fine.clone()
    inner = out[..., 1:-1, 1:-1]
    inner += amount * (inner - blur)
    return out
