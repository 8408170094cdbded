"""A reference scene made coarse, lazily: what a model is given to make fine again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from geomedsr import operators
from geomedsr.grid import Grid, Window
from geomedsr.operators.conserve import unconserved
from geomedsr.scene import Band, Scene
from geomedsr.sources import Array, Source


@dataclass(frozen=True)
class ReducedSource:
    """Windows of a source brought down by an operator, rounded and clipped to its storage type.

    A coarse pixel is data where all its fine ones are.
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

    def read(self, frames: slice, window: Window) -> Array:
        """Coarse stored values of a window."""
        operator = operators.get(self.operator)
        if operator.whole_frames:
            _, _, height, width = self.shape
            whole = self._stored(self._down(operator, frames, Window(0, 0, width, height)))
            end_row, end_col = window.stop
            return whole[..., window.row : end_row, window.col : end_col]
        values, valid = self._stored(self._down(operator, frames, window)), self.valid(frames, window)
        for index, band in enumerate(self.bands):
            if band.nodata is not None:
                values[:, index][~valid[:, index]] = band.nodata
        return values

    def valid(self, frames: slice, window: Window) -> Array:
        """True where every fine pixel is data."""
        fine = self.fine.valid(frames, window.scaled(self.scale))
        *lead, height, width = fine.shape
        blocks = fine.reshape(*lead, height // self.scale, self.scale, width // self.scale, self.scale)
        return np.asarray(blocks.all((-3, -1)))

    def select(self, bands: Sequence[int]) -> ReducedSource:
        """Some of the bands."""
        return replace(self, fine=self.fine.select(bands), bands=tuple(self.bands[b] for b in bands))

    def _stored(self, values: Array) -> Array:
        return stored(values, self.dtype, self.bands)

    def _down(self, operator: operators.Operator, frames: slice, window: Window) -> Array:
        fine = self.fine.read(frames, window.scaled(self.scale)).astype(np.float64)
        return operator.forward(torch.from_numpy(fine), self.scale).numpy()


def stored(values: Array, dtype: np.dtype[Any], bands: Sequence[Band]) -> Array:
    """Values ``(frame, band, y, x)`` in stored units as results hold them: rounded, clipped, never the nodata value."""
    one, zero = np.ones(()), np.zeros(())
    planes = [unconserved(values[:, i], zero, one, dtype, b.nodata, b.limits) for i, b in enumerate(bands)]
    return np.stack(planes, 1)


def reduced(scene: Scene, scale: int, operator: str) -> Scene:
    """The scene, whose size the scale divides, made coarse; without its place, and with a value scale of its own."""
    source = ReducedSource(scene.source, scale, operator, scene.bands)
    coarse = Scene(source, Grid(source.shape[2:]), scene.bands, name=scene.name, masked=scene.masked)
    return replace(coarse, domain=scene.domain, rescale=scene.rescale)
