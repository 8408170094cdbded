"""Scenes in physical units: floats such as reflectance or kelvin instead of stored numbers."""

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
    """Another source as float32: stored × slope + offset, from ``lines``, one per band; NaN where there is no data."""

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
        """None: nodata has become NaN, so no other stored value can mean it."""
        return None

    def opaque(self) -> Source | None:
        """None: the alpha band's mask has become NaN."""
        return None


def in_units(scene: Scene) -> Scene:
    """The scene in physical units; see ``Scene.in_units``.

    Raises:
        InputError: a series of slices, or frames with their own slopes and offsets.
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
