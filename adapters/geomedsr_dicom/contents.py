"""The series under a path, for ``geomedsr info`` and ``--all``."""

from __future__ import annotations

import os
import warnings
from typing import Any

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.stacking import Stacking
from geomedsr.io import Contents, Item
from geomedsr_dicom.index import Series, index
from geomedsr_dicom.series import open_series, title


def contents(path: str) -> Contents:
    """The series under a path, usable or not, and the number of other files."""
    found = index(path)
    root = os.path.abspath(path) if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    counts = {
        "that cannot be read": found.damaged,
        "of DICOM without an image": found.others,
        "of another kind": found.foreign,
        "that the DICOMDIR names and that are not there": found.missing,
    }
    notes = [f"{count} file{'s' * (count != 1)} {what}, skipped" for what, count in counts.items() if count]
    return Contents(tuple(_item(s, root) for s in found.series), tuple(notes))


def _item(series: Series, root: str) -> Item:
    folder = os.path.relpath(series.folder, root)
    header = series.first
    facts: dict[str, Any] = {
        "modality": series.modality,
        "columns": header.size[1],
        "rows": header.size[0],
        "files": len(series.headers),
        "transfer_syntax": series.syntax,
    }
    refusal = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SceneWarning)  # the warning comes below
            scene = open_series(series, force=True)
            facts |= _geometry(series)
            slope, offset = scene.slopes_and_offsets
            low, high = scene.values.low[0][0], scene.values.high[0][0]  # reads some slices
            facts |= {
                "dtype": str(scene.dtype),
                "bits_stored": header.bits,
                "range_1_99": [low * slope[0, 0] + offset[0, 0], high * slope[0, 0] + offset[0, 0]],
                "units": scene.bands[0].units,
                "warnings": series.faults + series.notes,
            }
        if any(h.derived for h in series.headers):
            refusal = "made by geomedsr; --force takes it all the same"
    except InputError as error:
        refusal = f"{error.got.removeprefix(title(series) + ': ')}; {error.remedy}"
    return Item(series.uid, series.number, title(series), folder, facts, refusal)


def _geometry(series: Series) -> dict[str, Any]:
    per_phase = series.frames[: len(series.frames) // series.phases]
    stack = Stacking.of([f.plane for f in per_phase])
    kind = "slices"
    if series.phases > 1:
        kind = "cine" if len(per_phase) == 1 else "4-D"
    return {
        "kind": kind,
        "slices": len(per_phase),
        "phases": series.phases,
        "phase": series.phase or None,
        "spacing_mm": list(series.frames[0].plane.spacing),
        "slice_step_mm": abs(stack.step),
        "missing_slices": stack.missing,
    }
