"""What of a source a result was made of, as the result states it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from geomedsr.errors import InputError
from geomedsr.scene.areas import AreaSource, polygons_of
from geomedsr.scene.provenance import Provenance, provenance_of, window_of
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource, CroppedSource
from geomedsr.verification.groups import GroupOf, groups_of


def grouped(source: Scene, result: Scene) -> list[GroupOf]:
    """Of a result of a product with several resolutions, the groups of bands that were made in one way; else none.

    Raises:
        InputError: as :func:`geomedsr.verification.groups.groups_of`.
    """
    if source.parts is None or provenance_of(result).groups is None:
        return []
    return groups_of(_edited(source, provenance_of(result)), result)


def taken(source: Scene, result: Scene) -> Scene:
    """The part of a source that a result was made from, as the result states it.

    The result states the selected bands, window and polygons (``--bands``, ``--window``), the nodata value, and whether
    values were converted to physical units.
    """
    provenance = provenance_of(result)
    made_of = provenance.chosen
    source = _edited(source, provenance, physical=False)
    if made_of.bands is not None:
        with suppress(InputError):  # the source has other bands
            source = source.select(made_of.bands)
    if made_of.physical is not None and not source.grid.planes and source.provenance.chosen.physical is None:
        source = source.in_units()
    if made_of.aoi is not None and not source.grid.planes:
        with suppress(ValueError):  # the text holds no polygons
            source = replace(source, source=_part(source, made_of.aoi))
    window = window_of(provenance)
    if window is None or not window.inside(source.grid.shape):
        return source
    return replace(source, source=CroppedSource(source.source, window), grid=source.grid.cropped(window))


def _edited(source: Scene, provenance: Provenance, physical: bool = True) -> Scene:
    """A source with the nodata value that a result states, and in units if that is."""
    made_of = provenance.chosen
    if made_of.nodata is not None and source.provenance.chosen.nodata is None:
        with suppress(InputError):  # the result is from another source
            source = source.with_nodata(made_of.nodata)
    if physical and made_of.physical is not None and source.provenance.chosen.physical is None:
        source = source.in_units()
    return source


def _part(source: Scene, area: str) -> AreaSource:
    """The part of a source inside polygons."""
    polygons_of(area)
    return AreaSource(source.source, area, tuple(0 if b.nodata is None else b.nodata for b in source.bands))


def is_physical(scene: Scene) -> bool:
    """Whether stored values are physical values."""
    slope, offset = scene.slopes_and_offsets
    return bool((slope == 1).all() and (offset == 0).all())


def in_physical(source: Scene, result: Scene) -> Scene:
    """The source in physical values, in the result's type."""
    slope, offset = (table[..., None, None] for table in source.slopes_and_offsets)
    stored = source.data.data.astype(np.float64) * slope + offset
    values = ArraySource(stored.astype(result.dtype), source.valid.data)
    return replace(source, source=values, bands=result.bands, rescale=())
