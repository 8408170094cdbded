"""The fused image as a source: any box of it is computed when it is read.

Starting from the prediction ``x₀``, a fixed number of steps moves the fine image towards what all frames show::

    x ← x + ω · (s² Σ Aₖᵀ Wₖ (yₖ − Aₖ x) + λ (x₀ − x)) / (s² Σ Aₖᵀ Wₖ 1 + λ)

``Aₖ`` are the forward models (:mod:`geomedsr.fusion.footprints`), ``Wₖ`` the trust in each pixel
(:mod:`geomedsr.fusion.trust`), ``s`` the factor. Each step looks one coarse pixel further. Their number is fixed, so
the halo is known, and tiles equal the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from geomedsr.fusion.footprints import Footprints
from geomedsr.fusion.registration import read_beyond
from geomedsr.fusion.trust import RADIUS, trust
from geomedsr.geometry import Box, Factors, Window
from geomedsr.operators.conserve import conserve, unconserved
from geomedsr.operators.sub_pixel import split
from geomedsr.scene.sources import Array, Source, WrappingSource

#: Steps, their length ω, and the weight λ of the prediction beside that of one frame.
STEPS, _LENGTH, _PRIOR = 8, 1.6, 0.1

#: Coarse pixels around a box that its values depend on: one for each step, and the window of the trust.
HALO = STEPS + RADIUS + 3


@dataclass(frozen=True)
class View:
    """A frame as it lies in the reference: which frame of which source, its shift, and its radiometry, band by band."""

    source: Source
    frame: int
    footprints: Footprints
    gains: tuple[float, ...]
    offsets: tuple[float, ...]

    def select(self, bands: Sequence[int]) -> View:
        """Some of the bands."""
        return replace(
            self,
            source=self.source.select(bands),
            gains=tuple(self.gains[b] for b in bands),
            offsets=tuple(self.offsets[b] for b in bands),
        )


@dataclass(frozen=True)
class Fusing(WrappingSource):
    """What several frames make of each frame of ``whole``; ``views`` are the other frames of each.

    ``fused`` says which bands are computed; others are those of ``whole``. ``noise`` is the standard deviation of one
    frame's noise in each band, in stored units.
    """

    views: tuple[tuple[View, ...], ...]
    fused: tuple[bool, ...]
    noise: tuple[float, ...]
    nodata: tuple[float | int | None, ...]
    limits: tuple[tuple[int, int] | None, ...]

    def select(self, bands: Sequence[int]) -> Self:
        """Some of the bands."""
        return replace(
            self,
            whole=self.whole.select(bands),
            views=tuple(tuple(view.select(bands) for view in of) for of in self.views),
            fused=tuple(self.fused[b] for b in bands),
            noise=tuple(self.noise[b] for b in bands),
            nodata=tuple(self.nodata[b] for b in bands),
            limits=tuple(self.limits[b] for b in bands),
        )

    @property
    def reads(self) -> tuple[Source, ...]:
        """``whole``, and the views' sources."""
        return self.whole, *(view.source for of in self.views for view in of)

    def valid(self, box: Box) -> Array:
        """As that of ``whole``."""
        return self.whole.valid(box)

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """None: which pixels are data is settled by the reference."""
        return None

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """What its pixels follow from."""
        from dask.base import normalize_token

        views = [[(v.source, v.frame, v.footprints, v.gains, v.offsets) for v in of] for of in self.views]
        return normalize_token(self.whole), normalize_token(views), self.fused, self.noise, self.nodata, self.limits


@dataclass(frozen=True)
class FusedSource(Fusing):
    """The image that all frames could be views of; ``whole`` is the prediction from the reference alone.

    ``reference`` is the source that the prediction is made of. ``conserve`` makes block means equal the reference.
    """

    reference: Source
    scale: int
    conserve: bool

    def touches(self, box: Box) -> Box:
        """The box with what its values depend on."""
        factors = Factors.in_plane(self.scale)
        return (box.coarsened(factors).grown((0, HALO, HALO)) & Box.whole(self.reference.shape)).refined(factors)

    def select(self, bands: Sequence[int]) -> Self:
        """Some of the bands."""
        return replace(super().select(bands), reference=self.reference.select(bands))

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        out = np.empty((box.shape[0], self.shape[1], *box.shape[1:]), self.dtype)
        for number, frame in enumerate(range(box.frames.start, box.frames.stop)):
            one = Box.of(frame, box.window)
            around = self.touches(one)
            start, valid = self.whole.read(around)[0], self.whole.valid(around)[0]
            _, _, rows, columns = one.within(around).index
            out[number] = start[:, rows, columns]
            for band in np.flatnonzero(self.fused):
                fine = self._fused(int(band), frame, around, start[band], valid[band])
                made = self._stored(int(band), frame, around, fine, start[band], valid[band])
                out[number, band] = made[rows, columns]
        return out

    def _fused(self, band: int, frame: int, around: Box, start: Array, valid: Array) -> Array:
        """The fine image of a band ``(y, x)``, float64, over a box of fine pixels."""
        s, window = self.scale, around.window
        prior = np.where(valid, start, 0).astype(np.float64)
        data = valid.astype(np.float64)
        origin = window.row, window.col
        top, left = window.row // s, window.col // s
        coarse = Window(left, top, window.width // s, window.height // s)
        seen: list[tuple[Footprints, tuple[int, int], Array, Array]] = []
        for view in (self._own(frame), *self.views[frame]):
            first, count = [], []
            for axis, (begin, length) in enumerate(((coarse.row, coarse.height), (coarse.col, coarse.width))):
                here, end = view.footprints.pixels(axis, begin, begin + length)
                first.append(here)
                count.append(end - here)
            if min(count) < 1:
                continue
            place, size = (first[0], first[1]), (count[0], count[1])
            values, known = read_beyond(
                view.source.select([band]), Box.of(view.frame, Window(*place[::-1], *size[::-1]))
            )
            known = known[0] & (view.footprints.seen(data, origin, place, size) > 1 - 1e-9)
            values = values[0] * view.gains[band] + view.offsets[band]
            if view.source is self.reference and view.frame == frame:
                weights = known.astype(np.float64)
            else:
                weights = trust(values, view.footprints.seen(prior, origin, place, size), known, self.noise[band])
            if weights.any():
                seen.append((view.footprints, place, values, weights))
        return self._iterated(prior, origin, seen)

    def _iterated(
        self, prior: Array, origin: tuple[int, int], seen: list[tuple[Footprints, tuple[int, int], Array, Array]]
    ) -> Array:
        area = self.scale**2
        weight = sum((f.spread(w, origin, first, prior.shape) for f, first, _, w in seen), np.zeros(prior.shape))
        weight = area * weight + _PRIOR
        fine = prior
        for _ in range(STEPS):
            step = _PRIOR * (prior - fine)
            for f, first, values, weights in seen:
                count = values.shape[0], values.shape[1]
                error = weights * (values - f.seen(fine, origin, first, count))
                step = step + area * f.spread(error, origin, first, prior.shape)
            fine = fine + _LENGTH * step / weight
        return fine

    def _own(self, frame: int) -> View:
        """The reference, as one of the frames."""
        bands = self.shape[1]
        return View(self.reference, frame, Footprints((0.0, 0.0), self.scale), (1.0,) * bands, (0.0,) * bands)

    def _stored(self, band: int, frame: int, around: Box, fine: Array, start: Array, valid: Array) -> Array:
        """The fine image in the storage type; where the reference is no data, as the prediction has it."""
        factors = Factors.in_plane(self.scale)
        one = np.ones((1, 1, 1, 1))
        if self.conserve:
            box = around.coarsened(factors)
            base = self.reference.select([band]).read(Box.of(frame, box.window))
            fill = np.where(valid, fine, 0)[None, None]
            planes = split(fill, factors)
            made = conserve(base, planes, factors, one, self.nodata[band], self.limits[band])[0, 0]
        else:
            made = unconserved(fine[None, None], one * 0, one, self.dtype, self.nodata[band], self.limits[band])[0, 0]
        return np.where(valid, made, start)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """What its pixels follow from."""
        from dask.base import normalize_token

        return *super().__dask_tokenize__(), normalize_token(self.reference), self.scale, self.conserve
