"""A scene as it was before JPEG, as far as its file tells: within the bins of the file's coefficients; lazily."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.inference.process import process
from geomedsr.jpeg.coded import KEPT, Coded
from geomedsr.jpeg.history import earlier_step
from geomedsr.models import Model, load_model
from geomedsr.models.deblocking import Deblocking
from geomedsr.models.ports import IMAGE
from geomedsr.operators.jpeg_bins import Count, JPEGBins
from geomedsr.scene.coding import coded_of
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Cache, Source

#: The model that takes off JPEG's artefacts.
DEFAULT = "repair-jpeg"

#: Rows and columns of a piece in which units are counted.
_PIECE = 1024


@dataclass(frozen=True)
class Steps(Source):
    """The quantisation steps of an image's file, laid out over each of its blocks: of luma for red, green and blue."""

    image: Source
    coded: Coded
    bands: tuple[int, ...]

    @property
    def reads(self) -> tuple[Source, ...]:
        """The image."""
        return (self.image,)

    def cached(self, workers: int) -> Mapping[Cache, int]:
        """Coefficients, of 16 bits; of one stream at least, and of those that other threads decode meanwhile."""
        streams, (frames, _, *_) = self.coded.streams, self.shape
        stream = math.prod(streams.tile) * len(self.bands) * 2
        count = frames * math.prod(-(-n // side) for n, side in zip(streams.size, streams.tile, strict=True))
        most = max(KEPT, stream) + (min(workers, count) - 1) * stream
        return {Cache("coefficients of JPEG", most): math.prod(self.shape) * 2}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return self.image.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Steps of 12 bits fit."""
        return np.dtype(np.uint16)

    @property
    def block(self) -> tuple[int, int]:
        """As the image's."""
        return self.image.block

    def select(self, bands: Sequence[int]) -> Steps:
        """Some of the bands."""
        return replace(self, image=self.image.select(bands), bands=tuple(self.bands[i] for i in bands))

    def valid(self, box: Box) -> Array:
        """True everywhere."""
        frames, height, width = box.shape
        return np.broadcast_to(np.True_, (frames, len(self.bands), height, width))

    def read(self, box: Box) -> Array:
        """The steps of a box."""
        frames, height, width = box.shape
        out = np.empty((frames, len(self.bands), height, width), np.uint16)
        for number in range(frames):
            own = Box.of(box.start[0] + number, box.window)
            cut, units = self.coded.cut(own), self.coded.units(own)
            times = [side // 8 for side in cut.side]
            for band, which in enumerate(self.bands):
                table = units.tables[0 if units.luma else which].reshape(-1, 1, 8, 8)
                out[number, band] = cut.together(np.tile(table, (1, 1, *times)), (height, width))[0]
        return out


@dataclass(frozen=True)
class Deblocked:
    """A scene without JPEG's artefacts, what it was made of, and the step of an earlier compression, if one shows."""

    scene: Scene
    source: Scene
    coded: Coded
    earlier: int | None

    def counted(self, written: Scene) -> Count:
        """How many units of the written result hold the file's coefficients; ``written`` has the source's size."""
        boxes = Box.whole(self.source.shape).tiles((1, _PIECE, _PIECE))
        return JPEGBins(self.coded).counted(self.source, written, boxes)


def deblocked(
    scene: Scene,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    tile: int | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    precision: str | None = None,
) -> Deblocked:
    """The scene of a JPEG file, or of TIFF or DICOM with JPEG inside, as it was before, lazily.

    Args:
        scene: as it was opened: all bands, whole.
        model: a shipped model's name, a model file, or a loaded model of the architecture ``deblocking``; by default
            ``repair-jpeg``.
        tile: see :func:`geomedsr.upscale`, as for ``memory``, ``device`` and ``precision``.
        memory: what writing the result may take.
        device: where the network runs.
        precision: what it computes in.

    Raises:
        InputError: no JPEG, or one whose coefficients are not read: progressive, lossless, arithmetic, CMYK.
        ModelError: no such model, or one that is not for this.
        DeviceError: no such device, or precision.
    """
    own = model if isinstance(model, Model) else load_model(model or DEFAULT)
    if not isinstance(own.module, Deblocking):
        raise ModelError(
            f"the model {own.descriptor.name} for JPEG", "one that takes off its artefacts", f"use {DEFAULT}"
        )
    coded = _checked(scene)
    count, top = scene.shape[1], 2**coded.first.precision - 1
    scale = ValueScale.from_range(0, top, count)
    steps = Scene(
        Steps(scene.source, coded, tuple(range(count))),
        scene.grid,
        tuple(replace(band, nodata=None) for band in scene.bands),
        f"steps of {scene.name}",
        scene.files,
        domain=scene.domain,
        frames=scene.frames,
        scale=scale,
    )
    if (earlier := earlier_step(coded.first)) is not None:
        warnings.warn(
            f"{scene.name} was compressed before with coarser steps, such as {earlier}: its coefficients tell what "
            "that file held, not what the scene did",
            SceneWarning,
            stacklevel=3,
        )
    made = process(
        own,
        image=replace(scene, scale=scale),
        tile=tile,
        memory=memory,
        device=device,
        precision=precision,
        steps=steps,
    )[IMAGE]
    facts = made.provenance
    provenance = replace(facts, model=replace(facts.model, inputs=None))
    return Deblocked(replace(made, name=f"{scene.name} repaired", provenance=provenance), scene, coded, earlier)


def _checked(scene: Scene) -> Coded:
    """The coefficients of a scene's file.

    Raises:
        InputError: they are not read, or are not all that the scene was made of.
    """
    coded = coded_of(scene)
    first = coded.first
    count, top = scene.shape[1], 2**first.precision
    if len(first.components) == 4 and count != 4:
        raise InputError(f"{scene.name}, which is JPEG of CMYK", "grey, or luma and chroma", "convert it to RGB first")
    if len(first.components) != count or any(band.kind != "continuous" for band in scene.bands):
        raise InputError(
            f"{count} bands of {scene.name}, whose JPEG has {len(first.components)}", "all of them", "leave --bands out"
        )
    if scene.dtype.kind != "u" or np.iinfo(scene.dtype).max + 1 < top:
        raise InputError(
            f"{scene.name} of {scene.dtype}, decoded from JPEG of {first.precision} bits",
            "whole numbers from 0",
            "give the file as it came",
        )
    if coded.origin != (0, 0) or coded.window.col or coded.window.row:
        raise InputError(f"a window of {scene.name}", "the whole scene", "choose a part of the result")
    return coded
