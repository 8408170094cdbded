"""The slice profile: a thick slice is a weighted mean of new slices, some of them in its neighbours' places.

Slices of scanners are bells rather than boxes, and overlap. A prediction ``x`` is brought to agree with the slices
``y = A x`` by ``x + Aᵀ u``, where ``u`` solves ``A Aᵀ u = y − A x``: the nearest image (least squares) that agrees. The
equations couple neighbouring slices. They are solved by a fixed number of Chebyshev steps (Golub and Varga 1961,
doi 10.1007/BF01386013), each of which looks no farther than slices overlap. So the slices that a new one depends on are
bounded, and slabs of a series equal the whole. Wide bells hardly determine what differs from slice to slice: the steps
are too few to find that, which keeps noise from growing there, and leaves a deviation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.profile import Profile
from geomedsr.geometry.stacking import volume_length
from geomedsr.operators.conserve import unconserved
from geomedsr.operators.operator import Observation, Operator, by_fine_frame
from geomedsr.operators.slice_mean import SliceMean
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.provenance import Agreement
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: What is left of a deviation after all steps, and the most steps.
_LEFT, _MOST = 1e-4, 8

#: The smallest eigenvalue that steps are made for, as a share of the largest.
_LEAST = 0.03

#: Rows of an image that are made to agree at once, so that intermediate results stay small.
_ROWS = 32

#: What verify allows, in counts of whole numbers, or as a share of a float image's range.
_COUNTS, _SHARE = 1.0, 1e-4

#: Slices that are made to agree at once.
_SLAB = 8

_ZERO, _ONE = np.zeros(1), np.ones(1)

_BOX = Profile()

#: What is asked of a model whose slices are bells.
_APART = "new slices alone", "make slices first, then pixels by another model"


@dataclass(frozen=True)
class Coupling:
    """How the slices of a profile see new slices, ``factor`` of which come from each.

    ``weights`` ``((2 · reach + 1), factor)``: those of a slice's own new slices and of its neighbours'. ``overlap`` is
    at how many slices' distance two slices still see the same new slice. ``steps`` are made, for eigenvalues of
    ``A Aᵀ`` from ``low`` to ``high``.
    """

    weights: Array
    overlap: int
    steps: int
    low: float
    high: float

    @classmethod
    def of(cls, profile: Profile, factor: int) -> Coupling:
        """The coupling of slices of a profile."""
        flat = profile.weights(factor)
        shared = [float(flat[factor * of :] @ flat[: len(flat) - factor * of]) for of in range(len(flat) // factor)]
        overlap = max(of for of, value in enumerate(shared) if value > 1e-9 * shared[0])
        angles = np.linspace(0, np.pi, 181)
        eigenvalues = shared[0] + 2 * sum(shared[of] * np.cos(of * angles) for of in range(1, overlap + 1))
        high = float(np.max(eigenvalues))
        low = max(float(np.min(eigenvalues)), _LEAST * high)
        root = math.sqrt(high / low)
        steps = 1
        if root > 1 + 1e-6:
            steps = min(_MOST, math.ceil(math.log(2 / _LEFT) / math.log((root + 1) / (root - 1))))
        return cls(flat.reshape(-1, factor), overlap, steps, low, high)

    @property
    def reach(self) -> int:
        """How many neighbours on each side hold new slices that a slice sees."""
        return len(self.weights) // 2

    @property
    def factor(self) -> int:
        """How many new slices come from each."""
        return int(self.weights.shape[1])

    @property
    def halo(self) -> int:
        """How many slices on each side a slice that agrees, and how far it deviates, depends on."""
        return 3 * self.reach + (self.steps - 1) * self.overlap

    def matrix(self, count: int, ends: tuple[bool, bool]) -> Array:
        """``A`` of ``count`` slices, float64 ``(count, count · factor)``.

        ``ends`` tells whether the first and the last are a volume's: beyond, the image is mirrored. Elsewhere the rows
        of slices that see more than these are zero.
        """
        found = np.zeros((count, count * self.factor))
        total = found.shape[1]
        for number in range(count):
            if (number < self.reach and not ends[0]) or (number >= count - self.reach and not ends[1]):
                continue
            places = np.arange(self.weights.size) + (number - self.reach) * self.factor
            places %= 2 * total
            np.add.at(found[number], np.where(places < total, places, 2 * total - 1 - places), self.weights.ravel())
        return found

    def agreed(self, fine: Array, coarse: Array, matrix: Array) -> Array:
        """``fine`` ``(n · factor, …)``, changed in place such that it agrees with ``coarse`` ``(n, …)``."""
        coupled = matrix @ matrix.T
        rows = np.diag(coupled) > 0
        left = coarse - applied(matrix, fine)
        left[~rows] = 0
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        step = left / middle
        solution = step.copy()
        ratio = half / middle
        for _ in range(self.steps - 1):
            left = left - applied(coupled, step)
            following = 1 / (2 * middle / half - ratio)
            step = following * ratio * step + (2 * following / half) * left
            solution += step
            ratio = following
        fine += applied(matrix.T, solution)
        return fine


_coupling = lru_cache(maxsize=32)(Coupling.of)


def agreeing(profile: Profile, factor: int, count: int) -> tuple[Array, Array]:
    """``A`` and ``S`` of ``count`` slices in the midst of a series: ``x + S (y − A x)`` agrees with ``y``.

    Float64 ``(count, count · factor)`` and its transpose's shape. Rows of ``A``, and columns of ``S``, are zero for
    slices that see more than these. With boxes ``S`` adds to each new slice what its slice deviates.
    """
    coupling = Coupling.of(profile, factor)
    matrix = coupling.matrix(count, (False, False))
    return matrix, coupling.agreed(np.zeros(matrix.shape[::-1]), np.eye(count), matrix)


def weights_of(profile: Profile, factor: int, length: int, frame: int) -> Iterator[tuple[int, float]]:
    """The new slices that a slice sees, by number, and their weights; volumes have ``length`` slices."""
    coupling = _coupling(profile, factor)
    begins = frame // length * length
    first, last = max(begins, frame - coupling.reach), min(begins + length, frame + coupling.reach + 1)
    row = coupling.matrix(last - first, (first == begins, last == begins + length))[frame - first]
    for place in np.flatnonzero(row):
        yield first * factor + int(place), float(row[place])


def applied(matrix: Array, images: Array) -> Array:
    """A matrix with few entries applied along the first axis, summed in one order: equal bits whatever the size."""
    made = np.zeros((len(matrix), *images.shape[1:]), images.dtype)
    for row, out in zip(matrix, made, strict=True):
        for place in np.flatnonzero(row):
            out += images.dtype.type(row[place]) * images[place]
    return made


@dataclass(frozen=True)
class SliceProfile(SliceMean):
    """Agreement with slices that are bells; with boxes it is :class:`geomedsr.operators.slice_mean.SliceMean`, exact.

    ``length`` is the number of slices in each volume of the source. Values are rounded and clipped after the steps, so
    slices agree to a fraction of a count, apart from voxels at the type's limits.
    """

    profile: Profile = _BOX
    length: int = 0

    name = "slice-profile"
    keeps = "slices through their profile"
    held = 12
    seen = "slices, as their profile sees the new ones,"

    @property
    def slab(self) -> int:  # type: ignore[override]
        """So many slices that those on both sides, which are only seen, do not weigh too much."""
        return 1 if self.profile.box or not self.length else _SLAB

    def bind(self, scenes: Mapping[str, Scene]) -> Operator:
        """Bind to the profile of the image's slices; slices of which none is known are boxes."""
        image = scenes["image"]
        profile = image.profile or Profile()
        if profile.box:
            return SliceMean()
        return SliceProfile(profile, volume_length(image.grid.planes) if image.grid.planes else image.shape[0])

    def record(self, agrees: bool) -> Agreement:
        """The profile too."""
        own = super().record(agrees)
        return replace(own, profile=self.profile.width, profile_origin=self.profile.origin) if self.length else own

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """``fine``, unchanged: planes of training see too few slices."""
        return fine

    def support(self, box: Box, shape: Sequence[int]) -> Box:
        """So many slices more on each side as steps look at, whatever the factor, within volumes."""
        if self.profile.box or not self.length:
            return super().support(box, shape)
        halo = max(_coupling(self.profile, factor).halo for factor in range(2, 9))
        first = max(box.start[0] - halo, box.start[0] // self.length * self.length)
        last = min(box.stop[0] + halo, -(-box.stop[0] // self.length) * self.length)
        return Box((first, *box.start[1:]), (last, *box.stop[1:]))

    def frames_beside(self, factors: Factors) -> int:
        """As many slices as steps look at."""
        return 0 if self.profile.box or not self.length else _coupling(self.profile, factors.frame).halo

    def agree(self, seen: Observation, planes: Array, out: Array) -> float | None:
        """Keep slices as their profile sees new ones, apart from rounding and clipping."""
        if self.profile.box or not self.length or seen.factors.frame == 1:
            return super().agree(seen, planes, out)
        if seen.factors.y * seen.factors.x > 1:
            raise InputError("a model that makes slices and pixels at once, for slices that are bells", *_APART)
        coupling = _coupling(self.profile, seen.factors.frame)
        real: np.dtype[Any] = np.dtype(np.float32 if out.dtype.kind != "f" and out.dtype.itemsize <= 2 else np.float64)
        wanted, data = self._wanted(seen, real), seen.data()
        worst = 0.0
        for first, last, ends in self._parts(seen.box.frames):
            matrix = coupling.matrix(last - first, ends)
            inner = slice(0 if ends[0] else coupling.halo, last - first - (0 if ends[1] else coupling.halo))
            frames = slice(first - seen.box.start[0], last - seen.box.start[0])
            into = slice(frames.start * coupling.factor, frames.stop * coupling.factor)
            for top in range(0, wanted.shape[2], _ROWS):
                rows = (..., slice(top, top + _ROWS), slice(None))
                fine = merged(planes[frames][rows], seen.factors).astype(real)
                fine = self._stored(seen, fine, into)
                coarse = wanted[frames][rows]
                fine = coupling.agreed(fine, coarse, matrix)
                rounded = unconserved(fine, _ZERO, _ONE, out.dtype, seen.nodata, seen.limits)
                out[into][rows] = rounded
                off = np.abs(applied(matrix[inner], rounded.astype(real)) - coarse[inner])
                if off.size:
                    worst = max(worst, float(np.where(data[frames][rows][inner], off, 0).max()))
        return worst

    def _stored(self, seen: Observation, fine: Array, frames: slice) -> Array:
        """Predicted numbers in stored units, within what can be stored, so that little is clipped later."""
        low, span = (by_fine_frame(values, seen.factors) for values in (seen.low, seen.span))
        low, span = (values[frames] if len(values) > 1 else values for values in (low, span))
        made: Array = fine * span.astype(fine.dtype) + low.astype(fine.dtype)
        if seen.stored.dtype.kind == "f":
            return made
        info = np.iinfo(seen.stored.dtype)
        least, most = seen.limits or (info.min, info.max)
        return np.asarray(np.clip(made, fine.dtype.type(least), fine.dtype.type(most)))

    def _wanted(self, seen: Observation, real: np.dtype[Any]) -> Array:
        """The slices to agree with: as stored, and as the network sees them where there is no data."""
        data = seen.data()
        stored = seen.stored.astype(real)
        if data.all():
            return stored
        filled = seen.tensor().numpy().astype(real) * seen.span.astype(real) + seen.low.astype(real)
        return np.asarray(np.where(data, stored, filled))

    def _parts(self, frames: slice) -> Iterator[tuple[int, int, tuple[bool, bool]]]:
        """The parts of the frames in each volume, and whether they reach its first and its last slice."""
        first = frames.start
        while first < frames.stop:
            begins = first // self.length * self.length
            last = min(frames.stop, begins + self.length)
            yield first, last, (first == begins, last == begins + self.length)
            first = last

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether each slice is what its profile sees of the new ones, apart from rounding and clipping.

        A new slice at the least that can be stored may have been clipped, and then lay lower: what is seen of it must
        not be less than the slice. At the most likewise, the other way; pixels with both are left out.
        """
        if self.profile.box or not self.length:
            return super().check(source, result, factors, boxes, asked)
        coupling = _coupling(self.profile, factors.frame)
        whole = source.dtype.kind != "f"
        worst, clipped, allowed, pixels = 0.0, 0, _COUNTS if whole else 0.0, 0
        for box in boxes:
            for frame in range(box.start[0], box.stop[0]):
                here = Box((frame, *box.start[1:]), (frame + 1, *box.stop[1:]))
                before, valid = source.source.read(here)[0], source.source.valid(here)[0]
                seen, low, high = self._seen(coupling, result, here, source.limits)
                pixels, clipped = pixels + int(valid.sum()), clipped + int((valid & (low | high)).sum())
                counted = valid & ~(low & high)
                if counted.any():
                    off = (seen - before.astype(np.float64))[counted]
                    over, under = np.where(low[counted], 0, off), np.where(high[counted], 0, -off)
                    worst = max(worst, float(over.max()), float(under.max()))
                    allowed = max(allowed, _allowed(coupling, before, valid, whole))
        name = f"each slice is what its profile, {self.words}, sees of the new ones"
        detail = f"largest deviation {worst:.2g}"
        if clipped:
            detail += f"; {clipped / max(pixels, 1):.1%} of the pixels may be clipped, and are compared one way"
        if not asked:
            return Check(name, None, f"not asked for; {detail}")
        return Check(name, worst <= allowed, f"{detail}, of {allowed:.2g} that rounding and few steps may leave")

    @property
    def words(self) -> str:
        """The profile, in words."""
        return f"a bell {self.profile.width:.3g} slice distances wide"

    def _seen(
        self, coupling: Coupling, result: Scene, box: Box, limits: tuple[int, int] | None
    ) -> tuple[Array, Array, Array]:
        """What the slice of a box sees of a result, float64 ``(band, y, x)``, and where it sees values at the lower
        and at the upper limit.
        """
        seen, low, high = 0.0, np.zeros((), bool), np.zeros((), bool)
        for at, weight in weights_of(self.profile, coupling.factor, self.length, box.start[0]):
            fine = result.source.read(Box((at, *box.start[1:]), (at + 1, *box.stop[1:])))[0]
            seen = seen + weight * fine.astype(np.float64)
            if limits is not None:
                low, high = low | (fine <= limits[0]), high | (fine >= limits[1])
        shape = np.shape(seen)
        return np.asarray(seen), np.broadcast_to(low, shape), np.broadcast_to(high, shape)


def _allowed(coupling: Coupling, before: Array, valid: Array, whole: bool) -> float:
    """What may be left of a deviation in a slice: little where steps converge, its noise where they do not."""
    known = before[valid].astype(np.float64)
    share = 0.0 if whole else _SHARE * float(np.ptp(known))
    if coupling.steps < _MOST:
        return share
    steps = np.diff(before.astype(np.float64), 2, axis=-1)[valid[..., 1:-1]]
    return max(share, float(1.4826 * np.median(np.abs(steps)) / math.sqrt(6)) if steps.size else 0.0)
