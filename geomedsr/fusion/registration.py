"""Where a frame lies in the reference: a shift by parts of a pixel, the same everywhere.

Whole pixels come from masked normalised cross-correlation (Padfield 2012, IEEE Trans. Image Process. 21, eqs. 8–10).
The rest is found by Gauss–Newton steps (Lucas and Kanade 1981, IJCAI) on the forward model itself: the frame is
compared with what it would show of the reference after cubic interpolation. The same is done with both swapped; the
two shifts must cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from geomedsr.fusion.footprints import Footprints
from geomedsr.fusion.trust import window_sum
from geomedsr.geometry import Box
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.pairs.correlation import correlation, lag_sums
from geomedsr.pairs.radiometry import fit_line
from geomedsr.scene.sampling import spread_windows
from geomedsr.scene.sources import Array, Source

#: Pixels of the reference that are looked at, at most, in windows of this side.
_PIXELS, _SIDE = 1 << 17, 128

#: How far off its grid a frame is looked for, in whole pixels, and how wide an edge of a window is not used.
FAR, _MARGIN = 8, 3

#: Rounds of least squares, and the step after which they end, in pixels.
_ROUNDS, _DONE = 10, 0.002

#: The reference is made so many times finer to be compared.
FINER = 4

#: Rotation and scale are looked for in parts of at least so many pixels a side.
_PART = 24

#: What is left out of the search for a shift: blocks whose means are further off a line than so many robust standard
#: deviations. Misplaced fields stay; clouds, which would draw the shift to their own edges, go.
_STRANGE = 8.0

#: Radiometry is fitted to means of so many pixels along each axis: noise and aliasing of single ones lower the slope.
_MEANS = 4


@dataclass(frozen=True)
class Piece:
    """A window of the reference: stored values ``(band, y, x)`` as float64, and where each is data."""

    box: Box
    values: Array
    known: Array


@dataclass(frozen=True)
class Registered:
    """What was found of a frame.

    ``shift`` is where its pixel (0, 0) lies in the reference, ``(rows, columns)`` in pixels. ``back`` is the largest
    difference between it and what the swapped search finds, ``alike`` the correlation with the reference there.
    ``turn`` and ``growth`` are how far a rotation and another scale move the scene's corners, in pixels. ``gains`` and
    ``offsets`` bring its values to the reference's, band by band.
    """

    shift: tuple[float, float]
    back: float
    alike: float
    turn: float
    growth: float
    gains: tuple[float, ...]
    offsets: tuple[float, ...]


def pieces_of(source: Source, frame: int, bands: Sequence[int]) -> list[Piece]:
    """Windows of a frame of the reference, spread over it."""
    chosen = source.select(bands)
    found = []
    for window in spread_windows(source.shape[2], source.shape[3], _PIXELS, _SIDE):
        box = Box.of(frame, window)
        known = chosen.valid(box)[0]
        found.append(Piece(box, np.where(known, chosen.read(box)[0], 0).astype(np.float64), known))
    return found


def registered(pieces: Sequence[Piece], other: Source, frame: int, nominal: tuple[int, int]) -> Registered | None:
    """The shift of a frame of ``other``, whose pixel (0, 0) should lie at ``nominal`` (row, column); None where its
    pixels do not tell it.
    """
    views = _likely([_View(piece, *_at(other, frame, piece, nominal)) for piece in pieces])
    row, col = _whole_pixels(views)
    nominal = nominal[0] + row, nominal[1] + col
    if row or col:
        views = _likely([_View(piece, *_at(other, frame, piece, nominal)) for piece in pieces])
    views = [view for view in views if view.known.mean() > 0.25]
    if not views:
        return None
    there = _refined([(view.piece.values, view.values, view.known) for view in views])
    back = _refined([(view.values, view.piece.values, view.known) for view in views])
    if there is None or back is None:
        return None
    turn, growth = _similarity(views, there)
    gains, offsets, alike = _radiometry(views, there)
    return Registered(
        shift=(nominal[0] + there[0], nominal[1] + there[1]),
        back=max(abs(there[0] + back[0]), abs(there[1] + back[1])),
        alike=alike,
        turn=turn,
        growth=growth,
        gains=gains,
        offsets=offsets,
    )


def read_beyond(source: Source, box: Box) -> tuple[Array, Array]:
    """Values as float64 ``(band, y, x)`` and validity of a box of one frame. Outside the source there is no data."""
    inside = box & Box.whole(source.shape)
    shape = source.shape[1], *box.shape[1:]
    values, known = np.zeros(shape), np.zeros(shape, bool)
    if not inside.empty:
        _, _, rows, columns = inside.within(box).index
        valid = source.valid(inside)[0]
        values[:, rows, columns] = np.where(valid, source.read(inside)[0], 0)
        known[:, rows, columns] = valid
    return values, known


def _at(other: Source, frame: int, piece: Piece, nominal: tuple[int, int]) -> tuple[Array, Array]:
    """The part of a frame that should show a piece of the reference."""
    window = piece.box.window
    return read_beyond(other, Box.of(frame, window.shifted(-nominal[1], -nominal[0])))


@dataclass(frozen=True)
class _View:
    """A frame's values ``(band, y, x)`` beside a piece of the reference, and where both are data in all bands."""

    piece: Piece
    values: Array
    valid: Array

    @property
    def known(self) -> Array:
        return np.asarray((self.valid & self.piece.known).all(0))


def _likely(views: Sequence[_View]) -> list[_View]:
    """Views without what shows something else by far, such as clouds."""
    strange = [np.zeros(view.known.shape, bool) for view in views]
    for band in range(len(views[0].values)):
        sums = [[window_sum(plane[band] * v.known) for plane in (v.piece.values, v.values)] for v in views]
        counts = [window_sum(view.known.astype(np.float64)) for view in views]
        means = [[part / np.maximum(n, 1) for part in both] for both, n in zip(sums, counts, strict=True)]
        ours, theirs = (np.concatenate([m[i][v.known] for m, v in zip(means, views, strict=True)]) for i in (0, 1))
        if len(ours) < 64:
            continue
        line = fit_line(theirs[::_MEANS], ours[::_MEANS])
        deviation = 1.4826 * float(np.median(np.abs(ours - line.gain * theirs - line.offset)))
        for plane, mean in zip(strange, means, strict=True):
            plane |= np.abs(mean[0] - line.gain * mean[1] - line.offset) > _STRANGE * deviation + 1e-9
    return [replace(view, valid=view.valid & ~plane) for view, plane in zip(views, strange, strict=True)]


def _whole_pixels(views: Sequence[_View]) -> tuple[int, int]:
    """The whole pixels by which the frame lies further down and right than its grid says: the highest correlation."""
    total = sum(_sums(view, band) for view in views for band in range(len(view.values)))
    found = correlation(np.asarray(total), 0.25 * float(np.max(np.asarray(total)[0])))
    row, col = np.unravel_index(int(found.argmax()), found.shape)
    return FAR - int(row), FAR - int(col)


def _sums(view: _View, band: int) -> Array:
    """The sums of a band of a view, its values made comparable with other bands' by the piece's mean and spread."""
    image, known = view.piece.values[band], view.piece.known[band]
    centre, scale = (float(image[known].mean()), float(image[known].std()) or 1.0) if known.any() else (0.0, 1.0)
    return lag_sums((image - centre) / scale, known, (view.values[band] - centre) / scale, view.valid[band], FAR)


_Both = list[tuple[Array, Array, Array]]


def _refined(both: _Both) -> tuple[float, float] | None:
    """The shift, below a pixel or two, of the second images in the first ones; None where there is nothing to see."""
    fine = [(finer(first), second, known) for first, second, known in both]
    shift = (0.0, 0.0)
    for _ in range(_ROUNDS):
        step = _step(fine, shift)
        if step is None:
            return None
        shift = shift[0] + step[0], shift[1] + step[1]
        if max(map(abs, shift)) > _MARGIN - 1:
            return None
        if max(map(abs, step)) < _DONE:
            break
    return shift


def finer(values: Array) -> Array:
    """``(band, y, x)`` made :data:`FINER` times finer by cubic interpolation, float64."""
    made: Array = BicubicSkip(FINER).double()(torch.from_numpy(values[None])).numpy()[0]
    return made


def _observed(fine: Array, shift: tuple[float, float], shape: tuple[int, ...]) -> Array:
    """What a shifted frame shows of a fine image, without the margin: ``(y − 2 m, x − 2 m)``."""
    count = shape[0] - 2 * _MARGIN, shape[1] - 2 * _MARGIN
    return Footprints(shift, FINER).seen(fine, (0, 0), (_MARGIN, _MARGIN), count)


def _inner(plane: Array) -> Array:
    return plane[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _step(fine: _Both, shift: tuple[float, float]) -> tuple[float, float] | None:
    """A Gauss–Newton step of the shift: by all bands, outliers weighted down (biweight of Tukey)."""
    normal, right = np.zeros((2, 2)), np.zeros(2)
    for rows in _equations(fine, shift):
        slopes, error = rows[:2], rows[2]
        normal += slopes @ slopes.T
        right += slopes @ error
    if np.linalg.det(normal) <= 1e-12 * max(np.trace(normal) ** 2, 1e-300):
        return None
    rows_step, columns_step = np.linalg.solve(normal, right)
    return float(np.clip(rows_step, -0.5, 0.5)), float(np.clip(columns_step, -0.5, 0.5))


def _equations(both: _Both, shift: tuple[float, float]) -> Iterator[Array]:
    """Of each band of each piece the weighted slopes along rows and columns, and the errors: ``(3, pixel)``."""
    half = 0.05
    for fine, second, known in both:
        if min(known.shape) <= 2 * _MARGIN + 8:
            continue
        on = _inner(known)
        for band in range(len(fine)):
            seen = _observed(fine[band], shift, known.shape)[on]
            down = _observed(fine[band], (shift[0] + half, shift[1]), known.shape)[on]
            up = _observed(fine[band], (shift[0] - half, shift[1]), known.shape)[on]
            right = _observed(fine[band], (shift[0], shift[1] + half), known.shape)[on]
            left = _observed(fine[band], (shift[0], shift[1] - half), known.shape)[on]
            values = _inner(second[band])[on]
            if len(values) < 64 or np.ptp(values) == 0 or np.ptp(seen) == 0:
                continue
            line = fit_line(seen, values)
            if line.gain <= 0:
                continue
            error = (values - line.offset) / line.gain - seen
            scale = 1.4826 * float(np.median(np.abs(error - np.median(error)))) + 1e-12
            weight = np.clip(1 - (error / (4.685 * scale)) ** 2, 0, 1) / scale
            yield np.stack([(down - up) / (2 * half), (right - left) / (2 * half), error]) * weight


def _similarity(views: Sequence[_View], shift: tuple[float, float]) -> tuple[float, float]:
    """How far a rotation and a change of scale move the corners beside the centre, in pixels: from the shifts of single
    pieces, fitted by ``shift + growth · p + turn · rotated p``. 0 where there are too few pieces.
    """
    found = []
    for view in views:
        for part in _quarters(view):
            local = _refined([part[:3]])
            if local is not None:
                found.append((part[3], part[4], local[0] - shift[0], local[1] - shift[1]))
    if len(found) < 6:
        return 0.0, 0.0
    rows, columns, down, right = (np.array(column) for column in zip(*found, strict=True))
    y, x = rows - rows.mean(), columns - columns.mean()
    one, none = np.ones_like(y), np.zeros_like(y)
    design = np.concatenate([np.stack([one, none, y, x], 1), np.stack([none, one, x, -y], 1)])
    values = np.concatenate([down, right])
    weight = np.ones(len(values))
    for _ in range(5):
        answer = np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0]
        error = np.abs(values - design @ answer)
        weight = np.sqrt(np.clip(1 - (error / (4.685 * (1.4826 * np.median(error) + 1e-9))) ** 2, 0, 1))
    far = float(np.hypot(np.ptp(rows), np.ptp(columns))) / 2
    doubt = 2 * float(np.median(np.abs(values - design @ answer))) * 1.4826 / max(len(found), 1) ** 0.5
    turn, growth = (max(abs(float(part)) * far - doubt, 0.0) for part in (answer[3], answer[2]))
    return turn, growth


def _quarters(view: _View) -> Iterator[tuple[Array, Array, Array, float, float]]:
    """A piece in parts: both images, where both are known, and the centre of each part."""
    known, window = view.known, view.piece.box.window
    rows, columns = (np.linspace(0, length, max(1, min(4, length // _PART)) + 1).astype(int) for length in known.shape)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            place = slice(top, bottom), slice(left, right)
            if known[place].mean() > 0.5:
                centre = window.row + (top + bottom) / 2, window.col + (left + right) / 2
                yield view.piece.values[:, *place], view.values[:, *place], known[place], *centre


def _radiometry(
    views: Sequence[_View], shift: tuple[float, float]
) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Gains and offsets that bring the frame's values to the reference's, and the correlation of the two, of the worst
    band.
    """
    bands = len(views[0].values)
    gains, offsets, alike = [], [], 1.0
    fines = [finer(view.piece.values) for view in views]
    for band in range(bands):
        xs, ys, means = [], [], []
        for view, fine in zip(views, fines, strict=True):
            if min(view.known.shape) <= 2 * _MARGIN + 8:
                continue
            seen, values, on = (
                _observed(fine[band], shift, view.known.shape),
                _inner(view.values[band]),
                _inner(view.known),
            )
            xs.append(values[on])
            ys.append(seen[on])
            means.append(_block_means(values, seen, on))
        x, y = (np.concatenate(parts or [np.empty(0)]) for parts in (xs, ys))
        pairs = np.concatenate(means, 1) if means else np.empty((2, 0))
        line = fit_line(pairs[0], pairs[1])
        gains.append(line.gain)
        offsets.append(line.offset)
        varied = len(x) > 2 and x.std() > 0 and y.std() > 0
        alike = min(alike, float(np.corrcoef(x, y)[0, 1]) if varied else 0.0)
    return tuple(gains), tuple(offsets), alike


def _block_means(values: Array, seen: Array, on: Array) -> Array:
    """Means of both over blocks that are known whole: ``(2, block)``."""
    rows, columns = (length // _MEANS for length in on.shape)
    cut = slice(0, rows * _MEANS), slice(0, columns * _MEANS)
    shape = rows, _MEANS, columns, _MEANS
    whole = on[cut].reshape(shape).all((1, 3))
    return np.stack([plane[cut].reshape(shape).mean((1, 3))[whole] for plane in (values, seen)])
