"""Resampling to another size and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from geomedsr.degradations.degradation import Disturbance

Method = Literal["area", "bilinear", "bicubic"]


@dataclass(frozen=True)
class Resampling:
    """One draw: the factor, and the method for each direction."""

    factor: float
    there: Method
    back: Method


class Resize(Disturbance):
    """The image resized to ``factor`` times its size, and back.

    ``factor`` is a range to draw from, uniformly on a logarithmic scale. ``methods`` lists the methods of which one is
    drawn for each direction, antialiased when they reduce: area, bilinear and bicubic, as in Real-ESRGAN (Wang et al.
    2021, section 3.1). There an image keeps its new size until the end; here the next part expects the original size.
    """

    kind: Literal["resize"] = "resize"
    factor: tuple[float, float] = (0.5, 1.5)
    methods: tuple[Method, ...] = Field(default=("area", "bilinear", "bicubic"), min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Resize:
        if not 0.1 <= self.factor[0] <= self.factor[1] <= 4:
            raise ValueError("factor needs two numbers 0.1 <= low <= high <= 4")
        return self

    def draw(self, rng: np.random.Generator) -> Resampling:
        """A factor and two methods."""
        there, back = (self.methods[int(i)] for i in rng.integers(len(self.methods), size=2))
        return Resampling(float(np.exp(rng.uniform(*np.log(self.factor)))), there, back)

    def apply(self, coarse: torch.Tensor, drawn: Resampling) -> torch.Tensor:
        """The image after both steps."""
        height, width = coarse.shape[-2:]
        between = max(1, round(height * drawn.factor)), max(1, round(width * drawn.factor))
        return _resampled(_resampled(coarse, between, drawn.there), (height, width), drawn.back)


def _resampled(image: torch.Tensor, size: tuple[int, int], method: Method) -> torch.Tensor:
    if method == "area":
        return F.interpolate(image, size=size, mode="area")
    return F.interpolate(image, size=size, mode=method, antialias=True, align_corners=False)
