"""Where a grid lies on the Earth, as GeoJSON has it: longitude and latitude of its outline (RFC 7946)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from geomedsr.geometry.grid import Grid

Point = tuple[float, float]

#: Pieces that each side of the outline is cut into, as straight lines of a map bend on the globe.
_PIECES = 8

#: Digits of a degree: about a centimetre.
_DIGITS = 7


def footprint(grid: Grid) -> tuple[dict[str, Any], list[float]] | None:
    """The outline of a grid as a GeoJSON geometry, and its box ``[west, south, east, north]``, in degrees.

    What crosses the 180th meridian is cut there in two, and the box then has its west east of its east (RFC 7946, 3.1.9
    and 5.2). None of a grid without an affine or a CRS, and where a corner has no place on the globe.
    """
    if grid.affine is None or grid.crs is None:
        return None
    from pyproj import Transformer  # slow to import
    from pyproj.exceptions import ProjError

    outline = _outline(grid)
    try:
        ways = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True)
        xs, ys = ways.transform([x for x, _ in outline], [y for _, y in outline])
    except ProjError:
        return None
    ring = _unbroken(list(map(float, xs)), list(map(float, ys)))
    if ring is None:
        return None
    if abs(ring[-1][0] - ring[0][0]) > 180:  # around a pole
        _, south, _, north = _box(ring)
        south, north = (south, 90.0) if south + north > 0 else (-90.0, north)
        ring = [(-180, south), (180, south), (180, north), (-180, north)]
    west, south, east, north = _box(ring)
    if east <= 180:
        return {"type": "Polygon", "coordinates": [_closed(ring)]}, [west, south, east, north]
    halves = [_cut(ring, 1), [(x - 360, y) for x, y in _cut(ring, -1)]]
    geometry = {"type": "MultiPolygon", "coordinates": [[_closed(half)] for half in halves if len(half) > 2]}
    return geometry, [west, south, round(east - 360, _DIGITS), north]


def _unbroken(xs: Sequence[float], ys: Sequence[float]) -> list[Point] | None:
    """The points as a line without leaps from one end of the map to the other, and so perhaps beyond 180°; its west is
    on the map. None of points beyond the poles, or without a place.
    """
    if not all(math.isfinite(x) and abs(x) <= 360 and abs(y) <= 90 for x, y in zip(xs, ys, strict=True)):
        return None
    line = [xs[0]]
    for x in xs[1:]:
        line.append(x - 360 * round((x - line[-1]) / 360))
    turns = 360 * math.floor((min(line) + 180) / 360)
    return [(x - turns, y) for x, y in zip(line, ys, strict=True)]


def _outline(grid: Grid) -> list[Point]:
    """Points along the outer edges, back to the first one, in world units."""
    assert grid.affine is not None
    height, width = grid.shape
    corners = [(0, 0), (0, height), (width, height), (width, 0), (0, 0)]
    steps = [i / _PIECES for i in range(_PIECES)]
    places = [(a + (c - a) * t, b + (d - b) * t) for (a, b), (c, d) in pairwise(corners) for t in steps]
    return [grid.affine @ place for place in [*places, corners[0]]]


def _cut(ring: Sequence[Point], side: int) -> list[Point]:
    """What of a ring lies west of the 180th meridian (``side`` 1), or east of it (-1)."""
    kept: list[Point] = []
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        within, leaves = side * (180 - x0) >= 0, (x0 - 180) * (x1 - 180) < 0
        if within:
            kept.append((x0, y0))
        if leaves:
            kept.append((180.0, y0 + (y1 - y0) * (180 - x0) / (x1 - x0)))
    return kept


def _closed(ring: Sequence[Point]) -> list[list[float]]:
    """A ring that ends where it begins, its inside to the left."""
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    points = [[round(x, _DIGITS), round(y, _DIGITS)] for x, y in (ring if twice > 0 else ring[::-1])]
    return points if points[0] == points[-1] else [*points, points[0]]


def _box(ring: Sequence[Point]) -> list[float]:
    xs, ys = zip(*ring, strict=True)
    return [round(value, _DIGITS) for value in (min(xs), min(ys), max(xs), max(ys))]
