"""A nodata value given by the user, where the file states none or another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import TYPE_CHECKING

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.provenance import NONE
from geomedsr.scene.sources import Array, Source, WrappingSource, by_value, data_by_value

if TYPE_CHECKING:
    from geomedsr.scene.scene import Band, Scene


@dataclass(frozen=True)
class NodataSource(WrappingSource):
    """A source that also masks pixels with a band's ``nodata`` value, besides the ones that are no data anyway."""

    nodata: tuple[float | int | None, ...]

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return self.whole.valid(box) & data_by_value(self.whole.read(box), self.nodata)

    def select(self, bands: Sequence[int]) -> NodataSource:
        """Some of the bands."""
        return NodataSource(self.whole.select(bands), tuple(self.nodata[b] for b in bands))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As in the whole source, and by value."""
        pairs = zip(self.whole.masking, by_value(self.dtype, self.nodata), strict=True)
        return tuple(known | more for known, more in pairs)

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source:
        """The same source with other nodata values."""
        return replace(self, nodata=nodata)


def unified(bands: Sequence[Band]) -> tuple[float | int | None, ...]:
    """The nodata value of each band of a result: the first that a band has, for all bands, as in GeoTIFF."""
    value = next((band.nodata for band in bands if band.nodata is not None), None)
    return (value,) * len(bands)


def same_nodata(one: Sequence[float | int | None], other: Sequence[float | int | None]) -> bool:
    """Whether bands have the same nodata values; NaN equals NaN."""
    return repr(list(one)) == repr(list(other))


def declared(scene: Scene, value: float | str | None) -> Scene:
    """The scene with one nodata value for all bands, or none; see ``Scene.with_nodata``.

    Raises:
        InputError: the scene's type cannot hold the value, or the scene is a series.
    """
    if scene.grid.planes:
        raise InputError(f"a nodata value for the series {scene.name}", "a scene that lies on a map", "leave it out")
    stored = None if value is None or value == NONE else _stored(scene, value)
    values = (stored,) * len(scene.bands)
    source = scene.source.with_nodata(values)
    if source is None:
        source = scene.source if stored is None else NodataSource(scene.source, values)
    bands = tuple(replace(band, nodata=stored) for band in scene.bands)
    provenance = scene.provenance.choosing(nodata=NONE if stored is None else stored)
    parts = None if scene.parts is None else scene.parts.then(methodcaller("with_nodata", value))
    return replace(scene, source=source, bands=bands, provenance=provenance, parts=parts)


def _stored(scene: Scene, value: float | str) -> float | int:
    """A value in the type of the scene."""
    dtype = scene.dtype
    number = _number(value)
    if number is not None and dtype.kind == "f":
        if not math.isfinite(number) or abs(number) <= float(np.finfo(dtype).max):
            return float(number)
    elif number is not None and math.isfinite(number) and number == int(number):
        info = np.iinfo(dtype)
        if info.min <= int(number) <= info.max:
            return int(number)
    raise InputError(
        f"the nodata value {value} for {scene.name} of type {dtype}",
        f"a value that {dtype} holds, or {NONE}",
        "give the value that its pixels without data have",
    )


def _number(value: float | str) -> float | int | None:
    """A number. Whole numbers stay exact: a float cannot hold all 64-bit integers."""
    for kind in (int, float):
        try:
            return value if isinstance(value, int) else kind(value) if isinstance(value, str) else float(value)
        except (TypeError, ValueError):
            continue
    return None
