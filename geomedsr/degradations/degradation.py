"""What a degradation is: a part of a recipe; the random draw is apart from the pure function that uses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from geomedsr.parts import Part


class Reduction(Part, ABC):
    """The first of a chain: a fine image to a coarse one.

    ``whole``: a coarse pixel depends on the whole frame, so that patches must be cut after reducing it.
    """

    kind: str

    @property
    def whole(self) -> bool:
        """See above."""
        return False

    def margin(self, scale: int) -> int:
        """How many fine pixels beyond a block its coarse pixel depends on."""
        return 0

    def draw(self, rng: np.random.Generator) -> Any:
        """Random parameters."""
        return None

    @abstractmethod
    def apply(self, fine: torch.Tensor, scale: int, drawn: Any) -> torch.Tensor:
        """``(B, C, s·H + 2·margin, s·W + 2·margin)`` to ``(B, C, H, W)``."""


class Disturbance(Part, ABC):
    """What happens to a coarse image afterwards.

    ``makes`` names what :meth:`marks` tells of it.
    """

    makes: ClassVar[tuple[str, ...]] = ()

    kind: str

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """Random parameters."""

    @abstractmethod
    def apply(self, coarse: torch.Tensor, drawn: Any) -> torch.Tensor:
        """``(B, C, H, W)`` to the same."""

    def marks(self, coarse: torch.Tensor, drawn: Any) -> Mapping[str, torch.Tensor]:
        """What a draw does, as inputs of a network beside the image, by port: a ``mask``, 1 where it is broken and 0
        elsewhere, ``(B, C, H, W)`` for such an image.
        """
        return {}
