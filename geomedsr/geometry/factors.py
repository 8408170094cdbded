"""How many times finer an output is than its input, along each axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from operator import index
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Factors:
    """Whole numbers ≥ 1 for the axes ``(frame, y, x)``.

    ``Factors(1, 4, 4)`` is ×4 in plane, ``Factors(1, 1, 1)`` the same grid, ``Factors(5, 1, 1)`` five slices from each.

    Raises:
        ValueError: a factor is less than 1, or not a whole number.
    """

    frame: int = 1
    y: int = 1
    x: int = 1

    def __post_init__(self) -> None:
        if any(isinstance(factor, bool) or not isinstance(factor, int) or factor < 1 for factor in self):
            raise ValueError(f"factors ({', '.join(map(str, self))}): expected three whole numbers from 1")

    @classmethod
    def in_plane(cls, scale: int) -> Factors:
        """``scale`` times finer in rows and columns."""
        return cls(1, scale, scale)

    @classmethod
    def of(cls, given: Iterable[Any]) -> Factors:
        """Factors from three whole numbers of any integer type.

        Raises:
            ValueError: they are not three whole numbers ≥ 1.
        """
        try:
            frame, y, x = (factor if isinstance(factor, bool) else index(factor) for factor in given)
        except (TypeError, ValueError) as error:
            raise ValueError(f"factors {given!r}: expected three whole numbers from 1") from error
        return cls(frame, y, x)

    @classmethod
    def between(cls, coarse: Sequence[int], fine: Sequence[int]) -> Factors | None:
        """The factors between two scenes of shape ``(frame, band, y, x)`` or ``(frame, y, x)``.

        None where a ratio is not a whole number.
        """
        pairs = [(coarse[axis], fine[axis]) for axis in (0, -2, -1)]
        if any(few < 1 or many < few or many % few for few, many in pairs):
            return None
        return cls(*(many // few for few, many in pairs))

    def __iter__(self) -> Iterator[int]:
        return iter(astuple(self))

    def __mul__(self, other: Factors) -> Factors:
        """The factors of two steps, one after the other."""
        return Factors(self.frame * other.frame, self.y * other.y, self.x * other.x)

    @property
    def words(self) -> str:
        """In words: ``×4`` in plane, ``×5 slices``, or ``×2, ×5 slices``; ``the same size`` if all are 1."""
        if self.volume == 1:
            return "the same size"
        plane = f"×{self.x}" if self.y == self.x else f"×{self.y} × {self.x}"
        parts = [plane] * (self.y * self.x > 1) + [f"×{self.frame} slices"] * (self.frame > 1)
        return ", ".join(parts)

    def repeated(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A new array in which each pixel of ``(frame, …, y, x)`` is repeated by the factor of each axis."""
        fine = array.repeat(self.y, -2).repeat(self.x, -1)
        return fine.repeat(self.frame, 0) if self.frame > 1 else fine

    @property
    def volume(self) -> int:
        """How many fine pixels lie in a coarse one."""
        return self.frame * self.y * self.x
