"""Slice profiles: how a slice weighs what lies along its normal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: The narrowest and widest bell, as multiples of the distance between slices.
NARROWEST, WIDEST = 0.5, 2.0


@dataclass(frozen=True)
class Profile:
    """A slice sees the mean of what lies along its normal, weighted by a box or by a bell.

    ``width`` is a bell's full width at half its height, as a multiple of the distance between slices. The bell is a
    raised cosine, ``1 + cos(π z / width)`` up to ``|z| = width`` and 0 beyond: bells as wide as slices are apart
    overlap, and sum to a constant. 0 is a box exactly as wide as slices are apart. ``origin`` is who says so.

    Raises:
        ValueError: a bell too narrow or too wide for slices this far apart.
    """

    width: float = 0.0
    origin: str = field(default="given", compare=False)

    def __post_init__(self) -> None:
        if self.width and not NARROWEST <= self.width <= WIDEST:
            raise ValueError(
                f"a profile {self.width:.3g} slice distances wide: expected {NARROWEST:g} to {WIDEST:g}, or a box"
            )

    @property
    def box(self) -> bool:
        """Whether it is a box."""
        return self.width == 0

    def reach(self, factor: int) -> int:
        """How many slices to each side hold new slices that a slice sees, where ``factor`` come from each."""
        nearest = 0.5 + 0.5 / factor  # from a slice's centre to the first new slice of the next
        return 0 if self.width <= nearest else int(np.ceil(self.width - nearest))

    def weights(self, factor: int) -> NDArray[np.float64]:
        """The weights of the new slices of a slice and of ``reach`` neighbours on each side, in order; their sum is 1.

        Float64 ``((2 · reach + 1) · factor,)``.
        """
        reach = self.reach(factor)
        places = (np.arange(-reach * factor, (reach + 1) * factor) + 0.5) / factor - 0.5
        if self.box:
            bell = np.ones(len(places))
        else:
            bell = np.where(np.abs(places) < self.width, 1 + np.cos(np.pi * places / self.width), 0)
        return np.asarray(bell / bell.sum())
