"""Consistency: how far a result, reduced by the operator again, drifts from its input."""

from __future__ import annotations

import numpy as np
import torch

from geomedsr import operators
from geomedsr.scene.sources import Array


def drift(result: Array, source: Array, scale: int, operator: str) -> Array:
    """``|forward(result) − source|`` at each pixel of the source, in physical units (reflectance or counts, HU).

    ``result`` is ``(frame, band, s·y, s·x)``, ``source`` ``(frame, band, y, x)``. ``forward`` is the named operator's.
    Only the part that the operator determines counts: for a crop of k-space, all but the Nyquist lines of even sizes.

    Raises:
        ModelError: no operator has this name.
    """
    found = operators.get(operator)
    fine, coarse = (torch.from_numpy(values.astype(np.float64)) for values in (result, source))
    return found.determined(found.forward(fine, scale) - coarse).abs().numpy()
