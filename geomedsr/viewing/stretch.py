"""From physical values to shades: by percentiles, or by the windows of radiology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomedsr.errors import InputError
from geomedsr.inference.output import predicted
from geomedsr.scene.ranges import physical_range
from geomedsr.scene.scaling import PERCENTILES
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.viewing.beside import ends_beside

#: CT windows in Hounsfield units: the usual centre and width.
CT_WINDOWS: dict[str, tuple[float, float]] = {
    "soft tissue": (40, 400),
    "lung": (-600, 1500),
    "bone": (400, 1800),
    "brain": (40, 80),
}

#: A CT window: a preset's name, or centre and width in HU.
Level = str | tuple[float, float]


@dataclass(frozen=True)
class Stretch:
    """The physical values of black and white for each band.

    A second item tells for which bands these had to be set apart, because the band is constant or has no data, and no
    window is used.
    """

    ends: tuple[tuple[float, float], ...]
    apart: tuple[bool, ...]


def limits(
    scene: Scene, percentiles: tuple[float, float] | None = None, level: Level | None = None
) -> tuple[tuple[float, float], ...]:
    """The physical values of black and white for each band; see :func:`stretch`."""
    return stretch(scene, percentiles, level).ends


def stretch(scene: Scene, percentiles: tuple[float, float] | None = None, level: Level | None = None) -> Stretch:
    """The mapping of values to shades; the scene is sampled once.

    Half-widths and invented pixels have a scale of their own (:mod:`geomedsr.viewing.beside`).

    Args:
        scene: the scene to show; for a result that is not computed yet, its input is sampled.
        percentiles: of each band's valid pixels; by default the 1st and the 99th, or for CT the soft tissue window.
        level: a window instead: one of :data:`CT_WINDOWS`, or centre and width in physical units, for all bands.

    Raises:
        InputError: no such window, a window without width, a CT window for other scenes, or percentiles out of order.
    """
    window, bands = _asked(scene, percentiles, level), len(scene.bands)
    own = ends_beside(scene, (percentiles or PERCENTILES)[1])
    if window is not None or len(own) == bands:
        ends = tuple(own.get(band, window or (0.0, 1.0)) for band in range(bands))
        return Stretch(ends, (False,) * bands)
    seen = _seen(scene)
    if len(seen.bands) < bands:  # bands beside an image that is yet to be computed
        seen = _seen(scene.select([band + 1 for band in range(bands) if band not in own]))
    lows, highs, apart = physical_range(seen, PERCENTILES if percentiles is None else percentiles)
    found = list(zip(lows.tolist(), highs.tolist(), strict=True))
    found += [(0.0, 1.0)] * (bands - len(found))
    return Stretch(tuple(own.get(band, found[band]) for band in range(bands)), (*apart, *(False,) * bands)[:bands])


def _seen(scene: Scene) -> Scene:
    """A scene, or the input of a result that is not computed yet."""
    inner = predicted(scene.source)
    return inner.scene if inner is not None else scene


def _asked(scene: Scene, percentiles: tuple[float, float] | None, level: Level | None) -> tuple[float, float] | None:
    """The ends of the requested window, or of the default window for CT; None for percentiles."""
    if level is not None and percentiles is not None:
        raise InputError("percentiles and a window", "one of them", "leave one out")
    if level is None and percentiles is None and scene.hounsfield:
        level = "soft tissue"
    if level is not None:
        return _window(scene, level)
    low, high = PERCENTILES if percentiles is None else percentiles
    if not 0 <= low < high <= 100:
        raise InputError(f"the percentiles {low:g} and {high:g}", "two between 0 and 100, the lower first", "swap them")
    return None


def _window(scene: Scene, level: Level) -> tuple[float, float]:
    if isinstance(level, str):
        if scene.domain != "CT":
            raise InputError(f"the CT window {level!r} for {scene.name}, which is no CT", "CT", "give percentiles")
        if level.casefold() not in CT_WINDOWS:
            raise InputError(f"the window {level!r}", f"one of {', '.join(CT_WINDOWS)}, or (centre, width)", "name one")
        level = CT_WINDOWS[level.casefold()]
    centre, width = (float(v) for v in level)
    if not (np.isfinite([centre, width]).all() and width > 0):
        raise InputError(f"the window {centre:g}, {width:g}", "a centre and a width above 0", "correct it")
    return centre - width / 2, centre + width / 2


def shades(physical: Array, valid: Array, ends: Sequence[tuple[float, float]]) -> Array:
    """Values ``(band, y, x)``, one band or three, as uint8 ``(y, x, 4)``: RGB and opacity, 0 where there is no data."""
    low, high = np.array(ends).T[..., None, None]
    span = np.where(high > low, high - low, 1.0)
    scaled = np.clip((np.where(valid, physical, low) - low) / span, 0, 1)
    colours = np.broadcast_to(np.rint(scaled * 255).astype(np.uint8), (3, *physical.shape[1:]))
    opacity = np.where(valid.all(0), 255, 0).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([colours, opacity[None]]).transpose(1, 2, 0))
