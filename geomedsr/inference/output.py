"""Outputs besides the image, and the prediction that a source is a part of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from geomedsr.geometry import Box
from geomedsr.inference.ports import stored_type
from geomedsr.inference.prediction import Prediction
from geomedsr.models.ports import Port
from geomedsr.scene.areas import AreaSource
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, CroppedSource, Source


@dataclass(frozen=True)
class OfPrediction(Source, ABC):
    """A source that a prediction computes besides its image; ``picks`` are positions among the bands that it has."""

    prediction: Prediction
    picks: tuple[int, ...]

    @property
    @abstractmethod
    def of_image(self) -> tuple[int, ...]:
        """For each band, that of the image whose validity it has."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, _, height, width = self.prediction.shape
        return frames, len(self.picks), height, width

    @property
    def inner(self) -> Source:
        """The prediction."""
        return self.prediction

    def on(self, inner: Source) -> Self:
        """The same of another prediction."""
        assert isinstance(inner, Prediction)
        return replace(self, prediction=inner)

    @property
    def block(self) -> tuple[int, int]:
        """As the prediction's."""
        return self.prediction.block

    def valid(self, box: Box) -> Array:
        """The input's validity, repeated."""
        return self.prediction.valid(box)[:, list(self.of_image)]

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As the image's."""
        return tuple(self.prediction.masking[band] for band in self.of_image)

    def select(self, bands: Sequence[int]) -> Self:
        """Some of the bands."""
        return replace(self, picks=tuple(self.picks[band] for band in bands))


@dataclass(frozen=True)
class Output(OfPrediction):
    """An output besides the image as a source; it has the bands that the model computes."""

    port: Port

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Everything that its pixels depend on; a port as text, which is the same in all processes."""
        from dask.base import normalize_token

        return normalize_token(self.prediction), self.port.model_dump_json(), self.picks

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type: the image's, or bytes for masks."""
        return stored_type(self.port, self.prediction.dtype)

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self.of(self.prediction.compute(box)[0])

    def of(self, made: Mapping[str, Array]) -> Array:
        """Its values, from all outputs over a box."""
        return made[self.port.name][:, list(self.picks)]

    @property
    def of_image(self) -> tuple[int, ...]:
        """For each band, the one that the model computes it for."""
        return tuple(self.prediction.computed[pick] for pick in self.picks)


def predicted(source: Source) -> Prediction | None:
    """The prediction of which a source is an output or a window; None for other sources."""
    while isinstance(source, CroppedSource | AreaSource):
        source = source.whole
    source = source.prediction if isinstance(source, OfPrediction) else source
    return source if isinstance(source, Prediction) else None
