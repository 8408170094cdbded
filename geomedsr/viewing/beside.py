"""Half-widths and invented pixels among a scene's bands: they are shown on a scale of their own, from 0."""

from __future__ import annotations

import numpy as np

from geomedsr.geometry import Box, Window
from geomedsr.models.half_width import INVENTED, PORT
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.scene import Scene

#: Side of the part in the middle that is sampled.
_SIDE = 256


def beside(scene: Scene) -> tuple[str | None, ...]:
    """For each band: ``"halfwidth"`` or ``"invented"``, by what a result states of itself; None for an image's."""
    provenance = provenance_of(scene)
    if provenance.interval.nominal is None:
        return (None,) * len(scene.bands)
    if provenance.model.output in (PORT.name, INVENTED.name):
        return (provenance.model.output,) * len(scene.bands)
    return tuple(PORT.name if band.name.endswith(f"_{PORT.name}") else None for band in scene.bands)


def ends_beside(scene: Scene, white: float = 99) -> dict[int, tuple[float, float]]:
    """Black and white, in physical units, of such bands: of half-widths 0 and a percentile in the middle of the middle
    frame; of invented pixels 0 and 1. Of a result that is yet to be computed that part is.
    """
    kinds = beside(scene)
    found = {band: (0.0, 1.0) for band, kind in enumerate(kinds) if kind == INVENTED.name}
    wide = [band for band, kind in enumerate(kinds) if kind == PORT.name]
    if not wide:
        return found
    frames, _, height, width = scene.shape
    rows, cols = min(height, _SIDE), min(width, _SIDE)
    box = Box.of(frames // 2, Window((width - cols) // 2, (height - rows) // 2, cols, rows))
    values, valid = scene.source.read(box)[0], scene.source.valid(box)[0]
    slopes = scene.slopes_and_offsets[0]
    for band in wide:
        line = slopes[frames // 2 if len(slopes) > 1 else 0]
        there = values[band][valid[band]].astype(np.float64) * abs(float(line[band]))
        there = there[np.isfinite(there)]
        most = float(np.percentile(there, white)) if there.size else 0.0
        found[band] = (0.0, most if most > 0 else 1.0)
    return found
