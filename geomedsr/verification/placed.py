"""Whether a result has its source's position, apart from the affine."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from geomedsr.geometry.crs import same_crs
from geomedsr.geometry.grid import Grid

#: How far an outer corner may move, in source pixels.
CORNER = 0.01


def differences(wanted: Grid, found: Grid, factor: int) -> list[str]:
    """In words, the differences in position between a result and its source, apart from the affine."""
    near = CORNER * factor
    by_affine = wanted.affine is not None
    points = len(wanted.gcps) == len(found.gcps) and all(
        abs(a.row - b.row) + abs(a.col - b.col) < near and np.allclose((a.x, a.y, a.z), (b.x, b.y, b.z), 1e-9, 1e-9)
        for a, b in zip(wanted.gcps, found.gcps, strict=True)
    )
    checks = {
        "CRS": same_crs(wanted.crs, found.crs) or not (by_affine or wanted.crs is None or wanted.gcps == ()),
        "coordinate epoch": wanted.epoch == found.epoch,
        "GCPs": by_affine or (points and same_crs(wanted.gcp_crs, found.gcp_crs)),
        "RPCs": _same_fields(wanted.rpcs, found.rpcs),
        "geolocation arrays": _same_fields(wanted.geolocation, found.geolocation),
    }
    return [what for what, kept in checks.items() if not kept]


def _same_fields(wanted: Mapping[str, str] | None, found: Mapping[str, str] | None) -> bool:
    """Whether both have fields, and common fields agree; a reader may add fields without meaning."""
    if wanted is None or found is None:
        return wanted is found
    return all(_same_text(wanted[key], found[key]) for key in wanted.keys() & found.keys())


def _same_text(one: str, other: str) -> bool:
    """Whether two texts are equal, or equal as numbers."""
    if one == other:
        return True
    try:
        pairs = list(zip(map(float, one.split()), map(float, other.split()), strict=True))
    except ValueError:
        return False
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in pairs)
