"""Stripes from a scanner whose detectors are calibrated differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr.degradations.degradation import Disturbance


@dataclass(frozen=True)
class Miscalibration:
    """One draw: the spread of gains and offsets, whether lines are columns or rows, and a seed for the lines."""

    gain: float
    offset: float
    lines: Literal["columns", "rows"]
    seed: int


class Stripes(Disturbance):
    """Each line ``j`` of a band has its own detector: ``(1 + g_j) · z + o_j``.

    This is the linear response of a detector that moment matching corrects (Gadallah et al. 2000, Int. J. Remote
    Sensing 21(12)), with ``g_j`` from N(0, gain²) and ``o_j`` from N(0, offset²), on the value scale. ``gain`` and
    ``offset`` are ranges from which these standard deviations are drawn. A pushbroom scanner's lines are the
    ``columns`` of an image along its track; ``either`` draws columns or rows, since scenes may be oriented either way.
    """

    kind: Literal["stripes"] = "stripes"
    gain: tuple[float, float] = (0.0, 0.01)
    offset: tuple[float, float] = (0.0, 0.005)
    lines: Literal["columns", "rows", "either"] = "columns"

    @model_validator(mode="after")
    def _ordered(self) -> Stripes:
        for low, high in (self.gain, self.offset):
            if not 0 <= low <= high:
                raise ValueError("gain and offset need two numbers 0 <= low <= high")
        return self

    def draw(self, rng: np.random.Generator) -> Miscalibration:
        """Standard deviations, a direction, and a seed."""
        gain, offset = float(rng.uniform(*self.gain)), float(rng.uniform(*self.offset))
        either: tuple[Literal["columns", "rows"], ...] = ("columns", "rows")
        lines = self.lines if self.lines != "either" else either[int(rng.integers(2))]
        return Miscalibration(gain, offset, lines, int(rng.integers(2**63)))

    def apply(self, coarse: torch.Tensor, drawn: Miscalibration) -> torch.Tensor:
        """The striped image; the same draw gives the same stripes."""
        rng = np.random.default_rng(drawn.seed)
        batch, channels, height, width = coarse.shape
        shape = (batch, channels, 1, width) if drawn.lines == "columns" else (batch, channels, height, 1)
        gains, offsets = (torch.from_numpy(rng.normal(0, sd, shape)).to(coarse) for sd in (drawn.gain, drawn.offset))
        return coarse * (1 + gains) + offsets
