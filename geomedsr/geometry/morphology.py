"""Masks grown by whole rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

Mask = np.ndarray[Any, Any]


def near(mask: Mask, by: int) -> Mask:
    """Where a mask ``(…, y, x)`` is True within ``by`` rows and columns; bool, nothing is True beyond its edges."""
    return along(along(mask, by, -1), by, -2)


def along(mask: Mask, by: int, axis: int) -> Mask:
    """Where a mask is True within ``by`` places along an axis."""
    length = mask.shape[axis]
    count = np.cumsum(np.moveaxis(mask, axis, -1), -1, dtype=np.int32)
    count = np.concatenate([np.zeros_like(count[..., :1]), count], -1)
    place = np.arange(length)
    first, last = np.maximum(place - by, 0), np.minimum(place + by + 1, length)
    return np.moveaxis(np.asarray(count[..., last] > count[..., first]), -1, axis)
