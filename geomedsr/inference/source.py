"""The source of a super-resolved scene: any box of it is computed when it is read.

The input pixels under the window plus an exact halo go through the generator, the halo is left out, and the block means
are put right. So tiles need no blending, and a tile equals the same part of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from geomedsr import operators
from geomedsr.errors import InputError, ModelError
from geomedsr.geometry import Box, Factors
from geomedsr.inference.runtime import Runtime
from geomedsr.inference.stopping import check
from geomedsr.models import Model
from geomedsr.models.network import IMAGE
from geomedsr.neighbours import around, as_channels
from geomedsr.padding import FILL_REACH
from geomedsr.scene import Scene
from geomedsr.sources import Array, CroppedSource, Source
from geomedsr.values import ValueScale


@dataclass(frozen=True)
class UpscaledSource:
    """Boxes of a super-resolved scene; see the module's text.

    ``computed`` are the positions of the bands that go through the model, in its order.
    """

    scene: Scene
    model: Model
    computed: tuple[int, ...]
    nodata: tuple[float | int | None, ...]
    tile: int
    workers: int
    runtime: Runtime
    conserve: bool
    values: ValueScale

    @property
    def inner(self) -> Source:
        """What it is computed from."""
        return self.scene.source

    def touches(self, box: Box) -> Box:
        """What of that a box needs: its pixels with the halo, and neighbouring frames."""
        neighbours, rows, columns = self.model.halo
        needed = self._operator.support(box.coarsened(self.factors), self.scene.shape)
        halo = neighbours, rows + FILL_REACH, columns + FILL_REACH
        return needed.grown(halo) & Box.whole(self.scene.shape)

    def on(self, inner: Source) -> UpscaledSource:
        """The same of another source."""
        return replace(self, scene=replace(self.scene, source=inner))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """What its pixels follow from. Of what is given here dask takes the text, unless it has been normalised."""
        from dask.base import normalize_token

        scene = self.scene.source, self.scene.bands, self.scene.grid.planes
        parts = (getattr(self, part.name) for part in fields(self) if part.name not in ("scene", "workers"))
        return tuple(normalize_token(part) for part in (*scene, *parts))

    @property
    def scale(self) -> int:
        """How many times finer."""
        return self.model.descriptor.scale

    @property
    def factors(self) -> Factors:
        """How many times finer, along each axis."""
        return Factors.in_plane(self.scale)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.scene.shape
        return frames, bands, height * self.scale, width * self.scale

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type: the input's."""
        return self.scene.dtype

    @property
    def block(self) -> tuple[int, int]:
        """A tile; a whole frame of a series, or where the operator needs it."""
        if whole_frames(self.scene, self.model):
            return self.shape[2:]
        return self.tile * self.scale, self.tile * self.scale

    @property
    def _operator(self) -> operators.Operator:
        """What results are made to agree by: the model's, unless that is not wanted."""
        return operators.get(self.model.descriptor.operator if self.conserve else operators.Unconstrained.name)

    def read(self, box: Box) -> Array:
        """Super-resolved stored values of a box of output pixels."""
        return self.read_measured(box)[0]

    def read_measured(self, box: Box) -> tuple[Array, float | None]:
        """The same, and how far rounding and clipping took the result from the input, in stored units.

        That is the largest absolute difference that the operator sees; None where agreement is exact, or not asked for.
        """
        coarse = box.coarsened(self.factors)
        inner = box.within(coarse.refined(self.factors)).index
        stored, valid = self.scene.source.read(coarse), self.scene.source.valid(coarse)
        self._refuse_collision(stored, valid, coarse)
        bands, deviation = list(self.computed), None
        data = valid[:, bands]
        if bands == list(range(valid.shape[1])) and data.all():  # nothing else is to be seen
            out, deviation = self._to_stored(stored, coarse)
            return out[inner], deviation
        out = self._repeat(stored)
        if data.any():
            fine, deviation = self._to_stored(stored[:, bands], coarse)
            out[:, bands] = fine if data.all() else np.where(self._repeat(data), fine, out[:, bands])
        for band, nodata in enumerate(self.nodata):
            if nodata is not None and not valid[:, band].all():
                out[:, band][~self._repeat(valid[:, band])] = nodata
        return out[inner], deviation

    def valid(self, box: Box) -> Array:
        """The input's validity, repeated."""
        coarse = box.coarsened(self.factors)
        valid = self.scene.source.valid(coarse)
        if valid.all():
            return np.broadcast_to(np.True_, (*valid.shape[:2], *box.shape[1:]))
        return self._repeat(valid)[box.within(coarse.refined(self.factors)).index]

    def select(self, bands: Sequence[int]) -> UpscaledSource:
        """Some of the bands; the others are not computed."""
        if self.model.descriptor.channels > 1 and sorted(bands) != list(range(len(self.scene.bands))):
            raise InputError(
                "some bands of a result whose bands were made jointly",
                "all of them",
                "select after writing, or select the model's bands before upscaling",
            )
        picks = list(bands)
        computed = [i for i, b in enumerate(picks) if b in self.computed]
        if self.model.descriptor.channels > 1:  # the network's order stays
            computed = [picks.index(b) for b in self.computed]
        kept = [self.computed.index(picks[i]) for i in computed]
        return replace(
            self,
            scene=self.scene.select([b + 1 for b in picks]),
            computed=tuple(computed),
            nodata=tuple(self.nodata[b] for b in picks),
            values=self.values.select(kept),
        )

    def _guesses(self, coarse: Box) -> Iterator[tuple[slice, Array]]:
        """The generator's output over a box of input pixels: its phases, normalised float32 ``(f, b, s², h, w)``.

        With its positions among the computed bands: where they are independent, as many at once as suits the device (on
        CPUs one: less memory, and faster, since it stays in the cache), else all.
        """
        neighbours, radius, _ = self.model.halo
        tiles = list(coarse.parts((coarse.shape[0], self.tile, self.tile)))
        read, places = around(coarse.frames, self.scene.shape[0], neighbours)
        halos = [self._seen.tensor(tile.window.grown(radius), read) for tile in tiles]
        count, bands = len(places), len(self.computed)
        step = self.runtime.bands if self.model.descriptor.channels == 1 else bands
        for first in range(0, bands, step):
            picks = slice(first, min(first + step, bands))
            alone = count == len(tiles) == 1
            shape = (count, picks.stop - first, self.factors.volume, *coarse.shape[1:])
            phases = np.empty((0,) if alone else shape, np.float32)
            for tile, halo in zip(tiles, halos, strict=True):
                _, _, rows, columns = tile.within(coarse).index
                for frame in range(count):
                    check()
                    made = self._made(halo[:, picks], places[frame : frame + 1])
                    if alone:
                        phases = made
                    else:
                        phases[frame, ..., rows, columns] = made[0]
            if not _finite(phases):
                raise ModelError(
                    f"output of the model {self.model.descriptor.name} that is not finite",
                    "numbers",
                    "give a --range that fits the scene, or use another model",
                )
            yield picks, phases

    def _made(self, images: torch.Tensor, places: Array) -> Array:
        """Phases ``(1, b, s², h, w)`` of a frame of a tile, whose neighbours lie at ``places``: independent bands are
        images of a batch, bands made together its channels.
        """
        batch = [as_channels(group, places) for group in torch.split(images, self.model.descriptor.channels, 1)]
        made = self.runtime(self.model, {IMAGE: batch[0] if len(batch) == 1 else torch.cat(batch)})[IMAGE].numpy()
        return made.reshape(1, -1, *made.shape[2:])

    @property
    def _seen(self) -> Scene:
        """The bands that the network sees, on the scale on which it sees them."""
        return replace(self.scene.select([i + 1 for i in self.computed]), scale=self.values)

    def _to_stored(self, base: Array, coarse: Box) -> tuple[Array, float | None]:
        """Stored values of the computed bands over a box of input pixels, and how far they are from agreement."""
        low, span = self.values.bounds(coarse.frames)
        nodata, limits = self.nodata[self.computed[0]], self.scene.bands[self.computed[0]].limits
        around = self._operator.support(coarse, self.scene.shape)
        if around != coarse:
            base = self._seen.source.read(around)
        out = np.empty((*base.shape[:2], base.shape[2] * self.scale, base.shape[3] * self.scale), self.dtype)
        deviations = []
        for picks, planes in self._guesses(around):
            tensor = partial(self._normalised, around, picks)
            data = partial(self._data, around, picks)
            seen = operators.Observation(
                base[:, picks], self.factors, low[:, picks], span[:, picks], nodata, limits, tensor, data
            )
            deviations.append(self._operator.agree(seen, planes, out[:, picks]))
        inner = coarse.within(around).refined(self.factors).index
        return out[inner], max((d for d in deviations if d is not None), default=None)

    def _normalised(self, box: Box, picks: slice) -> torch.Tensor:
        return self._seen.tensor(box.window, box.frames)[:, picks]

    def _data(self, box: Box, picks: slice) -> Array:
        return self._seen.source.valid(box)[:, picks]

    def _refuse_collision(self, stored: Array, valid: Array, coarse: Box) -> None:
        """Bands with nodata values of their own become one; a valid pixel may not already have that value."""
        nodata = self.nodata[0]
        if nodata is None or len({b.nodata for b in self.scene.bands}) == 1:
            return
        hit = valid & (stored == np.asarray(nodata).astype(self.dtype))
        if hit.any():
            names = [b.name for b, found in zip(self.scene.bands, hit.any((0, 2, 3)), strict=True) if found]
            raise InputError(
                f"bands with nodata values {', '.join(str(b.nodata) for b in self.scene.bands)}, and valid "
                f"pixels of band {names[0]} equal to {nodata} near column {coarse.start[2]}, row {coarse.start[1]}",
                "one nodata value that serves all bands, as GeoTIFF has it",
                "upscale the bands that share one, with --bands",
            )

    def _repeat(self, array: Array) -> Array:
        return array.repeat(self.scale, axis=-2).repeat(self.scale, axis=-1)


def whole_frames(scene: Scene, model: Model) -> bool:
    """Whether regions are whole frames: those of a series, or where the operator needs them."""
    return bool(scene.grid.planes) or operators.get(model.descriptor.operator).whole_frames


def upscaled(source: Source) -> UpscaledSource | None:
    """The super-resolved scene that a source shows a part of; None for others."""
    while isinstance(source, CroppedSource):
        source = source.whole
    return source if isinstance(source, UpscaledSource) else None


def _finite(values: Array) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()  # quick; it may overflow
    return bool(np.isfinite(total) or np.isfinite(values).all())
