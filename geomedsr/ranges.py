"""The usual range of a scene's physical values."""

from __future__ import annotations

import numpy as np

from geomedsr.grid import Window
from geomedsr.scene import Scene
from geomedsr.sources import Array, sample
from geomedsr.values import PERCENTILES, ValueScale

#: Frames that the percentiles of a series with a slope for each are taken from, at most.
_FRAMES_SEEN = 16


def physical_range(scene: Scene, percentiles: tuple[float, float] = PERCENTILES) -> tuple[Array, Array]:
    """Two percentiles of each band's valid pixels, physical, float64 ``(band,)``; of a spread, if it is large."""
    slope, offset = scene.lines
    if len(slope) == 1:
        if percentiles == PERCENTILES and (scene.scale is None or scene.scale.origin == "percentiles"):
            scale = scene.values
        else:
            scale = ValueScale.from_samples(sample(scene.source), percentiles)
        start, span = (part[0, :, 0, 0] for part in scale.bounds())
        ends = np.stack([start, start + span]) * slope[0] + offset[0]
        return ends.min(0), ends.max(0)  # a slope may be negative
    count, bands, height, width = scene.shape
    some = range(0, count, -(-count // _FRAMES_SEEN))
    whole = Window(0, 0, width, height)
    physical = np.concatenate(
        [scene.source.read(slice(i, i + 1), whole) * slope[i][:, None, None] + offset[i][:, None, None] for i in some]
    )
    valid = np.concatenate([scene.source.valid(slice(i, i + 1), whole) for i in some])
    scale = ValueScale.from_samples([physical[:, b][valid[:, b]] for b in range(bands)], percentiles)
    low, span = (part[0, :, 0, 0] for part in scale.bounds())
    return low, low + span
