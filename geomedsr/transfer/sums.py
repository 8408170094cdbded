"""A block's sum, parted: into the sums of its halves, of theirs, and so on to its pixels.

With a sum one half tells the other, so nothing is sent twice: sums and halves are the integer transform that is called
lifting (Calderbank et al. 1998, Applied and Computational Harmonic Analysis 5, 332), here with a predictor that is
fitted to each part of a scene. What is known around a block on both sides predicts its halves; every second block of a
chessboard, the others being known by then, is predicted from their halves too, and so is a band from those before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from geomedsr.scene.sources import Array
from geomedsr.transfer.predicting import PLAIN, Coder

#: Where sums are taken from, across and along the cut, and where halves are, of blocks that are known.
_AROUND = ((0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1), (-1, 0), (1, 0), (0, -2), (0, 2))
_BESIDE = ((0, -1), (0, 1), (-1, 0), (1, 0))

#: The margin that these need, and how many of the bands before one are looked at.
_MARGIN, BANDS = 2, 3


@dataclass(frozen=True)
class Cut:
    """Blocks of a size are parted in so many along an axis: rows 0, columns 1."""

    axis: int
    parts: int
    pixels: int


def cuts(factor: int) -> list[Cut]:
    """The cuts of ``factor × factor`` pixels, the first ones first."""
    found: list[Cut] = []
    left, prime = factor, 2
    while left > 1:
        while left % prime == 0:
            left //= prime
            for axis in (1, 0):
                before = factor * factor if not found else found[-1].pixels // found[-1].parts
                found.append(Cut(axis, prime, before))
        prime += 1
    return found


def transform(
    coder: Coder, coarse: Array, dead: Array, factor: int, truth: Array | None, beside: Iterable[list[Array]]
) -> tuple[Array, list[Array]]:
    """One band's numbers ``(y, x)``, to a coder or from it.

    Args:
        coder: what writes or reads them.
        coarse: the means of blocks, about; int64. In blocks with dead pixels these have just that value.
        dead: True at pixels that need not be sent.
        factor: the side of a block.
        truth: the numbers, where they are written.
        beside: what the last :data:`BANDS` bands gave back: for each cut, by how much parts are off an even share, and
            off the prediction.

    Returns:
        The numbers, and what this band gives to later ones.
    """
    sequence = cuts(factor)
    alive = _counts(~dead, sequence)
    levels = None if truth is None else _levels(truth, sequence)
    known = coarse * (factor * factor)
    own = alive[0] > 0
    rest = coder.coded(np.full(int(own.sum()), PLAIN, np.uint8), None if levels is None else (levels[0] - known)[own])
    sums = known.copy()
    sums[own] += rest
    offsets: list[Array] = []
    for number, cut in enumerate(sequence):
        before = [found[number] for found in beside]
        parts = None if levels is None else _parts(levels[number + 1], cut)
        sums, facts = _parted(coder, sums, coarse, cut, _parts(alive[number + 1], cut), parts, before)
        offsets.append(facts)
        coarse = np.repeat(coarse, cut.parts, cut.axis)
    return sums, offsets


def _levels(pixels: Array, sequence: list[Cut]) -> list[Array]:
    """Sums after each cut, the whole blocks' first."""
    found = [pixels]
    for cut in reversed(sequence):
        found.append(sum(_parts(found[-1], cut)))  # type: ignore[arg-type]
    return found[::-1]


def _counts(alive: Array, sequence: list[Cut]) -> list[Array]:
    return _levels(alive.astype(np.int64), sequence)


def _parts(sums: Array, cut: Cut) -> list[Array]:
    return [sums[i :: cut.parts] if cut.axis == 0 else sums[:, i :: cut.parts] for i in range(cut.parts)]


def _parted(
    coder: Coder, sums: Array, fill: Array, cut: Cut, alive: list[Array], truth: list[Array] | None, before: list[Array]
) -> tuple[Array, Array]:
    """The sums of parts, and by how much each but the last is off: ``(2, part, y, x)``."""
    if cut.axis == 0:  # rows are columns of the other way round
        sums, fill, alive = sums.T, fill.T, [part.T for part in alive]
        truth = None if truth is None else [part.T for part in truth]
        before = [found.transpose(0, 1, 3, 2) for found in before]
    height, width = sums.shape
    share = fill * (cut.pixels // cut.parts)
    around = np.pad(sums, _MARGIN, mode="edge")
    facts = np.zeros((2, cut.parts - 1, height, width), np.int64)
    left, found = sums, []
    for part in range(cut.parts - 1):
        even = left // (cut.parts - part)
        others = sum(alive[part + 1 :])
        open_ = (alive[part] > 0) & (others > 0)  # else what is dead tells the rest
        value = np.where(alive[part] > 0, left - share * (cut.parts - part - 1), share)
        off, residuals = (np.zeros((height + 2 * _MARGIN, width + 2 * _MARGIN), np.int64) for _ in range(2))
        inner = (slice(_MARGIN, -_MARGIN),) * 2
        aim = None if truth is None else truth[part] - even
        off[inner] = np.where(open_, 0, value - even)
        for phase in range(2):
            rows, columns = np.nonzero(open_ & _chessboard(height, width, phase))
            if not len(rows):
                continue
            at = (rows + _MARGIN) * around.shape[1] + columns + _MARGIN
            known = [facts[0, earlier][rows, columns] for earlier in range(part)]
            known += [band[0, part][rows, columns] for band in before]
            about = [np.abs(band[1, part][rows, columns]) for band in before]
            steps = [_at(around, at, place) - _at(around, at, (0, 0)) for place in _AROUND]
            about += [np.abs(step) for step in steps] + [np.full(len(rows), 16)]
            if phase:
                known += [_at(off, at, place) for place in _BESIDE]
                about += [np.abs(_at(residuals, at, place)) for place in _BESIDE]
            numbers, errors = coder.predicted(
                np.stack([*steps, *known]), np.stack(about), None if aim is None else aim[rows, columns]
            )
            off.ravel()[at], residuals.ravel()[at] = numbers, errors
        facts[0, part], facts[1, part] = off[inner], residuals[inner]
        found.append(even + facts[0, part])
        left = left - found[-1]
    found.append(left)
    whole = np.stack(found, -1).reshape(height, width * cut.parts)
    return (whole.T, facts.transpose(0, 1, 3, 2)) if cut.axis == 0 else (whole, facts)


def _chessboard(height: int, width: int, phase: int) -> Array:
    return np.asarray((np.arange(height)[:, None] + np.arange(width) + phase) % 2 == 0)


def _at(array: Array, at: Array, place: tuple[int, int]) -> Array:
    return np.asarray(array.ravel()[at + place[0] * array.shape[1] + place[1]])
