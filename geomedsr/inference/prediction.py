"""A model's prediction: any box of it is computed when it is read.

The input pixels of the box and an exact halo go through the generator, the halo is dropped, and the image is made to
agree with the input. So tiles need no blending, and a tile equals the same part of the untiled result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from geomedsr import operators
from geomedsr.errors import InputError, ModelError
from geomedsr.geometry import Box, Factors
from geomedsr.inference.kept import KeptFrames
from geomedsr.inference.memory import Need, reader_cache
from geomedsr.inference.ports import as_seen, leaves, store, stored_type
from geomedsr.inference.runtime import Runtime, bands_at_once
from geomedsr.inference.stopping import check
from geomedsr.models import Model
from geomedsr.models.half_width import INVENTED, PORT
from geomedsr.models.ports import IMAGE, Port
from geomedsr.scene.context import around, as_channels
from geomedsr.scene.joining import JoinedSource
from geomedsr.scene.lazy import held
from geomedsr.scene.masking import Masking
from geomedsr.scene.padding import FILL_RADIUS
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Source, by_value


@dataclass(frozen=True)
class Prediction(Source):
    """All outputs of a model, computed together box by box; see the module docstring. As a source, it is the image.

    ``scene`` is the model's input image, ``beside`` are its other inputs by name. ``computed`` are the positions of the
    bands that go through the model, in its order. ``operator`` is the model's, bound to its inputs. ``tile`` is fixed
    here, because the last count of a pixel may depend on it. ``memory`` is how many bytes writing may take; it
    determines the number of workers, but no pixel. ``kept`` holds predictions of frames that are used again.
    ``widening`` are the factors of each computed band by which half-widths are stored; empty: as they are predicted.
    """

    scene: Scene
    beside: tuple[tuple[str, Scene], ...]
    model: Model
    computed: tuple[int, ...]
    nodata: tuple[float | int | None, ...]
    tile: int
    memory: int
    runtime: Runtime
    conserve: bool
    values: ValueScale
    operator: operators.Operator
    kept: KeptFrames = field(compare=False, repr=False)
    widening: tuple[float, ...]

    @property
    def inner(self) -> Source:
        """The source of the input image."""
        return self.scene.source

    @property
    def reads(self) -> tuple[Source, ...]:
        """The sources of all the model's inputs."""
        return self.inner, *(scene.source for _, scene in self.beside)

    @property
    def depth(self) -> int:
        """The number of its frames from one read of the image: all slices made from frames that are read together, or
        that are best made to agree at once.
        """
        together = self.inner.depth
        return self.factors.frame * together * -(-self._agreement.slab // together)

    def on(self, inner: Source) -> Prediction:
        """The same on another source."""
        return replace(self, scene=replace(self.scene, source=inner), kept=self.kept.empty)

    def touches(self, box: Box) -> Box:
        """The box of the image that a box of the result depends on, with all halos.

        These are the operator's support, around it the network's halo of frames, rows and columns, and the radius to
        which valid pixels are extended into no data.
        """
        neighbours, rows, columns = self.model.halo
        needed = self._agreement.support(box.coarsened(self.factors), self.scene.shape)
        halo = neighbours, rows + FILL_RADIUS, columns + FILL_RADIUS
        return needed.grown(halo) & Box.whole(self.scene.shape)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Everything that its pixels depend on. dask uses the text of objects, so some are normalised here."""
        from dask.base import normalize_token

        scene = self.scene.source, self.scene.bands, self.scene.grid.planes
        beside = [(name, other.source, other.bands, other.values) for name, other in self.beside]
        others = ("scene", "beside", "memory", "operator", "kept")  # the operator follows from model and inputs
        parts = (getattr(self, part.name) for part in fields(self) if part.name not in others)
        return tuple(normalize_token(part) for part in (*scene, *beside, *parts))

    @property
    def factors(self) -> Factors:
        """How many times finer the result is, along each axis."""
        return self.model.descriptor.factors

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.scene.shape
        by = self.factors
        return frames * by.frame, bands, height * by.y, width * by.x

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type: the input's."""
        return self.scene.dtype

    @property
    def block(self) -> tuple[int, int]:
        """A tile of whole blocks of the operator; a whole frame for a series, or if the operator needs it."""
        if whole_frames(self.scene, self.model):
            return self.shape[2:]
        rows, columns = (-(-self.tile // side) * side for side in self.operator.alignment)
        return rows * self.factors.y, columns * self.factors.x

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As the input's; and pixels without data have the result's nodata value."""
        pairs = zip(self.scene.source.masking, by_value(self.dtype, self.nodata), strict=True)
        return tuple(way | value for way, value in pairs)

    def select(self, bands: Sequence[int]) -> Prediction:
        """Some of the bands; the others are not computed."""
        if self.model.descriptor.channels > 1 and sorted(bands) != list(range(len(self.scene.bands))):
            raise InputError(
                "some bands of a result whose bands were made jointly",
                "all of them",
                "select after writing, or select the model's bands before upscaling",
            )
        picks = list(bands)
        computed = [i for i, b in enumerate(picks) if b in self.computed]
        if self.model.descriptor.channels > 1:  # a joint network still needs all its bands, in its order
            computed = [picks.index(b) for b in self.computed]
        kept = [self.computed.index(picks[i]) for i in computed]
        scene, ports = self.scene.select([b + 1 for b in picks]), self.model.descriptor.ports.inputs
        own = {port.name for port in ports if not port.bands}  # these have one band for each of the image's
        beside = tuple(
            (name, other.select([i + 1 for i in kept]) if name in own else other) for name, other in self.beside
        )
        seen = scene.select([i + 1 for i in computed])
        return replace(
            self,
            scene=scene,
            beside=beside,
            operator=self.operator.bind({IMAGE: seen, **dict(beside)}) if computed else self.operator,
            computed=tuple(computed),
            nodata=tuple(self.nodata[b] for b in picks),
            values=self.values.select(kept),
            widening=tuple(self.widening[i] for i in kept if self.widening),
            kept=self.kept.empty,
        )

    def need(self, box: Box) -> Need:
        """The memory need of a worker that computes boxes of this size, in output pixels."""
        whole = self._agreement.support(box.coarsened(self.factors), self.scene.shape)
        one = need_of(self.scene, self.model, self.runtime, self.conserve, self.reads, whole.shape[1:])
        image = self.scene.source
        made = self.touches(box) if any(beneath(image, box)) else None
        held = 0 if made is None else made.pixels * image.shape[1] * (image.dtype.itemsize + 1)
        return replace(one, depth=whole.shape[0], held=held, kept=self.kept.most)

    def read(self, box: Box) -> Array:
        """Stored values of the image in a box of output pixels."""
        return self.compute(box)[0][IMAGE]

    def valid(self, box: Box) -> Array:
        """The input's validity, repeated, as changed by the operator."""
        coarse = box.coarsened(self.factors)
        valid, bands = self.scene.source.valid(coarse), list(self.computed)
        known = valid[:, bands]
        if (data := self.operator.valid(coarse, known)) is not known:
            valid = valid.copy()
            valid[:, bands] = data
        if valid.all():
            return np.broadcast_to(np.True_, (box.shape[0], valid.shape[1], *box.shape[1:]))
        return self.factors.repeated(valid)[box.within(coarse.refined(self.factors)).index]

    def compute(self, box: Box) -> tuple[dict[str, Array], float | None]:
        """Stored values of all outputs by name, and the image's deviation from its input by rounding and clipping.

        The deviation is the largest absolute difference under the operator, in stored units; None if agreement is exact
        or not asked for. Outputs besides the image have only the computed bands. If the image is predicted, too, what a
        box needs of it is computed once.
        """
        if any(beneath(self.scene.source, box)):
            return self.on(held(self.scene.source, self.touches(box)))._compute(box)
        return self._compute(box)

    def _compute(self, box: Box) -> tuple[dict[str, Array], float | None]:
        coarse = box.coarsened(self.factors)
        inner = box.within(coarse.refined(self.factors)).index
        stored, valid = self.scene.source.read(coarse), self.scene.source.valid(coarse)
        self._refuse_collision(stored, valid, coarse)
        bands, deviation = list(self.computed), None
        data = self.operator.valid(coarse, valid[:, bands])
        if bands == list(range(valid.shape[1])) and data.all():  # all pixels are data, and all bands computed
            made, deviation = self._to_stored(stored, coarse)
            return {name: fine[inner] for name, fine in made.items()}, deviation
        out, made = self.factors.repeated(stored), {}
        if data.any():
            made, deviation = self._to_stored(stored[:, bands], coarse)
            fine = made[IMAGE]
            out[:, bands] = fine if data.all() else np.where(self.factors.repeated(data), fine, out[:, bands])
        for band, nodata in enumerate(self.nodata):
            known = data[:, bands.index(band)] if band in self.computed else valid[:, band]
            if nodata is not None and not known.all():
                out[:, band][~self.factors.repeated(known)] = nodata
        found = {port.name: self._filled(port, made, data) for port in self.model.descriptor.ports.outputs}
        return {name: fine[inner] for name, fine in {IMAGE: out, **found}.items()}, deviation

    def _refuse_collision(self, stored: Array, valid: Array, coarse: Box) -> None:
        """Raise an InputError if a valid pixel has the nodata value that replaces the bands' different ones."""
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

    def _filled(self, port: Port, made: Mapping[str, Array], data: Array) -> Array:
        """An output besides the image, with the nodata value, or else 0, at pixels without data."""
        known, nodata = self.factors.repeated(data), self.nodata[self.computed[0]]
        empty = np.zeros((), stored_type(port, self.dtype))
        if nodata is not None and port.meaning != "mask":
            empty = np.asarray(nodata).astype(empty.dtype)
        return np.where(known, made[port.name], empty) if made else np.full(known.shape, empty)

    def _to_stored(self, base: Array, coarse: Box) -> tuple[dict[str, Array], float | None]:
        """Stored values of the computed bands over a box of input pixels, and their deviation from agreement."""
        ports = self.model.descriptor.ports.outputs
        low, span = self.values.bounds(coarse.frames)
        nodata, limits = self.nodata[self.computed[0]], self.scene.bands[self.computed[0]].limits
        whole = self._agreement.support(coarse, self.scene.shape)
        if whole != coarse:
            base = self._seen.source.read(whole)
        frames, rows, columns = whole.refined(self.factors).shape
        shape = frames, base.shape[1], rows, columns
        out = {IMAGE: np.empty(shape, self.dtype)}
        out |= {port.name: np.empty(shape, stored_type(port, self.dtype)) for port in ports}
        deviations = []
        for picks, planes in self._planes(whole):
            tensor = partial(self._normalised, whole, picks)
            data = partial(self._data, whole, picks)
            seen = operators.Observation(
                whole, picks, base[:, picks], self.factors, low[:, picks], span[:, picks], nodata, limits, tensor, data
            )
            deviations.append(self._agreement.agree(seen, planes[IMAGE], out[IMAGE][:, picks]))
            for port in ports:
                if port == INVENTED:
                    around = np.empty_like(out[IMAGE][:, picks])
                    self._agreement.agree(seen, planes[port.name], around)
                    out[port.name][:, picks] = leaves(out[IMAGE][:, picks], around, out[PORT.name][:, picks])
                else:
                    store(port, seen, planes[port.name], out[port.name][:, picks], self.widening[picks])
        inner = coarse.within(whole).refined(self.factors).index
        found = {name: fine[inner] for name, fine in out.items()}
        return found, max((d for d in deviations if d is not None), default=None)

    @property
    def _agreement(self) -> operators.Operator:
        """The operator by which results agree: the model's, unless agreement is turned off."""
        return self.operator if self.conserve else operators.get(operators.Unconstrained.name)

    @property
    def _seen(self) -> Scene:
        """The bands that the network sees, on its value scale."""
        return replace(self.scene.select([i + 1 for i in self.computed]), scale=self.values)

    def _normalised(self, box: Box, picks: slice) -> torch.Tensor:
        return self._seen.tensor(box.window, box.frames)[:, picks]

    def _data(self, box: Box, picks: slice) -> Array:
        return self._seen.source.valid(box)[:, picks]

    def _planes(self, coarse: Box) -> Iterator[tuple[slice, dict[str, Array]]]:
        """The generator's outputs over a box of input pixels, as sub-pixel planes: float32 ``(f, b, v, h, w)``.

        Each item comes with its slice of the computed bands. Independent bands are computed in groups that suit the
        device: on CPUs one band, or two small ones, which saves memory and stays in the cache. Joint bands are computed
        together.
        """
        neighbours, radius, _ = self.model.halo
        tiles = list(coarse.parts((coarse.shape[0], self.tile, self.tile), self.model.module.stride))
        read, places = around(coarse.frames, self.scene.shape[0], neighbours, self.scene.grid.planes)
        halos = [self._seen.tensor(tile.window.grown(radius), read) for tile in tiles]
        others = [self._given(tile.grown((0, radius, radius))) for tile in tiles]
        count, bands = len(places), len(self.computed)
        largest = max(math.prod(halo.shape[2:]) for halo in halos) * self.model.descriptor.inputs
        step = bands_at_once(self.runtime.bands, largest) if self.model.descriptor.channels == 1 else bands
        step = bands if self._agreement.joint else step
        for first in range(0, bands, step):
            picks = slice(first, min(first + step, bands))
            alone = count == len(tiles) == 1
            shape = (count, picks.stop - first, self.factors.volume, *coarse.shape[1:])
            planes: dict[str, Array] = {}
            for tile, halo, given in zip(tiles, halos, others, strict=True):
                _, _, rows, columns = tile.within(coarse).index
                for frame in range(count):
                    check()
                    key = coarse.start[0] + frame, tile.window, picks.start, picks.stop
                    make = partial(self._frame_planes, halo[:, picks], places[frame : frame + 1], given, frame, picks)
                    made = self.kept.get(key, make)
                    if alone:
                        planes = made
                        continue
                    for name, part in made.items():
                        whole = planes.setdefault(name, np.empty(shape, np.float32))
                        whole[frame, ..., rows, columns] = part[0]
            if not all(map(_finite, planes.values())):
                raise ModelError(
                    f"output of the model {self.model.descriptor.name} that is not finite",
                    "numbers",
                    "give a --range that fits the scene, or use another model",
                )
            yield picks, planes

    def _given(self, box: Box) -> dict[str, torch.Tensor]:
        """The other inputs as the network sees them, over a box that may extend past the image."""
        ports = {port.name: port for port in self.model.descriptor.ports.inputs}
        return {name: as_seen(ports[name], scene, box) for name, scene in self.beside}

    def _frame_planes(
        self, images: torch.Tensor, places: Array, others: Mapping[str, torch.Tensor], frame: int, picks: slice
    ) -> dict[str, Array]:
        """Sub-pixel planes ``(1, b, v, h, w)`` of one frame of a tile, whose context slices are at ``places``.

        Independent bands are images of a batch; joint bands are channels.
        """
        channels = self.model.descriptor.channels
        batch = [as_channels(group, places) for group in torch.split(images, channels, 1)]
        given = {IMAGE: batch[0] if len(batch) == 1 else torch.cat(batch)}
        for port in self.model.descriptor.ports.inputs:
            seen = others[port.name][frame : frame + 1]
            if port.bands:  # repeated for each band
                given[port.name] = seen.repeat(len(batch), 1, 1, 1)
            else:
                given[port.name] = torch.cat(torch.split(seen[:, picks], channels, 1))
        made = self.runtime(self.model, given)
        return {name: planes.numpy().reshape(1, -1, *planes.shape[2:]) for name, planes in made.items()}


def beneath(source: Source, box: Box) -> Iterator[tuple[Prediction, Box]]:
    """The predictions that a box of a source is computed from, the last one first, each with the box of it."""
    if isinstance(source, JoinedSource):
        for part in source.parts:
            yield from beneath(part, box)
    if isinstance(source, Prediction):
        yield source, box
    if source.inner is not None:
        yield from beneath(source.inner, source.touches(box))


def need_of(
    scene: Scene,
    model: Model,
    runtime: Runtime,
    conserve: bool,
    reads: Sequence[Source],
    region: tuple[int, int] | None = None,
) -> Need:
    """The memory need of a worker; ``reads`` are the sources of all inputs, and ``region`` is the height and width of
    regions in input pixels, if known.
    """
    cache = partial(reader_cache, reads)
    return Need.of(model, runtime, len(scene.bands), scene.dtype.itemsize, region, conserve, cache)


def whole_frames(scene: Scene, model: Model) -> bool:
    """Whether regions are whole frames: for a series, or if the operator needs them."""
    return bool(scene.grid.planes) or operators.get(model.descriptor.operator).whole_frames


def _finite(values: Array) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()  # a fast test; it may overflow
    return bool(np.isfinite(total) or np.isfinite(values).all())
