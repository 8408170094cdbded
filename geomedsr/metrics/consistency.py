"""Consistency: how far a result, seen through the operator again, drifts from what it was made from."""

from __future__ import annotations

import numpy as np
import torch

from geomedsr import operators
from geomedsr.scene.sources import Array


def drift(result: Array, source: Array, scale: int, operator: str) -> Array:
    """``|forward(result) − source|`` at each pixel of the source, in physical units (reflectance or counts, HU).

    ``result`` is ``(frame, band, s·y, s·x)``, ``source`` ``(frame, band, y, x)``. ``forward`` is the operator's of
    that name. Only what it determines counts: of a crop of k-space all but the Nyquist lines of even sizes.

    Raises:
        ModelError: no operator has that name.
    """
    found = operators.get(operator)
    fine, coarse = (torch.from_numpy(values.astype(np.float64)) for values in (result, source))
    return found.determined(found.forward(fine, scale) - coarse).abs().numpy()
