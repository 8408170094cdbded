"""Stripes: a gain and an offset of each detector line, estimated once over a scene.

Moment matching makes all lines alike in mean and spread, and so takes away what is unlike on the ground, too: a coast,
a slope. Here each line is compared with the next one, pixel by pixel: the median of the differences at dark and at
bright pixels is a step and a slope from line to line. Their sums are the stripes, but for what changes slowly, which
is the scene's. What two halves of the lines do not agree on is left in, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.sources import Array, Source

#: What changes over more lines than so many on each side is no stripe.
AROUND = 12

#: At most so many pixels of each line are looked at.
SAMPLE = 1024

#: Levels of brightness at which a line is judged, and the least number of pixels for each.
_LEVELS, _LEAST = 4, 8

#: The share of the pixels that are looked at, those with least around them.
_CALM = 0.4

#: Stripes are real if what two estimates, of one half of the lines and of the other, have in common is such a share of
#: their variance. Stripes go on along their whole lines; what is on the ground does not.
REAL = 0.4

Lines = Literal["columns", "rows"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Gains and offsets of the lines of each band ``(band, line)``, float64: seen = gain · true + offset.

    ``alike`` is the share of their variance that two estimates have in common, of each band: 0 … 1.
    """

    lines: Lines
    gains: Array
    offsets: Array
    alike: tuple[float, ...]


def estimated(source: Source, lines: Lines) -> Estimate:
    """The stripes of the first frame of a source. At most :data:`SAMPLE` pixels of each line are read."""
    gains, offsets, alike = [], [], []
    for band in range(source.shape[1]):
        values, valid = _sampled(source.select([band]), lines)
        gain, offset, own = _stripes(values, valid)
        alike.append(own)
        gains.append(gain)
        offsets.append(offset)
    return Estimate(lines, np.stack(gains), np.stack(offsets), tuple(alike))


def _sampled(source: Source, lines: Lines) -> tuple[Array, Array]:
    """Values and validity ``(pixel, line)`` of a band, float64, from strips spread over the scene."""
    _, _, height, width = source.shape
    length = height if lines == "columns" else width
    many = min(length, SAMPLE)
    strips = -(-many // 64)
    starts = np.unique(np.linspace(0, max(length - 64, 0), strips).astype(int))
    values, valid = [], []
    for start in starts.tolist():
        stop = min(start + 64, length)
        box = Box((0, start, 0), (1, stop, width)) if lines == "columns" else Box((0, 0, start), (1, height, stop))
        part, known = source.read(box)[0, 0], source.valid(box)[0, 0]
        values.append(part if lines == "columns" else part.T)
        valid.append(known if lines == "columns" else known.T)
    known = np.concatenate(valid)
    return np.where(known, np.concatenate(values), 0).astype(np.float64), known


def _stripes(values: Array, valid: Array) -> tuple[Array, Array, float]:
    """Gains and offsets ``(line,)`` of values ``(pixel, line)``, and how much two estimates of halves are alike."""
    count = values.shape[1]
    if count < 2 * AROUND + 1 or not valid.any():
        return np.ones(count), np.zeros(count), 0.0
    middle = float(np.median(values[valid]))
    edges = np.quantile(values[valid], np.linspace(0, 1, _LEVELS + 1))[1:-1]
    step, slope, trust = _trusted(values, valid, np.ones((len(values), count - 1), bool), edges, middle)
    seen = values if trust < REAL else (values - step + slope * middle) / (1 + slope)
    step, slope, trust = _trusted(values, valid, _calm(seen, valid), edges, middle)
    return 1 + slope, step - slope * middle, trust


def _trusted(values: Array, valid: Array, calm: Array, edges: Array, middle: float) -> tuple[Array, Array, float]:
    """The step and the slope of each line, as far as two halves agree, and how far they do, of the steps."""
    half = len(values) // 2
    parts = [
        [_profile(steps) for steps in _steps(values[part], valid[part], calm[part], edges, middle)]
        for part in (slice(None), slice(half), slice(half, None))
    ]
    (step, slope), one, other = parts
    trust = [_trust(a, b) for a, b in zip(one, other, strict=True)]
    return step * trust[0], slope * trust[1], trust[0]


def _profile(steps: Array) -> Array:
    """What each line has of its own, from the steps from line to line."""
    return _sharp(np.concatenate([[0.0], np.cumsum(steps)]))


def _steps(values: Array, valid: Array, calm: Array, edges: Array, middle: float) -> tuple[Array, Array]:
    """From each line to the next: the step at the middle level, and how it grows with the level."""
    both = valid[:, 1:] & valid[:, :-1] & calm
    apart = np.where(both, values[:, 1:] - values[:, :-1], np.nan)
    level = (values[:, 1:] + values[:, :-1]) / 2
    place = np.searchsorted(edges, level)
    count = apart.shape[1]
    x, y, weight = (np.zeros((len(edges) + 1, count)) for _ in range(3))
    for number in range(len(edges) + 1):
        here = both & (place == number)
        own = here.sum(0)
        enough = own >= _LEAST
        if enough.any():
            x[number, enough] = np.where(here, level, 0).sum(0)[enough] / own[enough] - middle
            y[number, enough] = np.nanmedian(np.where(here, apart, np.nan)[:, enough], 0)
            weight[number] = np.where(enough, own, 0)
    total = np.maximum(weight.sum(0), 1)
    at, mean = (weight * x).sum(0) / total, (weight * y).sum(0) / total
    spread = (weight * (x - at) ** 2).sum(0)
    slope = (weight * (x - at) * (y - mean)).sum(0) / np.where(spread > 0, spread, 1)
    return mean - slope * at, slope


def _calm(values: Array, valid: Array) -> Array:
    """Which pairs of a pixel and that of the next line lie between two that are alike, so that no edge is there."""
    around = np.abs(values[:, 3:] - values[:, :-3])
    known = valid[:, 3:] & valid[:, :-3]
    least = np.quantile(around[known], _CALM) if known.any() else 0.0
    found = np.zeros((values.shape[0], values.shape[1] - 1), bool)
    found[:, 1:-1] = known & (around <= least)
    found[:, 0], found[:, -1] = found[:, 1], found[:, -2]
    return found


def _sharp(profile: Array) -> Array:
    """A profile without what changes over many lines."""
    padded = np.concatenate(
        [2 * profile[0] - profile[AROUND:0:-1], profile, 2 * profile[-1] - profile[-2 : -AROUND - 2 : -1]]
    )
    total = np.concatenate([[0.0], np.cumsum(padded)])
    wide = 2 * AROUND + 1
    return np.asarray(profile - (total[wide:] - total[:-wide]) / wide)


def _trust(one: Array, other: Array) -> float:
    """How much of the variance of the mean of two estimates is not noise: 0 … 1."""
    both = float(np.mean(one * other))
    own = float(np.mean(((one + other) / 2) ** 2))
    return min(1.0, max(0.0, both / own)) if own > 0 else 0.0
