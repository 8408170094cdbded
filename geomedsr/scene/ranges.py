"""The usual range of a scene's physical values."""

from __future__ import annotations

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.sampling import sample
from geomedsr.scene.scaling import PERCENTILES, ValueScale
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: At most so many frames are sampled for percentiles of a series whose frames have their own slopes.
_FRAMES_SEEN = 16


def physical_range(
    scene: Scene, percentiles: tuple[float, float] = PERCENTILES
) -> tuple[Array, Array, tuple[bool, ...]]:
    """Two percentiles of each band's valid pixels in physical units, float64 ``(band,)``; large scenes are sampled.

    The third item tells for which bands they had to be set apart, because the band is constant or has no data.

    Raises:
        InputError: the values are not finite, or their difference is too large for a float.
    """
    scale, slope, offset = _scale(scene, percentiles)
    start, span = (part[0, :, 0, 0] for part in scale.bounds())
    ends = _physical(scene, np.stack([start, start + span]), slope, offset)
    return ends.min(0), ends.max(0), scale.widened  # a slope may be negative


def measured_range(scene: Scene) -> tuple[float, float] | None:
    """The range of these percentiles over all bands, as measured: equal ends for a constant scene, None without data.

    Raises:
        InputError: as in :func:`physical_range`.
    """
    scale, slope, offset = _scale(scene, PERCENTILES)
    known = [band for band, ends in enumerate(scale.measured) if ends is not None]
    if not known:
        return None
    stored = np.array([scale.measured[band] for band in known], np.float64).T
    ends = _physical(scene, stored, slope[known], offset[known])
    return float(ends.min()), float(ends.max())


def _scale(scene: Scene, percentiles: tuple[float, float]) -> tuple[ValueScale, Array, Array]:
    """Percentiles of each band, and the slope and offset ``(band,)`` that convert them to physical units."""
    slope, offset = scene.slopes_and_offsets
    if len(slope) > 1:
        bands = len(scene.bands)
        return ValueScale.from_samples(physical_sample(scene), percentiles), np.ones(bands), np.zeros(bands)
    if percentiles == PERCENTILES and (scene.scale is None or scene.scale.origin == "percentiles"):
        return scene.values, slope[0], offset[0]
    return ValueScale.from_samples(sample(scene.source), percentiles), slope[0], offset[0]


def _physical(scene: Scene, stored: Array, slope: Array, offset: Array) -> Array:
    """The two ends of a range ``(2, band)``, in physical units."""
    with np.errstate(over="ignore", invalid="ignore"):
        ends: Array = stored * slope + offset
        if not np.isfinite(ends[1] - ends[0]).all():
            raise InputError(
                f"values of {scene.name} from {ends.min():.4g} to {ends.max():.4g}",
                "a range that a float holds",
                "declare the no-data value, or correct the scale of its bands",
            )
    return ends


def physical_sample(scene: Scene) -> list[Array]:
    """Valid values of each band in physical units, as 1-D arrays: all of a small scene, a sample of a large one."""
    slope, offset = scene.slopes_and_offsets
    if len(slope) == 1:
        parts = zip(sample(scene.source), slope[0], offset[0], strict=True)
        return [stored.astype(np.float64) * s + o for stored, s, o in parts]
    count, bands = scene.shape[:2]
    step = -(-count // _FRAMES_SEEN)
    some = [box for box in Box.whole(scene.shape).tiles((1, *scene.shape[2:])) if box.start[0] % step == 0]
    lines = ((slope[box.frames][..., None, None], offset[box.frames][..., None, None]) for box in some)
    physical = np.concatenate([scene.source.read(b) * by + plus for b, (by, plus) in zip(some, lines, strict=True)])
    valid = np.concatenate([scene.source.valid(box) for box in some])
    return [physical[:, b][valid[:, b]] for b in range(bands)]
