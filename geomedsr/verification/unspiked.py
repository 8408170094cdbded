"""Whether a result of which spikes were taken out of k-space is its source but for them."""

from __future__ import annotations

import numpy as np

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.repairing.spikes import cleaned, k_space, of_text
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.scene import Scene

#: Rounding to whole numbers changes a sample of k-space by this times the root of the pixels, in the mean of squares.
_ROUNDING = 12**-0.5

#: By so many times that at most, in samples that are many.
_MOST = 8.0


def spikes_checks(source: Scene, result: Scene) -> list[Check]:
    """Whether frames without spikes are the source's, and others are but for the samples that the record tells."""
    name, rest = "the source without the spikes that the record tells", "the rest of k-space within rounding"
    try:
        places = of_text(provenance_of(result).spikes or "")
    except InputError as error:
        return [Check(name, False, error.got)]
    known, made, differ, worst = dict(places), cleaned(source, places), 0, 0.0
    whole = Box.whole(source.shape).window
    for frame in range(source.shape[0]):
        box = Box.of(frame, whole)
        after, before = result.source.read(box)[0, 0], source.source.read(box)[0, 0]
        if source.dtype.kind == "f":
            near = np.isclose(
                made.read(box)[0, 0], after, rtol=1e-5, atol=1e-6 * float(np.abs(before).max()), equal_nan=True
            )
            differ += int((~near).sum())
        else:
            differ += int((made.read(box)[0, 0] != after).sum())
        if frame in known and source.dtype.kind != "f":
            apart = np.abs(k_space(after) - k_space(before))
            height, width = apart.shape
            for y, x in known[frame]:
                apart[(y + height // 2) % height, (x + width // 2) % width] = 0
            worst = max(worst, float(apart.max()) / (_ROUNDING * apart.size**0.5))
    samples = sum(len(own) for own in known.values())
    told = f"{samples} samples of {len(known)} frames"
    return [
        Check(name, not differ, f"{differ} pixels differ" if differ else told),
        Check(rest, worst <= _MOST if not differ else None, f"at most {worst:.1f} times rounding's mean"),
    ]
