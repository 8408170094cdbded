"""Whether a result of which stripes were taken off is its source but for them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.repairing.destriping import Response, restripe
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.scene import Scene

#: The input that lets stripes be undone bit for bit.
RESIDUAL = "residual"


def stripes_check(source: Scene, result: Scene, residual: Scene | None, boxes: Iterator[Box]) -> list[Check]:
    """Whether the record's gains and offsets make the result of the source, and give the source back.

    ``boxes`` cover both; they are read one at a time.
    """
    name, back = "the source without the stripes that the record tells", "undone, the source bit for bit"
    try:
        response = Response.of_text(provenance_of(result).stripes or "")
        undone = restripe(result, residual)
    except InputError as error:
        return [Check(name, False, error.got)]
    limits, differ, other, valid = source.limits, 0, 0, 0
    whole = limits is not None
    for box in boxes:
        before, after = source.source.read(box), result.source.read(box)
        known = source.source.valid(box)
        valid += int((known != result.source.valid(box)).sum())
        made = response.applied(np.where(known, before, np.zeros((), before.dtype)), box)
        if limits is not None:
            made = np.clip(made, *limits)
            wrong = np.abs(made - after.astype(np.int64)) > 0
            for band, described in enumerate(source.bands):
                if described.nodata is not None:  # a value that would be no data is moved by one
                    wrong[:, band] &= made[:, band] != int(described.nodata)
        else:
            wrong = ~np.isclose(made, after, rtol=1e-5, atol=1e-9 * max(1.0, float(np.abs(made).max())))
        differ += int((wrong & known).sum())
        other += int((undone.source.read(box) != before)[known].sum()) if whole else 0
    checks = [
        Check("data where the source has data, and nowhere else", not valid, f"{valid} pixels differ" if valid else ""),
        Check(name, not differ, f"{differ} pixels differ" if differ else response.lines),
    ]
    if whole and residual is None:
        detail = f"{other} pixels differ; to check them, give --input {RESIDUAL}=FILE" if other else ""
        checks.append(Check(back, None if other else True, detail))
    elif whole:
        checks.append(Check(back, not other, f"{other} pixels differ" if other else ""))
    return checks
