"""How far a guide lies off its coarse image, measured on the pixels of both.

The image's bands are weighted so that together they look as the guide does, reduced to their grid (least squares, where
both are data). The whole pixels of a shift are where masked normalised correlation of the two is highest (Padfield
2012, "Masked object registration in the Fourier domain", IEEE Trans. Image Process. 21, eqs. 8 to 10). What is left is
found by least squares on the guide's gradients (Lucas and Kanade 1981, IJCAI), the guide being resampled anew in each
round, so that the last round finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.pairs.correlation import correlation, lag_sums
from geomedsr.scene.bands import continuous
from geomedsr.scene.sampling import spread_windows
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.sharpening.guides import Relation, fitted

#: Coarse pixels that are looked at, at most, in blocks of this side.
_PIXELS, _SIDE = 1 << 17, 96

#: How far the whole pixels of a shift are looked for, in coarse pixels.
_FAR = 8

#: The share of the guide's variance that the image's bands must explain, for the two to show a shift.
_ALIKE = 0.5

#: The fewest coarse pixels that show one.
_FEWEST = 256

#: Shifts up to this are left as they are, longer ones than the second refused, in coarse pixels: nothing then says that
#: the two show one place.
NEAR, MOST = 0.05, 1.0

#: Rounds of least squares, and the step, in coarse pixels, after which they end.
_ROUNDS, _DONE = 6, 0.005


@dataclass(frozen=True)
class Shift:
    """How far the guide's content lies right of and below where its grid says, in pixels of the coarse image.

    ``alike`` is the share of the guide's variance that the image explains there.
    """

    x: float
    y: float
    alike: float

    @property
    def far(self) -> float:
        """The longer of both."""
        return max(abs(self.x), abs(self.y))


def measured(coarse: Scene, guide: Scene, found: Relation, factor: int) -> Shift | None:
    """The shift between an image and a guide of one band; None where their pixels do not show one.

    That is where too few are data in both, or they are too unlike. Blocks spread over the scene are read now.
    """
    image, guide = continuous(coarse), replace(guide, scale=guide.values)  # sampled once
    pieces = [_Piece.of(image, box) for box in _boxes(image)]
    pieces = [piece for piece in pieces if piece.known.sum() >= min(_FEWEST, piece.known.size)]
    dx, dy, alike = 0.0, 0.0, None
    for number in range(_ROUNDS):
        moved = found.moved((dx * found.scale[0], dy * found.scale[1]))
        placed = fitted(image, guide, moved, factor).scene
        given = [(piece, *_reduced(placed, piece.box, factor)) for piece in pieces]
        alike = _alike(given)
        if alike is None:
            return None
        if number == 0 and (whole := _whole(given)) != (0, 0):
            dx, dy = map(float, whole)
            continue
        step = _step(given)
        if step is None or alike < _ALIKE:
            return None
        dx, dy = dx + step[0], dy + step[1]
        if max(map(abs, step)) < _DONE or max(abs(dx), abs(dy)) > 2 * _FAR:
            break
    assert alike is not None
    return Shift(dx, dy, alike)


def registered(coarse: Scene, guide: Scene, found: Relation, factor: int) -> tuple[Relation, str]:
    """The relation with the shift that is measured, if it is one, and what was found, in words.

    Raises:
        InputError: a shift of more than a coarse pixel.
    """
    shift = measured(coarse, guide, found, factor)
    if shift is None:
        return found, "its shift does not show in the pixels, and it is left where its grid says"
    offset = f"{shift.x:+.2f}, {shift.y:+.2f} (x, y) coarse pixels"
    if shift.far > MOST:
        raise InputError(
            f"the guide {guide.name}, whose pixels lie {offset} off those of {coarse.name}",
            f"at most {MOST:g}",
            "correct the georeferencing of one of them, or say --register no if you know better",
        )
    if shift.far <= NEAR:
        return found, f"measured to lie within {NEAR:g} of a coarse pixel"
    return found.moved((shift.x * found.scale[0], shift.y * found.scale[1])), f"moved by the {offset} that it lies off"


@dataclass(frozen=True)
class _Piece:
    """A block of the image: values ``(band, y, x)``, and where all of them are data."""

    box: Box
    values: Array
    known: Array

    @classmethod
    def of(cls, image: Scene, box: Box) -> _Piece:
        stored, valid = image.source.read(box), image.source.valid(box)
        values = image.values.normalise(np.where(valid, stored, np.zeros((), stored.dtype)), box.frames)
        return cls(box, values.numpy()[0].astype(np.float64), valid[0].all(0))


def _boxes(image: Scene) -> Iterator[Box]:
    _, _, height, width = image.shape
    for window in spread_windows(height, width, _PIXELS, _SIDE):
        yield Box.of(0, window)


def _reduced(placed: Scene, box: Box, factor: int) -> tuple[Array, Array]:
    """The guide's block means, normalised, and where all of a block is data: ``(y, x)`` each."""
    there = box.refined(Factors.in_plane(factor))
    stored, valid = placed.source.read(there), placed.source.valid(there)
    fine = placed.values.normalise(np.where(valid, stored, np.zeros((), stored.dtype)), box.frames).numpy()[0, 0]
    shape = box.shape[1], factor, box.shape[2], factor
    return fine.reshape(shape).mean((1, 3), np.float64), valid[0, 0].reshape(shape).all((1, 3))


_Given = list[tuple[_Piece, Array, Array]]


def _alike(given: _Given) -> float | None:
    """The share of the guide's variance that weighted bands explain; None of too few pixels, or of one value."""
    x = np.concatenate([_design(piece)[piece.known & on] for piece, _, on in given] or [np.empty((0, 1))])
    y = np.concatenate([low[piece.known & on] for piece, low, on in given] or [np.empty(0)])
    if len(x) < _FEWEST or float(y.var()) <= 0:
        return None
    return 1 - float(np.var(y - x @ np.linalg.lstsq(x, y, rcond=1e-6)[0]) / np.var(y))


def _design(piece: _Piece) -> Array:
    """Of each pixel the bands and 1: ``(y, x, band + 1)``."""
    return np.moveaxis(np.concatenate([piece.values, np.ones((1, *piece.known.shape))]), 0, -1)


def _whole(given: _Given) -> tuple[int, int]:
    """The whole coarse pixels, right and down, by which the guide lies off: where its squared correlation with the
    image's bands is highest, whatever their contrast's sign.
    """
    total = np.zeros((2 * _FAR + 1,) * 2)
    for band in range(len(given[0][0].values)):
        sums = sum(lag_sums(piece.values[band], piece.known, low, on, _FAR) for piece, low, on in given)
        found = correlation(np.asarray(sums), _FEWEST)
        total += np.where(np.isfinite(found), found, 0) ** 2
    row, col = np.unravel_index(int(total.argmax()), total.shape)
    return int(col) - _FAR, int(row) - _FAR


def _step(given: _Given) -> tuple[float, float] | None:
    """What of the shift is left: ``guide(p) = bands(p) − shift · gradient``, by least squares."""
    xs, ys = [], []
    for piece, low, on in given:
        known = piece.known & on
        inner = known[1:-1, 1:-1] & on[1:-1, :-2] & on[1:-1, 2:] & on[:-2, 1:-1] & on[2:, 1:-1]
        along, down = (low[1:-1, 2:] - low[1:-1, :-2]) / 2, (low[2:, 1:-1] - low[:-2, 1:-1]) / 2
        xs.append(np.concatenate([_design(piece)[1:-1, 1:-1], -along[..., None], -down[..., None]], -1)[inner])
        ys.append(low[1:-1, 1:-1][inner])
    x, y = np.concatenate(xs), np.concatenate(ys)
    if len(x) < _FEWEST:
        return None
    *_, dx, dy = np.linalg.lstsq(x, y, rcond=1e-9)[0]
    return float(dx), float(dy)
