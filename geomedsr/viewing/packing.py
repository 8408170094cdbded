"""Values as whole numbers of 16 bits, compressed for a page's script to unpack.

A code is ``1 + (value − low) / step``, 0 where there is no data. Integers keep their exact values, as far as 65 535 of
them go. Each plane is written as differences along its rows, low bytes before high ones, in a zlib stream (RFC 1950),
in base 64: browsers have both built in.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geomedsr.scene import Scene
from geomedsr.sources import Array

#: Codes besides 0.
_CODES = 65_535

#: Floats are told in so many steps of the range that is shown.
_STEPS = 4_096


@dataclass(frozen=True)
class Codes:
    """How one band's physical values are written: see the module's text."""

    low: float
    step: float
    exact: bool

    @classmethod
    def of(cls, values: Iterable[Array], scene: Scene, band: int) -> Codes:
        """Codes for all values of a band, of whichever scenes; their steps are the first's."""
        ends = [(float(v.min()), float(v.max())) for v in values if v.size]
        low, high = (min(e[0] for e in ends), max(e[1] for e in ends)) if ends else (0.0, 1.0)
        slopes = {abs(float(s[band])) for s in scene.lines[0]}
        step = slopes.pop() if scene.dtype.kind != "f" and len(slopes) == 1 else 0.0
        exact = step > 0 and (high - low) / step < _CODES - 1
        if not exact:
            step = (high - low) / (_STEPS if scene.dtype.kind == "f" else _CODES - 1) or 1.0
        return cls(low, step, exact)

    def encode(self, physical: Array, valid: Array) -> Array:
        """Codes, uint16, of the same shape."""
        with np.errstate(invalid="ignore"):
            codes = np.rint((np.where(valid, physical, self.low) - self.low) / self.step) + 1
        return np.where(valid, np.clip(codes, 1, _CODES), 0).astype("<u2")


def pack(codes: Array) -> str:
    """A plane ``(y, x)`` of codes as text."""
    steps = np.diff(codes.astype("<u2"), axis=1, prepend=np.zeros((len(codes), 1), "<u2")).astype("<u2")
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)).decode("ascii")
