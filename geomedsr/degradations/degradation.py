"""The interface of degradations. Drawing random parameters is separate from the pure function that uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from geomedsr.parts import Part


class Reduction(Part, ABC):
    """The first part of a chain: a fine image to a coarse one.

    ``whole``: a coarse pixel depends on the whole frame, so that patches must be cut after the reduction.
    """

    kind: str

    @property
    def whole(self) -> bool:
        """See the class docstring."""
        return False

    def margin(self, scale: int) -> int:
        """How many fine pixels beyond each side of a block its coarse pixel depends on."""
        return 0

    def draw(self, rng: np.random.Generator) -> Any:
        """Random parameters."""
        return None

    @abstractmethod
    def apply(self, fine: torch.Tensor, scale: int, drawn: Any) -> torch.Tensor:
        """``(B, C, s·H + 2·margin, s·W + 2·margin)`` to ``(B, C, H, W)``."""


class Disturbance(Part, ABC):
    """A corruption of the coarse image, such as noise.

    ``makes`` names the ports for which :meth:`marks` returns an image.
    """

    makes: ClassVar[tuple[str, ...]] = ()

    kind: str

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """Random parameters."""

    @abstractmethod
    def apply(self, coarse: torch.Tensor, drawn: Any) -> torch.Tensor:
        """The corrupted image; ``(B, C, H, W)`` in and out."""

    def marks(self, coarse: torch.Tensor, drawn: Any) -> Mapping[str, torch.Tensor]:
        """Where a draw damages the image, as further inputs of a network, by port.

        ``mask`` is 1 at damaged pixels and 0 elsewhere, ``(B, C, H, W)`` as the image.
        """
        return {}
