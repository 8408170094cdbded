"""What a result says of how it was made: tags whose names begin with ``GEOMEDSR_``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from geomedsr.grid import Window
from geomedsr.sources import cropping

if TYPE_CHECKING:
    from geomedsr.scene import Scene

PREFIX = "GEOMEDSR_"

#: The bands of the source that it was made of, where some were chosen; the models before the last one.
BANDS, BEFORE = f"{PREFIX}BANDS", f"{PREFIX}BEFORE"

#: The part of the source that it shows, where that is not the whole: column, row, width and height in the source's
#: pixels, of which a window of the result may show parts, such as ``5/2,0,31/4,8``.
WINDOW = f"{PREFIX}WINDOW"

#: The polygons that bound what is data in it, in the source's pixels; see :mod:`geomedsr.areas`.
AOI = f"{PREFIX}AOI"

#: The value that the user said means "no data" in the source, or ``none``.
NODATA = f"{PREFIX}NODATA"

#: The axis of a volume's file along which its slices lie, from 1, where that is not what its header would tell.
SLICE_AXIS = f"{PREFIX}SLICE_AXIS"

#: What a band shows, as the user said: a tag of the band, so that it follows it wherever it is taken.
ROLE = f"{PREFIX}ROLE"

FACTOR, _RANGES, _CONSERVED = (f"{PREFIX}{name}" for name in ("FACTOR", "VALUE_RANGE", "CONSERVED"))

#: What a window of a result is told to conserve, where its operator's promise is of frames as a whole.
OF_FRAMES = "of whole frames"
_WHOLE = {f"{PREFIX}OPERATOR": "k-space-crop", _CONSERVED: "yes"}

_NUMBER = r"\d{1,9}(?:/[1-9]\d{0,3})?"
_PART = re.compile(rf"{_NUMBER}(?:,{_NUMBER}){{3}}")


def provenance_of(scene: Scene) -> dict[str, str]:
    """What a scene that was opened, or is about to be written, says of it."""
    told = {**scene.tags.get("", {}), **scene.provenance}
    return {key: value for key, value in told.items() if key.startswith(PREFIX)}


def foreign(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Tags without those: a result that is made finer once more is not described by them."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX)}


def step(told: Mapping[str, str]) -> str:
    """A model and how much finer it made a scene, in a few words: its name, version, hash and factor."""
    name, version, sha256, factor = (
        told.get(PREFIX + key, "?") for key in ("MODEL", "MODEL_VERSION", "MODEL_SHA256", "FACTOR")
    )
    return f"{name} {version} ({sha256[:12]}) x{factor}"


def before(scene: Scene) -> dict[str, str]:
    """What is kept of it when a scene is made finer: the bands, the window, the nodata value and the slice axis that
    were chosen, and the models of earlier passes.
    """
    told = provenance_of(scene)
    kept = {BANDS: _own_bands(scene)} if BANDS in scene.provenance else {}
    kept |= {key: scene.provenance[key] for key in (NODATA, SLICE_AXIS) if key in scene.provenance}
    if AOI in scene.provenance and FACTOR not in scene.provenance:  # in the pixels of what is made finer now
        kept[AOI] = scene.provenance[AOI]
    if (window := cropping(scene.source)) is not None:
        kept[WINDOW] = str(window)
    if f"{PREFIX}MODEL" in told:
        kept[BEFORE] = ", ".join([*([told[BEFORE]] if BEFORE in told else []), step(told)])
    return kept


def _own_bands(scene: Scene) -> str:
    """The bands that were chosen of the file itself: of a result, whose bands are told by its source's, by number."""
    picked, table = (_list(tags.get(BANDS)) for tags in (scene.provenance, scene.tags.get("", {})))
    if picked is None or table is None or any(band not in table for band in picked):
        return scene.provenance[BANDS]
    return json.dumps([table.index(band) + 1 for band in picked])


def finer(kept: Mapping[str, str]) -> int:
    """How many times finer the models of earlier passes made a scene."""
    return math.prod(int(factor) for factor in re.findall(r"\) x(\d+)", kept.get(BEFORE, "")))


def chosen(scene: Scene, picks: Sequence[int], shown: Sequence[str | None] = ()) -> dict[str, str]:
    """The provenance of some of a scene's bands, by position: which ones of the source they are, by name, or by number
    from 1 where names do not tell.

    ``shown`` is what the user said that bands show which the source takes for alpha: with it, or with nothing before
    the sign, such a band is ``nir=4``.
    """
    names = [band.name for band in scene.bands]
    told = {**scene.provenance, **picked(provenance_of(scene), names, picks)}
    if any(role is not None for role in shown):
        pairs = zip(json.loads(told[BANDS]), shown, strict=True)
        told[BANDS] = json.dumps([band if role is None else f"{role}={band}" for band, role in pairs])
    return told


def picked(told: Mapping[str, str], names: Sequence[str], picks: Sequence[int]) -> dict[str, str]:
    """What a provenance lists band by band, for some of the bands: which of the source they are, and their ranges."""
    own = [name if names.count(name) == 1 else str(number) for number, name in enumerate(names, 1)]
    tables = {BANDS: _table(told.get(BANDS), len(names)) or own, _RANGES: _table(told.get(_RANGES), len(names))}
    return {key: json.dumps([table[i] for i in picks]) for key, table in tables.items() if table is not None}


def cropped(scene: Scene, window: Window) -> dict[str, str]:
    """The provenance of a window of a scene: of a result, which part of its source that shows."""
    told = provenance_of(scene)
    whole = (window.height, window.width) == scene.grid.shape
    outer = _part(told[WINDOW]) if WINDOW in told else (Fraction(0),) * 4
    if whole or outer is None or not re.fullmatch(r"[1-9]\d{0,3}", told.get(FACTOR, "")):
        return dict(scene.provenance)
    numbers = (window.col, window.row, window.width, window.height)
    col, row, width, height = (Fraction(number, int(told[FACTOR])) for number in numbers)
    kept = {_CONSERVED: OF_FRAMES} if _WHOLE.items() <= told.items() else {}
    return {**scene.provenance, **kept, WINDOW: ",".join(map(str, (outer[0] + col, outer[1] + row, width, height)))}


def origin_of(scene: Scene) -> tuple[int, int]:
    """Where a scene's first pixel lies in what it is a part of, as (row, column) in its own pixels; of a result that is
    not yet written, in the whole result.
    """
    if FACTOR not in scene.provenance:
        window = cropping(scene.source)
        return (0, 0) if window is None else (window.row, window.col)
    part = _part(scene.provenance.get(WINDOW, ""))
    col, row = (0, 0) if part is None else (round(number * int(scene.provenance[FACTOR])) for number in part[:2])
    return row, col


def window_of(told: Mapping[str, str]) -> Window | None:
    """The window of its source that a result shows; None of the whole, and where it shows parts of pixels."""
    part = _part(told.get(WINDOW, ""))
    if part is None or any(number.denominator != 1 for number in part):
        return None
    return Window(*map(int, part))


def _part(text: str) -> tuple[Fraction, ...] | None:
    """Column, row, width and height; None where a text tells none."""
    return tuple(map(Fraction, text.split(","))) if _PART.fullmatch(text) else None


def _table(text: str | None, count: int) -> list[Any] | None:
    """A list of so many, one for each band; None for what is none."""
    found = _list(text)
    return found if found is not None and len(found) == count else None


def _list(text: str | None) -> list[Any] | None:
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None
