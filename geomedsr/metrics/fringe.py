"""Fringes: wrong colours at strong edges, where bands that are made separately disagree on the edge's position."""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: The share of a square's pixels that count as strong edges.
_SHARE = 0.05


def gradient(truth: Array, peak: Array) -> Array:
    """How steep the truth is at each pixel: ``(band, y, x)`` to ``(y, x)``.

    The magnitude of the gradient, by central differences, of the mean over bands of values divided by their ``peak``.
    """
    mean = (truth / peak[:, None, None]).mean(0)
    steep: Array = np.hypot(*np.gradient(mean))
    return steep


def edges(steep: Array, counted: Array) -> Array:
    """Which pixels ``(y, x)`` of a square are strong edges: the steepest twentieth of those ``counted``."""
    known = steep[counted]
    if not known.size:
        return counted
    found: Array = counted & (steep >= np.quantile(known, 1 - _SHARE)) & (steep > 0)
    return found
