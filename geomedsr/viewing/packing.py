"""Values as 16-bit codes, compressed for a page's script to unpack.

A code is ``1 + (value − low) / step``, or 0 where there is no data. Integers keep their exact values if 65 535 codes
are enough; otherwise values are rounded to steps, and values very far outside the range shown get the first or the last
code. Each plane is written as differences along its rows, all low bytes before the high bytes, as a zlib stream
(RFC 1950) in base 64; browsers can decode both.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: The number of codes besides 0.
_CODES = 65_535

#: Steps of floats within the range shown, and how many times that range is kept below and above it.
_STEPS, _BEYOND = 4_096, 7

#: The tolerance for a whole number of steps.
_NEAR = 1e-3


@dataclass(frozen=True)
class Codes:
    """The coding of one band's physical values; see the module docstring."""

    low: float
    step: float
    exact: bool

    @classmethod
    def of(
        cls, values: Iterable[Array], scene: Scene, band: int, shown: tuple[float, float] = (-np.inf, np.inf)
    ) -> Codes:
        """Codes for all values of a band from several scenes. The step is that of ``scene``'s integers if all values
        fit.

        ``shown`` are the values of black and white; values far beyond them may become equal.
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
        """The codes of values: uint16 of the same shape."""
        with np.errstate(invalid="ignore"):
            codes = np.rint((np.where(valid, physical, self.low) - self.low) / self.step) + 1
        return np.where(valid, np.clip(codes, 1, _CODES), 0).astype("<u2")


def _step(scene: Scene, band: int) -> float:
    """The step between a band's physical values; 0 for floats, or if it differs between frames."""
    slopes = scene.slopes_and_offsets[0]
    steps = {abs(float(row[band if len(row) > 1 else 0])) for row in slopes}
    return steps.pop() if scene.dtype.kind != "f" and len(steps) == 1 else 0.0


def pack(codes: Array) -> str:
    """A plane ``(y, x)`` of codes as text."""
    steps = np.diff(codes.astype("<u2"), axis=1, prepend=np.zeros((len(codes), 1), "<u2")).astype("<u2")
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)).decode("ascii")
