"""A reference scene, reduced lazily: the input that a model super-resolves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from geomedsr import operators
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Grid
from geomedsr.operators.conserve import unconserved
from geomedsr.scene.masking import Masking
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array, Source


@dataclass(frozen=True)
class ReducedSource(Source):
    """A source reduced by an operator, rounded and clipped to its storage type.

    A coarse pixel is data if all its fine pixels are.
    """

    fine: Source
    scale: int
    operator: str
    bands: tuple[Band, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.fine.shape
        return frames, bands, height // self.scale, width // self.scale

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.fine.dtype

    @property
    def block(self) -> tuple[int, int]:
        """Preferred ``(height, width)`` of a read."""
        return self.shape[2:] if operators.get(self.operator).whole_frames else (256, 256)

    def read(self, box: Box) -> Array:
        """Coarse stored values of a box."""
        operator = operators.get(self.operator)
        around = operator.support(box, self.shape)
        values, valid = self._stored(self._reduced(operator, around))[box.within(around).index], self.valid(box)
        if operator.whole_frames:
            return values
        for index, band in enumerate(self.bands):
            if band.nodata is not None:
                values[:, index][~valid[:, index]] = band.nodata
        return values

    def valid(self, box: Box) -> Array:
        """True where every fine pixel is data."""
        fine = self.fine.valid(box.refined(Factors.in_plane(self.scale)))
        *lead, height, width = fine.shape
        blocks = fine.reshape(*lead, height // self.scale, self.scale, width // self.scale, self.scale)
        return np.asarray(blocks.all((-3, -1)))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As in the fine source."""
        return self.fine.masking

    def select(self, bands: Sequence[int]) -> ReducedSource:
        """Some of the bands."""
        return replace(self, fine=self.fine.select(bands), bands=tuple(self.bands[b] for b in bands))

    def _stored(self, values: Array) -> Array:
        return stored(values, self.dtype, self.bands)

    def _reduced(self, operator: operators.Operator, box: Box) -> Array:
        fine = self.fine.read(box.refined(Factors.in_plane(self.scale))).astype(np.float64)
        return operator.forward(torch.from_numpy(fine), self.scale).numpy()


def stored(values: Array, dtype: np.dtype[Any], bands: Sequence[Band]) -> Array:
    """Values ``(frame, band, y, x)`` in stored units, as in results: rounded, clipped, never the nodata value."""
    one, zero = np.ones(()), np.zeros(())
    planes = [unconserved(values[:, i], zero, one, dtype, b.nodata, b.limits) for i, b in enumerate(bands)]
    return np.stack(planes, 1)


def reduced(scene: Scene, scale: int, operator: str) -> Scene:
    """The scene, reduced by ``scale``, which divides its size. It has no position, and its own value scale."""
    source = ReducedSource(scene.source, scale, operator, scene.bands)
    coarse = Scene(source, Grid(source.shape[2:]), scene.bands, name=scene.name)
    return replace(coarse, domain=scene.domain, rescale=scene.rescale)
