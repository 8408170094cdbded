"""Sub-pixel planes: a fine image as coarse images, one for each position inside a block of fine pixels.

This is the input of PixelShuffle (Shi et al. 2016, arXiv:1609.05158, eq. 4): ``(…, v, H, W)`` for ``(…, fy·H, fx·W)``.
The ``v`` planes stand for the pixels of a block, row by row, and slice by slice where new slices are made between
slices. Each plane is contiguous in memory, and the mean of a block is the mean over the planes at one pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from geomedsr.geometry import Factors
from geomedsr.scene.sources import Array


def places(factors: Factors) -> Iterator[tuple[Any, ...]]:
    """The positions in a block, each as an index that selects that pixel of every block.

    The axes are ``(frame, …, y, x)`` if frames are made finer, else ``(…, y, x)``.
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
    """The fine image from its sub-pixel planes; written to ``out`` if given."""
    *others, _, height, width = subpixels.shape
    if out is None:
        if factors.frame > 1:
            others[0] *= factors.frame
        out = np.empty((*others, factors.y * height, factors.x * width), subpixels.dtype)
    for number, place in enumerate(places(factors)):
        out[place] = subpixels[..., number, :, :]
    return out
