"""Intervals around results: how much wider than predicted half-widths are stored, and bands beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.inference.output import OfPrediction
from geomedsr.inference.prediction import Prediction
from geomedsr.models.half_width import PORT
from geomedsr.models.ports import IMAGE
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class Widening:
    """By which factor half-widths of each computed band are stored, ``factors``, to cover a ``nominal`` share.

    ``rule`` says in words which score was taken, of how many units. ``tested`` tells that a self-test of this scene set
    its scale; else a typical one was taken. ``invented`` is the share of pixels where the delivered image leaves the
    interval of realism 0; None at realism 0.
    """

    nominal: float
    factors: tuple[float, ...]
    rule: str
    tested: bool
    invented: float | None = None


def check_nominal(nominal: float) -> None:
    """Raise an InputError unless it is a share that cards have scores for."""
    if not 0.5 <= nominal <= 0.99:
        raise InputError(f"an interval of {nominal:g}", "a share of pixels from 0.5 to 0.99", "choose one, such as 0.9")


def check_type(scene: Scene) -> None:
    """Raise an InputError if a storage type cannot hold half-widths as large as the value range."""
    if scene.dtype.kind not in "iu":
        return
    span = float(np.abs(scene.values.bounds()[1]).max())
    most = int(np.iinfo(scene.dtype).max)
    if span > most:
        raise InputError(
            f"an interval of {scene.name} of the type {scene.dtype}, which holds half-widths up to {most} of a value "
            f"range of {span:.0f}",
            "a type that holds the value range",
            "convert the source first, such as by gdal_translate -ot Int16",
        )


def beside(image: Scene, widths: Scene) -> Scene:
    """A result with its half-widths as further bands; both are computed at once.

    Raises:
        InputError: a series or volume, whose slices have one band.
    """
    if image.grid.planes:
        raise InputError(
            f"half-widths as bands beside {image.name}, a series of slices",
            "a file of their own",
            "give --interval-to FILE.nii.gz or a folder, or take process(…)['halfwidth']",
        )
    prediction = image.source
    assert isinstance(prediction, Prediction)
    bands = (*image.bands, *(replace(band, nodata=prediction.nodata[0]) for band in widths.bands))
    return replace(
        image,
        source=Beside(prediction, tuple(range(len(bands)))),
        bands=bands,
        scale=_scale(image.values, len(widths.bands), prediction.computed),
        rescale=image.rescale,
    )


def _scale(scale: ValueScale, count: int, computed: Sequence[int]) -> ValueScale:
    """A value scale of the image's bands, and behind them of their half-widths, from 0."""
    low = tuple((*row, *(0.0,) * count) for row in scale.low)
    spans = [tuple(high[i] - low[i] for i in computed) for low, high in zip(scale.low, scale.high, strict=True)]
    high = tuple((*row, *span) for row, span in zip(scale.high, spans, strict=True))
    return ValueScale(low, high)


@dataclass(frozen=True)
class Beside(OfPrediction):
    """An image, and behind its bands their half-widths, of one prediction."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.prediction.dtype

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        made = self.prediction.compute(box)[0]
        return np.concatenate([made[IMAGE], made[PORT.name]], 1)[:, list(self.picks)]

    @property
    def of_image(self) -> tuple[int, ...]:
        """For each band, that of the image which it is, or whose half-widths."""
        both = (*range(self.prediction.shape[1]), *self.prediction.computed)
        return tuple(both[pick] for pick in self.picks)
