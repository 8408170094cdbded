"""Areas of a scene inside polygons: which pixels lie inside, and a source that masks all others.

Polygons are kept as JSON text, so that a result can carry them: a list of polygons, each a list of rings, each a
flat list of ``column, row`` in pixel-corner coordinates of the source, to a thousandth of a pixel. A pixel is inside
a polygon if its centre lies inside an odd number of the polygon's rings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source, WrappingSource

#: Decimals to which pixel coordinates are rounded.
_DECIMALS = 3

#: Rings of polygons, each an array ``(point, 2)`` of column and row, closed.
Polygons = Sequence[Sequence[Array]]


def text_of(polygons: Polygons) -> str:
    """Polygons as text; consecutive points that round to the same coordinates become one."""
    kept = []
    for rings in polygons:
        short = []
        for ring in rings:
            points = np.round(ring, _DECIMALS) + 0.0  # no negative zeros
            moved = np.append(True, (points[1:] != points[:-1]).any(1))
            short.append([int(v) if v == int(v) else v for v in points[moved].ravel().tolist()])
        kept.append(short)
    return json.dumps(kept, separators=(",", ":"))


@lru_cache(maxsize=8)
def polygons_of(text: str) -> tuple[tuple[Array, ...], ...]:
    """The polygons in a text.

    Raises:
        ValueError: the text does not hold polygons.
    """
    try:
        found = tuple(tuple(np.array(ring, np.float64).reshape(-1, 2) for ring in rings) for rings in json.loads(text))
    except (TypeError, RecursionError) as error:
        raise ValueError("no polygons") from error
    if not all(len(ring) and np.isfinite(ring).all() for rings in found for ring in rings):
        raise ValueError("no polygons")
    return found


@lru_cache(maxsize=8)
def _edges(text: str) -> tuple[Array, ...]:
    """The edges of each polygon's rings, as arrays ``(4, edge)``: columns and rows of their ends."""
    found = []
    for rings in polygons_of(text):
        ends = [np.concatenate([ring, np.roll(ring, -1, 0)], 1) for ring in rings]  # closes open rings
        edges = np.concatenate(ends or [np.empty((0, 4))]).T
        found.append(edges[:, edges[1] != edges[3]])
    return tuple(found)


def inside(text: str, rows: Array, cols: Array) -> Array:
    """Which pixels at these rows and columns of the source, in rising order, lie inside: boolean ``(row, column)``."""
    found = np.zeros((len(rows), len(cols)), bool)
    ys, xs = rows + 0.5, cols + 0.5
    for edges in _edges(text):
        x0, y0, x1, y1 = edges
        low, high = np.minimum(y0, y1), np.maximum(y0, y1)
        near = (high > ys[0]) & (low <= ys[-1])
        if not near.any() or min(x0.min(), x1.min()) > xs[-1] or max(x0.max(), x1.max()) < xs[0]:
            continue
        (x0, y0, x1, y1), low, high = edges[:, near], low[near], high[near]
        for row, y in enumerate(ys):
            cut = (low <= y) & (y < high)
            if cut.any():
                crossings = x0[cut] + (y - y0[cut]) / (y1[cut] - y0[cut]) * (x1[cut] - x0[cut])
                found[row] |= np.searchsorted(np.sort(crossings), xs, "right") % 2 == 1
    return found


@dataclass(frozen=True)
class AreaSource(WrappingSource):
    """A source whose pixels outside some polygons are no data and hold ``fills``, one value for each band.

    ``area`` is the polygons' text, in pixels ``by`` times coarser than this source's. ``origin`` (row, column) is the
    position of this source's first pixel on that grid, in its own pixels. All pixels of a result that were made from
    one source pixel are therefore inside, or all are outside.
    """

    area: str
    fills: tuple[float | int, ...]
    by: int = 1
    origin: tuple[int, int] = (0, 0)

    def coarser(self, inner: Source, scale: int) -> AreaSource:
        """The same area of ``inner``, a source ``scale`` times coarser."""
        row, col = self.origin
        return replace(self, whole=inner, by=self.by // scale, origin=(row // scale, col // scale))

    def read(self, box: Box) -> Array:
        """Stored values of a box; one that lies outside is neither read nor computed."""
        known = self.inside(box)
        if known.all():
            return self.whole.read(box)
        fills = np.array(self.fills, self.dtype)[:, None, None]
        frames, height, width = box.shape
        if not known.any():
            return np.broadcast_to(fills, (frames, len(self.fills), height, width))
        return np.where(known, self.whole.read(box), fills)

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        known = self.inside(box)
        frames, height, width = box.shape
        if not known.any():
            return np.broadcast_to(np.False_, (frames, self.shape[1], height, width))
        return np.asarray(self.whole.valid(box) & known)

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As in the whole source, plus a mask for bands that have no nodata value to mark pixels outside."""
        return tuple(way if Masking.VALUE in way else way | Masking.MASK for way in self.whole.masking)

    def inside(self, box: Box) -> Array:
        """Which pixels of a box lie inside, ``(y, x)``."""
        _, row, col = box.start
        rows, cols = (
            (np.arange(first, first + size) + offset) // self.by
            for first, size, offset in zip((row, col), box.shape[1:], self.origin, strict=True)
        )
        own = (np.arange(axis[0], axis[-1] + 1) for axis in (rows, cols))
        found = inside(self.area, *own)
        return np.asarray(found[np.ix_(rows - rows[0], cols - cols[0])])

    def select(self, bands: Sequence[int]) -> AreaSource:
        """Some of the bands."""
        return replace(self, whole=self.whole.select(bands), fills=tuple(self.fills[b] for b in bands))
