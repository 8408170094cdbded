"""Gaps: narrow and long runs of no data between data, as Landsat 7 leaves them without its scan line corrector.

What is no data at the edges of a scene, or in patches such as masked clouds, is none of them.
"""

from __future__ import annotations

import numpy as np

from geomedsr.geometry.morphology import along
from geomedsr.scene.sources import Array

#: A gap is at most so wide, with at least so much data on both sides, and at least so long.
WIDEST, BESIDE, SHORTEST = 20, 6, 24

#: How far a gap may move sideways over its length.
_SLANT = 5

#: How many rows and columns around a pixel a decision depends on.
RADIUS = WIDEST + BESIDE + SHORTEST + _SLANT + 1


def gaps(valid: Array) -> Array:
    """Which pixels that are no data lie in gaps, along rows or along columns.

    Args:
        valid: which are data, ``(…, y, x)``, with :data:`RADIUS` rows and columns around what is decided.

    Returns:
        bool ``(…, y − 2 · RADIUS, x − 2 · RADIUS)``.
    """
    inner = (..., slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    if valid.all():
        return np.zeros(valid[inner].shape, bool)
    found = _across(valid) | _across(valid.swapaxes(-1, -2)).swapaxes(-1, -2)
    return np.asarray(found[inner])


def _across(valid: Array) -> Array:
    """Gaps that run along rows."""
    thin = _thin(valid)
    if not thin.any():
        return thin
    wide = along(thin, _SLANT, -2)
    half = SHORTEST // 2
    core = ~along(~wide, half, -1)  # a run of at least SHORTEST columns on either side is there
    return np.asarray(thin & along(core, half, -1))


def _thin(valid: Array) -> Array:
    """What is no data in runs of at most :data:`WIDEST` rows, between runs of data of at least :data:`BESIDE` rows."""
    solid = valid & _solid(valid)
    up, down = _since(solid), _since(solid[..., ::-1, :])[..., ::-1, :]
    return np.asarray(~valid & (up + down <= WIDEST + 1))


def _solid(valid: Array) -> Array:
    """Data in a run of at least :data:`BESIDE` rows."""
    height = valid.shape[-2]
    count = np.zeros((*valid.shape[:-2], height + 1, valid.shape[-1]), np.int32)
    np.cumsum(valid, -2, out=count[..., 1:, :])
    full = np.zeros(valid.shape, bool)
    if height >= BESIDE:
        full[..., : height - BESIDE + 1, :] = count[..., BESIDE:, :] - count[..., :-BESIDE, :] == BESIDE
    run = full.copy()
    for shift in range(1, BESIDE):
        run[..., shift:, :] |= full[..., :-shift, :]
    return run


def _since(solid: Array) -> Array:
    """How many rows above the last solid pixel is; many where there is none."""
    height = solid.shape[-2]
    place = np.arange(height)[:, None]
    last = np.maximum.accumulate(np.where(solid, place, -height - WIDEST), -2)
    return np.asarray(place - last)
