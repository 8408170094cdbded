"""Values as whole numbers of 16 bits, compressed for a page's script to unpack.

A code is ``1 + (value − low) / step``, 0 where there is no data. Integers keep their exact values, as far as 65 535 of
them go; else values are rounded to steps, and what lies very far outside the range that is shown has the first or the
last code. Each plane is written as differences along its rows, low bytes before high ones, in a zlib stream (RFC 1950),
in base 64: browsers have both built in.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: Codes besides 0.
_CODES = 65_535

#: Floats are kept in so many steps of the range that is shown, and so many times that range below and above it.
_STEPS, _BEYOND = 4_096, 7

#: How near a whole number of steps is.
_NEAR = 1e-3


@dataclass(frozen=True)
class Codes:
    """How one band's physical values are written: see the module's text."""

    low: float
    step: float
    exact: bool

    @classmethod
    def of(
        cls, values: Iterable[Array], scene: Scene, band: int, shown: tuple[float, float] = (-np.inf, np.inf)
    ) -> Codes:
        """Codes for all values of a band, of whichever scenes; their steps are the first's, if all lie on such.

        ``shown`` are the values of black and white: values far beyond them may become equal.
        """
        step = _step(scene, band)
        low, high, origin = np.inf, -np.inf, None
        for part in (v for v in values if v.size):
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            origin = part.flat[0] if origin is None else origin
            if step and (high - low) / step < _CODES - 1:
                places = (part - origin) / step
                step = step if np.abs(places - np.rint(places)).max() < _NEAR else 0.0
        if origin is None:
            low, high = 0.0, 1.0
        if step and (high - low) / step < _CODES - 1:
            return cls(low, step, True)
        wide = shown[1] - shown[0]
        near = max(low, shown[0] - _BEYOND * wide), min(high, shown[1] + _BEYOND * wide)
        low, high = near if near[0] < near[1] else (low, high)
        fine = min(high - low, wide) / _STEPS if scene.dtype.kind == "f" else 0.0
        return cls(low, max(fine, (high - low) / (_CODES - 1)) or 1.0, False)

    def encode(self, physical: Array, valid: Array) -> Array:
        """Codes, uint16, of the same shape."""
        with np.errstate(invalid="ignore"):
            codes = np.rint((np.where(valid, physical, self.low) - self.low) / self.step) + 1
        return np.where(valid, np.clip(codes, 1, _CODES), 0).astype("<u2")


def _step(scene: Scene, band: int) -> float:
    """How far apart a band's values are, physical; 0 for floats, and where it differs from frame to frame."""
    slopes = scene.slopes_and_offsets[0]
    steps = {abs(float(row[band if len(row) > 1 else 0])) for row in slopes}
    return steps.pop() if scene.dtype.kind != "f" and len(steps) == 1 else 0.0


def pack(codes: Array) -> str:
    """A plane ``(y, x)`` of codes as text."""
    steps = np.diff(codes.astype("<u2"), axis=1, prepend=np.zeros((len(codes), 1), "<u2")).astype("<u2")
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)).decode("ascii")
