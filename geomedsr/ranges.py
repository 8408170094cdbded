"""The usual range of a scene's physical values."""

from __future__ import annotations

import numpy as np

from geomedsr.errors import InputError
from geomedsr.grid import Window
from geomedsr.scene import Scene
from geomedsr.sources import Array, sample
from geomedsr.values import PERCENTILES, ValueScale

#: Frames that the percentiles of a series with a slope for each are taken from, at most.
_FRAMES_SEEN = 16


def physical_range(scene: Scene, percentiles: tuple[float, float] = PERCENTILES) -> tuple[Array, Array]:
    """Two percentiles of each band's valid pixels, physical, float64 ``(band,)``; of a spread, if it is large.

    Raises:
        InputError: they are so far apart that a float does not hold it, or no numbers.
    """
    slope, offset = scene.lines
    if len(slope) > 1:
        scale = ValueScale.from_samples(physical_sample(scene), percentiles)
        slope, offset = np.ones((1, 1)), np.zeros((1, 1))
    elif percentiles == PERCENTILES and (scene.scale is None or scene.scale.origin == "percentiles"):
        scale = scene.values
    else:
        scale = ValueScale.from_samples(sample(scene.source), percentiles)
    with np.errstate(over="ignore", invalid="ignore"):
        start, span = (part[0, :, 0, 0] for part in scale.bounds())
        ends = np.stack([start, start + span]) * slope[0] + offset[0]
        low, high = ends.min(0), ends.max(0)  # a slope may be negative
        if not np.isfinite(high - low).all():
            raise InputError(
                f"values of {scene.name} from {ends.min():.4g} to {ends.max():.4g}",
                "a range that a float holds",
                "declare the no-data value, or correct the scale of its bands",
            )
    return low, high


def physical_sample(scene: Scene) -> list[Array]:
    """Valid values of each band, physical, as 1-D arrays: all of them in a small scene, else of a spread."""
    slope, offset = scene.lines
    if len(slope) == 1:
        parts = zip(sample(scene.source), slope[0], offset[0], strict=True)
        return [stored.astype(np.float64) * s + o for stored, s, o in parts]
    count, bands, height, width = scene.shape
    some = range(0, count, -(-count // _FRAMES_SEEN))
    whole = Window(0, 0, width, height)
    physical = np.concatenate(
        [scene.source.read(slice(i, i + 1), whole) * slope[i][:, None, None] + offset[i][:, None, None] for i in some]
    )
    valid = np.concatenate([scene.source.valid(slice(i, i + 1), whole) for i in some])
    return [physical[:, b][valid[:, b]] for b in range(bands)]
