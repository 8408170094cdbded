"""The forward model of a shifted frame: each coarse pixel is the mean of the fine image over its own footprint.

A frame's pixel grid lies a fraction of a pixel beside the reference's, so a footprint begins inside a fine pixel. Along
each axis it covers a part of the first fine pixel, ``scale − 1`` whole ones, and the rest of one more. At a shift of 0
this is the block mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from geomedsr.scene.sources import Array

#: Parts of a fine pixel below this are none, so that a shift by whole fine pixels touches no further pixel.
_LEAST = 1e-6


@dataclass(frozen=True)
class Footprints:
    """Footprints of a frame's pixels along both axes.

    ``shift`` is where the frame's pixel (0, 0) lies in the reference, ``(rows, columns)`` in coarse pixels. A coarse
    pixel has ``scale`` fine ones along an axis.
    """

    shift: tuple[float, float]
    scale: int

    def pixels(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """The frame's pixels whose whole footprints lie in the coarse pixels ``start … stop`` of the reference."""
        shift = self.shift[axis]
        return math.ceil(start - shift - _LEAST), math.floor(stop - shift + _LEAST)

    def seen(self, fine: Array, origin: tuple[int, int], first: tuple[int, int], count: tuple[int, int]) -> Array:
        """What the frame shows of a fine image: means over footprints.

        Args:
            fine: ``(y, x)``, float64.
            origin: the fine row and column of its first pixel.
            first: row and column of the first of the frame's pixels that are made.
            count: how many rows and columns of them.
        """
        rows = self._along(fine, 0, origin[0], first[0], count[0])
        return self._along(rows, 1, origin[1], first[1], count[1])

    def spread(self, coarse: Array, origin: tuple[int, int], first: tuple[int, int], shape: tuple[int, int]) -> Array:
        """The transpose of :meth:`seen`: values of the frame's pixels ``(y, x)`` are spread over their footprints in a
        fine image of ``shape``.
        """
        rows = self._back(coarse, 1, origin[1], first[1], shape[1])
        return self._back(rows, 0, origin[0], first[0], shape[0])

    def _taps(self, axis: int) -> tuple[int, list[float]]:
        """How many whole fine pixels a footprint begins later than its pixel, and the weights of those it covers."""
        along = self.shift[axis] * self.scale
        whole = math.floor(along + _LEAST)
        part = along - whole
        if part < _LEAST:
            return whole, [1 / self.scale] * self.scale
        return whole, [(1 - part) / self.scale, *[1 / self.scale] * (self.scale - 1), part / self.scale]

    def _along(self, fine: Array, axis: int, origin: int, first: int, count: int) -> Array:
        whole, weights = self._taps(axis)
        start, lines = first * self.scale + whole - origin, np.moveaxis(fine, axis, 0)
        stop = (count - 1) * self.scale + 1
        total = weights[0] * lines[start : start + stop : self.scale]
        for tap, weight in enumerate(weights[1:], 1):
            total = total + weight * lines[start + tap : start + tap + stop : self.scale]
        return np.moveaxis(total, 0, axis)

    def _back(self, coarse: Array, axis: int, origin: int, first: int, length: int) -> Array:
        whole, weights = self._taps(axis)
        lines = np.moveaxis(coarse, axis, 0)
        start, stop = first * self.scale + whole - origin, (len(lines) - 1) * self.scale + 1
        made = np.zeros((length, *lines.shape[1:]))
        for tap, weight in enumerate(weights):
            made[start + tap : start + tap + stop : self.scale] += weight * lines
        return np.moveaxis(made, 0, axis)
