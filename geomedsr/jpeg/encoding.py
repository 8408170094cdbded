"""What libjpeg makes of pixels before their transform: luma and chroma, fewer samples of chroma, whole blocks.

A unit is what is coded together: one block of each component, or more where others have fewer samples. Units are
``(unit, band, y, x)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomedsr.jpeg.transform import blocks_of, encoded

Array = np.ndarray[Any, Any]

#: Luma and both chromas of red, green and blue: ITU-T T.871 (JFIF), section 7.
TO_LUMA = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float64
)
FROM_LUMA = np.linalg.inv(TO_LUMA)

#: The same in whole numbers of 16 bits, as libjpeg has it.
_WHOLE = np.rint(TO_LUMA * 65536).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Units:
    """Units of an image: their coefficients, and the table and sampling of each component.

    ``coefficients`` have for each component int ``(unit, rows, columns, 8, 8)``, its blocks in a unit, and ``tables``
    ``(unit, 1, 1, 8, 8)``. ``there``, bool ``(unit, rows, columns)``, tells which blocks hold pixels of the image: the
    last units of a row may have others. ``down`` are how many times fewer rows and columns a component has than a unit
    has pixels.
    """

    coefficients: tuple[Array, ...]
    tables: tuple[Array, ...]
    there: tuple[Array, ...]
    down: tuple[tuple[int, int], ...]
    luma: bool
    precision: int

    def of(self, which: Array) -> Units:
        """Some of the units, by a mask or by number."""
        return Units(
            tuple(blocks[which] for blocks in self.coefficients),
            tuple(table[which] for table in self.tables),
            tuple(there[which] for there in self.there),
            self.down,
            self.luma,
            self.precision,
        )

    def holds(self, pixels: Array) -> Array:
        """Which units an encoder gives these coefficients again, of pixels ``(unit, band, y, x)``; bool."""
        kept = np.ones(len(pixels), bool)
        for number, plane in enumerate(self._components(pixels)):
            made = encoded(blocks_of(plane), self.tables[number], self.precision)
            same = (made == self.coefficients[number]).all((-2, -1))
            kept &= (same | ~self.there[number]).all((1, 2))
        return kept

    def _components(self, pixels: Array) -> list[Array]:
        """The samples of each component, whole numbers ``(unit, y, x)``."""
        planes = whole_luma(pixels) if self.luma else pixels.astype(np.int64)
        return [fewer(planes[:, i], down) for i, down in enumerate(self.down)]


def whole_luma(pixels: Array) -> Array:
    """Luma and chromas of bytes ``(unit, 3, y, x)``, as libjpeg rounds them; int64."""
    sums = np.einsum("cb,nbyx->ncyx", _WHOLE, pixels.astype(np.int64))
    sums[:, 0] += 32768
    sums[:, 1:] += (128 << 16) + 32767
    return np.asarray(sums >> 16)


def fewer(plane: Array, down: tuple[int, int]) -> Array:
    """The means of blocks of samples ``(unit, y, x)``, rounded as libjpeg does: of two or four up and down by turns."""
    if down == (1, 1):
        return plane
    count, height, width = plane.shape
    rows, columns = down
    sums = plane.reshape(count, height // rows, rows, width // columns, columns).sum((2, 4))
    if down in ((1, 2), (2, 2)):
        bias = np.arange(width // columns) % 2 + (0 if down == (1, 2) else 1)
        return np.asarray((sums + bias) >> (1 if down == (1, 2) else 2))
    return np.asarray((sums + rows * columns // 2) // (rows * columns))


def units_of(image: Array, side: tuple[int, int]) -> Array:
    """An image ``(band, y, x)`` of whole units, row by row."""
    bands, height, width = image.shape
    rows, columns = side
    parts = image.reshape(bands, height // rows, rows, width // columns, columns)
    return parts.transpose(1, 3, 0, 2, 4).reshape(-1, bands, rows, columns)


def image_of(units: Array, across: int) -> Array:
    """Units as an image, ``across`` of them in a row."""
    count, bands, rows, columns = units.shape
    parts = units.reshape(count // across, across, bands, rows, columns).transpose(2, 0, 3, 1, 4)
    return parts.reshape(bands, count // across * rows, across * columns)


def blocks_by_unit(blocks: Array, units: tuple[int, int]) -> Array:
    """Blocks ``(row, column, …)`` of a component by unit, of which there are so many rows and columns."""
    (high, wide, *block), (rows, columns) = blocks.shape, units
    parts = blocks.reshape(rows, high // rows, columns, wide // columns, *block).swapaxes(1, 2)
    return parts.reshape(-1, high // rows, wide // columns, *block)


def edges(shape: Sequence[int], side: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns an image ``(…, y, x)`` lacks to whole units."""
    return -shape[-2] % side[0], -shape[-1] % side[1]
