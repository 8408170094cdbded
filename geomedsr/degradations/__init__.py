"""Degradations: how training makes a low-resolution image from a high-resolution one. One file each.

A chain consists of a reduction, which may be an observation operator, followed by any number of corruptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, TypeAdapter

from geomedsr.degradations.bicubic import Bicubic
from geomedsr.degradations.block_mean import BlockMean
from geomedsr.degradations.blur import Blur
from geomedsr.degradations.ct_noise import CTNoise
from geomedsr.degradations.ct_psf import CTPSF
from geomedsr.degradations.dead_pixels import DeadPixels
from geomedsr.degradations.degradation import Disturbance, Reduction
from geomedsr.degradations.gaps import Gaps
from geomedsr.degradations.gaussian_psf import GaussianPSF
from geomedsr.degradations.jpeg import JPEG
from geomedsr.degradations.jpeg2000 import JPEG2000
from geomedsr.degradations.k_space_crop import KSpaceCrop
from geomedsr.degradations.poisson_gaussian import PoissonGaussian
from geomedsr.degradations.random_chain import AnySingle, RandomChain
from geomedsr.degradations.resize import Resize
from geomedsr.degradations.stripes import Stripes

__all__ = [
    "CTPSF",
    "JPEG",
    "JPEG2000",
    "AnyDegradation",
    "Bicubic",
    "BlockMean",
    "Blur",
    "CTNoise",
    "Chain",
    "DeadPixels",
    "Disturbance",
    "Gaps",
    "GaussianPSF",
    "KSpaceCrop",
    "PoissonGaussian",
    "RandomChain",
    "Reduction",
    "Resize",
    "Stripes",
    "chain",
    "of_kind",
]

#: Any degradation, identified by its ``kind``.
AnyDegradation = Annotated[
    BlockMean | KSpaceCrop | Bicubic | GaussianPSF | CTPSF | AnySingle | RandomChain, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Chain:
    """A reduction and the corruptions after it, for one scale."""

    reduction: Reduction
    disturbances: Sequence[Disturbance]
    scale: int

    @property
    def margin(self) -> int:
        """How many fine pixels on each side of a patch its coarse image depends on."""
        return self.reduction.margin(self.scale)

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Random parameters for :meth:`reduce` and :meth:`disturb`."""
        return self.reduction.draw(rng), *(part.draw(rng) for part in self.disturbances)

    def reduce(self, fine: torch.Tensor, drawn: tuple[Any, ...]) -> torch.Tensor:
        """``(B, C, s·H + 2·margin, s·W + 2·margin)``, or a whole frame, to ``(B, C, H, W)``."""
        return self.reduction.apply(fine, self.scale, drawn[0])

    @property
    def makes(self) -> tuple[str, ...]:
        """The ports for which :meth:`marks` returns an image."""
        return tuple(dict.fromkeys(name for part in self.disturbances for name in part.makes))

    def marks(self, coarse: torch.Tensor, drawn: tuple[Any, ...]) -> dict[str, torch.Tensor]:
        """Where the corruptions damage an image, by port, combined over all of them."""
        found: dict[str, torch.Tensor] = {}
        for part, parameters in zip(self.disturbances, drawn[1:], strict=True):
            for name, made in part.marks(coarse, parameters).items():
                found[name] = torch.maximum(found[name], made) if name in found else made
        return found

    def disturb(self, coarse: torch.Tensor, drawn: tuple[Any, ...]) -> torch.Tensor:
        """The corrupted image; ``(B, C, H, W)`` in and out."""
        for part, parameters in zip(self.disturbances, drawn[1:], strict=True):
            coarse = part.apply(coarse, parameters)
        return coarse


def chain(parts: Sequence[AnyDegradation], scale: int) -> Chain:
    """A chain of a reduction and the corruptions after it.

    Raises:
        ValueError: the parts are not in that order.
    """
    first, *rest = parts
    later = [part for part in rest if isinstance(part, Disturbance)]
    if not isinstance(first, Reduction) or len(later) != len(rest):
        kinds = ", ".join(part.kind for part in parts)
        raise ValueError(f"degradations {kinds}: expected one that reduces, then what disturbs the coarse image")
    return Chain(first, later, scale)


def of_kind(kind: str) -> AnyDegradation:
    """The degradation of a kind, with default parameters.

    Raises:
        pydantic.ValidationError: there is no such kind.
    """
    made: AnyDegradation = TypeAdapter(AnyDegradation).validate_python({"kind": kind})
    return made
