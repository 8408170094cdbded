"""A random sequence of corruptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from geomedsr.degradations.blur import Blur
from geomedsr.degradations.ct_noise import CTNoise
from geomedsr.degradations.dead_pixels import DeadPixels
from geomedsr.degradations.degradation import Disturbance
from geomedsr.degradations.gaps import Gaps
from geomedsr.degradations.jpeg import JPEG
from geomedsr.degradations.jpeg2000 import JPEG2000
from geomedsr.degradations.poisson_gaussian import PoissonGaussian
from geomedsr.degradations.resize import Resize
from geomedsr.degradations.stripes import Stripes

#: Any corruption but a random chain, identified by its ``kind``.
AnySingle = Annotated[
    PoissonGaussian | CTNoise | JPEG | JPEG2000 | DeadPixels | Gaps | Stripes | Blur | Resize,
    Field(discriminator="kind"),
]


class RandomChain(Disturbance):
    """Some of the corruptions in ``choose``, one after the other, drawn anew for each image.

    In each of ``repeat`` rounds (a range to draw from), each corruption is applied with the given ``probability``, in
    random order if ``shuffle`` is on (as in BSRGAN, Zhang et al. 2021), else in the order of the list. Two rounds of
    blur, resize, noise and JPEG in order are the second-order model of Real-ESRGAN (Wang et al. 2021, section 3.2),
    without its sinc filter for ringing.
    """

    kind: Literal["random"] = "random"
    choose: tuple[AnySingle, ...] = Field(min_length=1)
    probability: float = Field(default=0.5, ge=0, le=1)
    shuffle: bool = True
    repeat: tuple[int, int] = (1, 1)

    @model_validator(mode="after")
    def _ordered(self) -> RandomChain:
        if not 0 <= self.repeat[0] <= self.repeat[1] <= 8:
            raise ValueError("repeat needs two whole numbers 0 <= low <= high <= 8")
        return self

    def draw(self, rng: np.random.Generator) -> tuple[tuple[int, Any], ...]:
        """The corruptions to apply, in order: positions in ``choose``, and their parameters."""
        done = []
        for _ in range(int(rng.integers(self.repeat[0], self.repeat[1] + 1))):
            order = rng.permutation(len(self.choose)) if self.shuffle else np.arange(len(self.choose))
            picks = [int(i) for i in order if rng.random() < self.probability]
            done += [(pick, self.choose[pick].draw(rng)) for pick in picks]
        return tuple(done)

    def apply(self, coarse: torch.Tensor, drawn: tuple[tuple[int, Any], ...]) -> torch.Tensor:
        """The image after all drawn corruptions."""
        for pick, parameters in drawn:
            part: Disturbance = self.choose[pick]
            coarse = part.apply(coarse, parameters)
        return coarse
