"""Classes that polygons tell, such as which detector saw a pixel, as a raster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.areas import inside
from geomedsr.scene.sources import Array, Source


@dataclass(frozen=True)
class DrawnSource(Source):
    """One band of uint8: of each of ``classes`` the value, and the polygons in which pixels' centres have it, as
    :func:`geomedsr.scene.areas.text_of` writes them. Where several lie one on another it is the last; elsewhere 0.
    """

    size: tuple[int, int]
    classes: tuple[tuple[int, str], ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (1, 1, *self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def block(self) -> tuple[int, int]:
        """Any."""
        return 512, 512

    def read(self, box: Box) -> Array:
        """The classes of a box."""
        _, row, col = box.start
        _, height, width = box.shape
        rows, cols = np.arange(row, row + height), np.arange(col, col + width)
        made = np.zeros((1, 1, height, width), np.uint8)
        for value, area in self.classes:
            made[0, 0][inside(area, rows, cols)] = value
        return made

    def valid(self, box: Box) -> Array:
        """True everywhere."""
        return np.ones((1, 1, *box.shape[1:]), bool)

    def select(self, bands: Sequence[int]) -> DrawnSource:
        """Itself."""
        return self
