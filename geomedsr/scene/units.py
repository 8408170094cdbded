"""Scenes in physical units: floats of reflectance or kelvin instead of the numbers that a file stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source, WrappingSource

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene


@dataclass(frozen=True)
class PhysicalSource(WrappingSource):
    """Another source as float32: stored × slope + offset by ``lines``, one a band; NaN where there is no data."""

    lines: tuple[tuple[float, float], ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def read(self, box: Box) -> Array:
        """Physical values of a box."""
        slope, offset = np.array(self.lines).T[:, :, None, None]
        values = (self.whole.read(box) * slope + offset).astype(np.float32)
        return np.where(self.whole.valid(box), values, np.float32(np.nan))

    def select(self, bands: Sequence[int]) -> PhysicalSource:
        """Some of the bands."""
        return PhysicalSource(self.whole.select(bands), tuple(self.lines[band] for band in bands))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By NaN alone."""
        return (Masking.NAN,) * self.shape[1]

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """None: the numbers that were no data are gone."""
        return None

    def opaque(self) -> Source | None:
        """None, likewise."""
        return None


def in_units(scene: Scene) -> Scene:
    """A scene in its units; see ``Scene.in_units``.

    Raises:
        InputError: a series of slices, or frames with lines of their own.
    """
    if scene.grid.planes or scene.rescale:
        raise InputError(f"physical values of the series {scene.name}", "a scene that lies on a map", "leave it out")
    lines = tuple((band.scale, band.offset) for band in scene.bands)
    bands = tuple(replace(b, scale=1.0, offset=0.0, nodata=float("nan"), limits=None) for b in scene.bands)
    return replace(
        scene,
        source=PhysicalSource(scene.source, lines),
        bands=bands,
        scale=None,
        provenance=scene.provenance.choosing(physical="yes"),
        parts=None if scene.parts is None else scene.parts.then(methodcaller("in_units")),
    )
