"""Dead and hot pixels: single ones that nothing around them, and no other band, explains.

What an instrument sees is blurred by its optics, so that a bright roof or the glint of water lifts the pixels beside
it, too, and shows in several bands. Noise is as large in the pixels around as in the one that is looked at. A pixel is
judged by how far it lies from the median of the 24 around it, against how far they lie from it, and, of several bands,
by what a local regression on the others predicts.
"""

from __future__ import annotations

import numpy as np

from geomedsr.scene.sources import Array

#: How far a pixel stands out, as many times as those around it do, to count as a defect: of one band alone, and of
#: several bands, where the others must be calm. Those at an end of what can be stored need less.
ALONE, AMONG = 12.0, 8.0
ALONE_AT_END, AMONG_AT_END = 8.0, 5.0

#: What is added to the spread of pixels around, and the least height of a defect, as shares of the value scale.
_FLOOR, _HEIGHT = 0.01, 0.02

#: Rounds of looking: in each, what was found before is left out of what lies around.
_ROUNDS = 3

#: How many rows and columns around a pixel a decision depends on.
RADIUS = 2 * _ROUNDS

_RING = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)]
_NEXT = [i for i, place in enumerate(_RING) if max(map(abs, place)) == 1]

#: So many of the pixels around must be data, and so many of them may stand out as well, not being next to the pixel.
_LEAST, _OTHERS = 20, 2


def dead_pixels(values: Array, valid: Array, span: Array, ends: tuple[float, float]) -> Array:
    """Which pixels of an image are dead or hot.

    Args:
        values: stored values ``(band, y, x)`` with :data:`RADIUS` rows and columns around what is decided.
        valid: which are data.
        span: width of the value scale of each band ``(band,)``, in stored units.
        ends: the lowest and the highest value that can be stored.

    Returns:
        bool ``(band, y − 2 · RADIUS, x − 2 · RADIUS)``.
    """
    normal = np.where(valid, values, 0).astype(np.float64) / span[:, None, None]
    at_end = (values <= ends[0]) | (values >= ends[1])
    known, found = valid.copy(), np.zeros(valid.shape, bool)
    for _ in range(_ROUNDS):
        new = np.zeros_like(found)
        for band in range(len(values)):
            rows, cols = _peaks(normal[band], known[band])
            if len(rows):
                hit = _stands_out(normal, known, band, rows, cols, at_end[band, rows, cols])
                new[band, rows[hit], cols[hit]] = True
        if not new.any():
            break
        found |= new
        known &= ~new
    return np.asarray(found[:, RADIUS:-RADIUS, RADIUS:-RADIUS])


def at_low_end(values: Array, valid: Array, span: Array, end: float) -> tuple[Array, Array]:
    """Single pixels at the lowest value that can be stored, which may be stuck there (:func:`stuck`).

    Args:
        values: stored values ``(band, y, x)`` with :data:`RADIUS` rows and columns around what is decided.
        valid: which are data.
        span: width of the value scale of each band ``(band,)``, in stored units.
        end: that value.

    Returns:
        bool ``(band, y − 2 · RADIUS, x − 2 · RADIUS)``, True at such pixels with at most two like them next to them;
        and, for each band ``(band, 2)``, how many pixels have that value, and how many lie less than the least height
        of a defect above it.
    """
    inner = (..., slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    there = valid & (values == end)
    near = valid & (values > end) & (values - np.float64(end) < _HEIGHT * span[:, None, None])
    counts = np.stack([there[inner].sum((1, 2)), near[inner].sum((1, 2))], -1)
    if not counts[:, 0].any():
        return np.zeros(there[inner].shape, bool), counts
    count, (height, width) = np.zeros(there[inner].shape, np.int8), there.shape[1:]
    for y, x in (_RING[i] for i in _NEXT):
        count += there[:, RADIUS + y : height - RADIUS + y, RADIUS + x : width - RADIUS + x]
    return np.asarray(there[inner] & (count <= 2)), counts


def stuck(single: Array, counts: Array) -> Array:
    """In which bands single pixels at the lowest value are stuck, bool: nothing else of a scene comes near that value.

    Dark scenes fade into it, and what is filled with it lies together. ``single`` is how many there are of each band,
    ``counts`` are the sums of those of :func:`at_low_end`.
    """
    return np.asarray((single > 0) & (2 * single >= counts[:, 0]) & (10 * counts[:, 1] <= single))


def _peaks(image: Array, known: Array) -> tuple[Array, Array]:
    """Rows and columns of pixels that lie beyond all eight next to them, by a little at least."""
    height, width = image.shape
    inner = slice(2, height - 2), slice(2, width - 2)
    high, low = np.full((height - 4, width - 4), -np.inf), np.full((height - 4, width - 4), np.inf)
    for i in _NEXT:
        y, x = _RING[i]
        there = slice(2 + y, height - 2 + y), slice(2 + x, width - 2 + x)
        np.maximum(high, np.where(known[there], image[there], -np.inf), out=high)
        np.minimum(low, np.where(known[there], image[there], np.inf), out=low)
    here = image[inner]
    rows, cols = np.nonzero(known[inner] & ((here > high + _HEIGHT / 10) | (here < low - _HEIGHT / 10)))
    return np.asarray(rows + 2), np.asarray(cols + 2)


def _around(image: Array, known: Array, rows: Array, cols: Array) -> tuple[Array, Array, Array]:
    """Of the pixels around some: their median, their differences from it ``(pixel, 24)``, and how many are data.

    What is no data has a difference of 0.
    """
    values = np.stack([np.where(known[rows + y, cols + x], image[rows + y, cols + x], np.nan) for y, x in _RING], -1)
    count = np.isfinite(values).sum(-1)
    values[count == 0] = 0
    median = np.nanmedian(values, -1)
    return median, np.nan_to_num(values - median[:, None]), count


def _spread(differences: Array) -> Array:
    """The largest difference next to a pixel, or, but for a few, around it."""
    size = np.abs(differences)
    return np.asarray(np.maximum(size[:, _NEXT].max(-1), np.sort(size, -1)[:, -1 - _OTHERS]))


def _stands_out(normal: Array, known: Array, band: int, rows: Array, cols: Array, at_end: Array) -> Array:
    """Which of some pixels of a band are defects."""
    median, own, count = _around(normal[band], known[band], rows, cols)
    height = normal[band, rows, cols] - median
    spread = _spread(own)
    likely = (np.abs(height) > _HEIGHT) & (np.abs(height) > spread) & (count >= _LEAST)
    ratio = np.abs(height) / (spread + _FLOOR)
    if len(normal) == 1:
        return np.asarray(likely & (ratio >= np.where(at_end, ALONE_AT_END, ALONE)))
    hit = np.zeros(len(rows), bool)
    places = np.flatnonzero(likely)
    if not len(places):
        return hit
    rows, cols, own, height = rows[places], cols[places], own[places], height[places]
    others, here, calm = [], [], np.ones(len(places), bool)
    for other in range(len(normal)):
        if other == band:
            continue
        middle, its, _ = _around(normal[other], known[other], rows, cols)
        seen = known[other, rows, cols]
        off = np.where(seen, normal[other, rows, cols] - middle, 0)
        calm &= np.abs(off) < _spread(its) + 2 * _FLOOR
        others.append(its)
        here.append(off)
    left = _unexplained(own, height, np.stack(others, -1), np.stack(here, -1))
    least = np.where(at_end[places], AMONG_AT_END, AMONG)
    hit[places] = calm & (np.maximum(ratio[places], left) >= least)
    return hit


def _unexplained(own: Array, height: Array, others: Array, here: Array) -> Array:
    """How far a pixel lies off a regression on other bands, as many times as those around it do.

    ``own`` and ``others`` are differences of pixels around ``(pixel, 24)`` and ``(pixel, 24, band)``, ``height`` and
    ``here`` those of the pixels.
    """
    count = others.shape[-1]
    gram = np.einsum("kni,knj->kij", others, others) + 24e-4 * np.eye(count)
    slopes = np.linalg.solve(gram, np.einsum("kni,kn->ki", others, own)[..., None])[..., 0]
    rest = own - np.einsum("kni,ki->kn", others, slopes)
    spread = np.sort(np.abs(rest), -1)[:, -1]
    return np.asarray(np.abs(height - (here * slopes).sum(-1)) / (spread + _FLOOR))
