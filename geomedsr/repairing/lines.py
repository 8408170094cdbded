"""Lost lines: whole rows or columns of a frame that are alien to those beside them; found in one pass over a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.sources import Array, Source

#: At most so many lines are lost together.
MOST = 4

#: Rows of a stripe, without those that it shares with the one before.
_STRIPE = 64

#: How much more a lost line differs from the lines beside it than these differ from one another; and how much, as a
#: share of the value scale.
_TIMES, _LEAST = 4.0, 0.02

#: A pixel counts for at most such a share of the value scale.
_CAP = 0.5

#: A line is judged by so many pixels at least, and by such a share of its pixels.
_PIXELS, _SHARE = 16, 0.3


@dataclass(frozen=True)
class Lost:
    """Lost rows and columns of each frame and band: ``rows[frame][band]`` are numbers in rising order."""

    rows: tuple[tuple[tuple[int, ...], ...], ...]
    cols: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return any(lines for of in (self.rows, self.cols) for frame in of for lines in frame)

    def select(self, bands: list[int]) -> Lost:
        """Those of some of the bands."""
        return Lost(*(tuple(tuple(frame[b] for b in bands) for frame in of) for of in (self.rows, self.cols)))

    def marks(self, box: Box, bands: int) -> Array:
        """What of a box is lost, bool ``(frame, band, y, x)``."""
        found = np.zeros((box.shape[0], bands, *box.shape[1:]), bool)
        first, top, left = box.start
        for i, band in np.ndindex(found.shape[:2]):
            for lines, start, part in (
                (self.rows[first + i][band], top, found[i, band]),
                (self.cols[first + i][band], left, found[i, band].T),
            ):
                inside = [line - start for line in lines if 0 <= line - start < len(part)]
                part[inside] = True
        return found


def lost_lines(source: Source, span: Array) -> Lost:
    """Lost lines of a source; ``span`` is the width of each band's value scale, in stored units.

    Lines are lost, up to :data:`MOST` together, if they are unlike the lines on both sides of them, which are alike.
    The first and the last line of a frame have none on one side, and are not judged.
    """
    frames, bands, height, width = source.shape
    rows, cols = [], []
    for frame in range(frames):
        sums = [_Sums.of(bands, length) for length in (height, width)]
        for box, fresh in _stripes(frame, height, width):
            values, valid = source.read(box)[0], source.valid(box)[0]
            normal = np.where(valid, values, 0) / span[:, None, None]
            sums[0].along(normal, valid, box.start[1], fresh)
            sums[1].across(normal[:, fresh:], valid[:, fresh:])
        found = [[_lost(each, band) for band in range(bands)] for each in sums]
        rows.append(tuple(found[0]))
        cols.append(tuple(found[1]))
    return Lost(tuple(rows), tuple(cols))


def _stripes(frame: int, height: int, width: int) -> Iterator[tuple[Box, int]]:
    """Boxes of whole rows, and how many of their rows were in the one before."""
    for top in range(0, height, _STRIPE):
        first = max(0, top - MOST - 1)
        yield Box((frame, first, 0), (frame + 1, min(top + _STRIPE, height), width)), top - first


@dataclass
class _Sums:
    """Of each band and line, pixels that are data; and, of it and the ``k``-th after it, how many pairs of pixels are
    data, and how much they differ in all.
    """

    count: Array
    pairs: Array
    apart: Array

    @classmethod
    def of(cls, bands: int, length: int) -> _Sums:
        """Nothing yet."""
        several = MOST + 2, bands, length
        return cls(np.zeros((bands, length)), np.zeros(several), np.zeros(several))

    def along(self, values: Array, valid: Array, first: int, fresh: int) -> None:
        """Take in whole lines ``(band, line, pixel)`` from ``first`` on, of which some are known."""
        new = slice(first + fresh, first + values.shape[1])
        self.count[:, new] = valid[:, fresh:].sum(-1)
        for k in range(1, MOST + 2):
            if values.shape[1] <= k:
                break
            both = valid[:, k:] & valid[:, :-k]
            place = slice(first, first + values.shape[1] - k)
            self.pairs[k][:, place] = both.sum(-1)
            self.apart[k][:, place] = np.where(both, _apart(values[:, k:], values[:, :-k]), 0).sum(-1)

    def across(self, values: Array, valid: Array) -> None:
        """Take in a part of all lines: ``(band, pixel, line)``."""
        self.count += valid.sum(1)
        for k in range(1, min(MOST + 2, values.shape[-1])):
            both = valid[..., k:] & valid[..., :-k]
            self.pairs[k][:, :-k] += both.sum(1)
            self.apart[k][:, :-k] += np.where(both, _apart(values[..., k:], values[..., :-k]), 0).sum(1)


def _apart(one: Array, other: Array) -> Array:
    """How much pixels differ, at most :data:`_CAP`: a few that stick out make no line."""
    return np.asarray(np.minimum(np.abs(one - other), _CAP))


def _lost(sums: _Sums, band: int) -> tuple[int, ...]:
    """The lost lines of a band."""
    length = sums.count.shape[1]
    least = max(_PIXELS, _SHARE * float(sums.count[band].max()))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(sums.pairs[:, band] >= least, sums.apart[:, band] / sums.pairs[:, band], np.nan)
    found: set[int] = set()
    line = 1
    while line < length - 1:
        many = _many(apart, line, length)
        found.update(range(line, line + many))
        line += max(many, 1)
    return tuple(sorted(found))


def _many(apart: Array, line: int, length: int) -> int:
    """How many lines are lost from this one on."""
    for many in range(1, MOST + 1):
        after = line + many
        if after >= length:
            return 0
        sides = apart[many + 1, line - 1]  # the lines on both sides
        steps = np.minimum(apart[1, line - 1], apart[1, after - 1])  # into what is lost, and out of it
        each = [np.minimum(apart[k - line + 1, line - 1], apart[after - k, k]) for k in range(line, after)]
        usual = _usual(apart, line, after, length)
        alien = float(np.min([steps, *each]))  # NaN where something is not known, so that nothing follows
        if alien > _TIMES * sides and alien > _LEAST and not alien <= _TIMES * usual:
            return many
    return 0


def _usual(apart: Array, first: int, after: int, length: int) -> float:
    """How much lines differ from the next ones near here, but for those that may be lost."""
    before = apart[1, max(0, first - 9) : max(0, first - 1)]
    behind = apart[1, after : min(length, after + 8)]
    near = np.concatenate([before, behind])
    near = near[np.isfinite(near)]
    return float(np.median(near)) if near.size else float("nan")
