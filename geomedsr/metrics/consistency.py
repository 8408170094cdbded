"""Consistency: how far a result, brought down again, drifts from what it was made from."""

from __future__ import annotations

import numpy as np
import torch

from geomedsr import operators
from geomedsr.operators.k_space import central
from geomedsr.sources import Array


def drift(result: Array, source: Array, scale: int, operator: str) -> Array:
    """``|down(result) − source|`` at each pixel of the source, in physical units (reflectance or counts, HU).

    ``result`` is ``(frame, band, s·y, s·x)``, ``source`` ``(frame, band, y, x)``. ``down`` is the operator's of that
    name: the block mean, or the crop of k-space, of which the Nyquist lines of even sizes are left out since no crop
    determines them.

    Raises:
        ModelError: no operator has that name.
    """
    found = operators.get(operator)
    error = found.down(torch.from_numpy(result.astype(np.float64)), scale) - torch.from_numpy(source.astype(np.float64))
    if found.reach == "frame":
        error = central(error)
    return error.abs().numpy()
