"""Phases: a fine image as the ``s²`` coarse images of the pixels that lie at one place in each ``s × s`` block.

What PixelShuffle makes one image of (Shi et al. 2016, arXiv:1609.05158, eq. 4), before it does: ``(…, s², H, W)`` for
``(…, s·H, s·W)``, row by row of the block. Each phase lies in one piece in memory, and the mean of
a block is that of one pixel over the phases.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np

from geomedsr.sources import Array


def places(scale: int) -> Iterator[tuple[Any, slice, slice]]:
    """The ``s²`` places in a block, each as an index that takes that pixel of every block."""
    for i in range(scale):
        for j in range(scale):
            yield ..., slice(i, None, scale), slice(j, None, scale)


def split(fine: Array, scale: int) -> Array:
    """The phases of a fine image."""
    return np.stack([fine[place] for place in places(scale)], axis=-3)


def merged(phases: Array, out: Array | None = None) -> Array:
    """The fine image of phases; in ``out`` if that is given."""
    *others, count, height, width = phases.shape
    scale = isqrt(count)
    if out is None:
        out = np.empty((*others, scale * height, scale * width), phases.dtype)
    for number, place in enumerate(places(scale)):
        out[place] = phases[..., number, :, :]
    return out
