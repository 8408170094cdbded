"""Phases: a fine image as the coarse images of the pixels that lie at one place in each block of fine pixels.

What PixelShuffle makes one image of (Shi et al. 2016, arXiv:1609.05158, eq. 4), before it does: ``(…, v, H, W)`` for
``(…, fy·H, fx·W)``, with as many sub-pixel planes ``v`` as a block has pixels, row by row of the block, slice by slice
where new slices are made between slices. Each plane lies in one piece in memory, and the mean of a block is that of
one pixel over these planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from geomedsr.geometry import Factors
from geomedsr.scene.sources import Array


def places(factors: Factors) -> Iterator[tuple[Any, ...]]:
    """The places in a block, each as an index that takes that pixel of every block; of axes ``(frame, …, y, x)`` where
    there are factors along the frames, else of ``(…, y, x)``.
    """
    for k in range(factors.frame):
        frames = () if factors.frame == 1 else (slice(k, None, factors.frame),)
        for i in range(factors.y):
            for j in range(factors.x):
                yield *frames, ..., slice(i, None, factors.y), slice(j, None, factors.x)


def split(fine: Array, factors: Factors) -> Array:
    """The sub-pixel planes of a fine image."""
    return np.stack([fine[place] for place in places(factors)], axis=-3)


def merged(subpixels: Array, factors: Factors, out: Array | None = None) -> Array:
    """The fine image of sub-pixel planes; in ``out`` if that is given."""
    *others, _, height, width = subpixels.shape
    if out is None:
        if factors.frame > 1:
            others[0] *= factors.frame
        out = np.empty((*others, factors.y * height, factors.x * width), subpixels.dtype)
    for number, place in enumerate(places(factors)):
        out[place] = subpixels[..., number, :, :]
    return out
