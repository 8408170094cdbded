"""What a result says of how it was made: tags whose names begin with ``GEOMEDSR_``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geomedsr.scene import Scene

PREFIX = "GEOMEDSR_"

#: The bands of the source that it was made of, where some were chosen; the models before the last one.
BANDS, BEFORE = f"{PREFIX}BANDS", f"{PREFIX}BEFORE"

#: What a band shows, as the user said: a tag of the band, so that it follows it wherever it is taken.
ROLE = f"{PREFIX}ROLE"

_RANGES = f"{PREFIX}VALUE_RANGE"


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
    """What is kept of it when a scene is made finer: the bands that were chosen, and the models of earlier passes."""
    told = provenance_of(scene)
    kept = {BANDS: told[BANDS]} if BANDS in scene.provenance else {}
    if f"{PREFIX}MODEL" in told:
        kept[BEFORE] = ", ".join([*([told[BEFORE]] if BEFORE in told else []), step(told)])
    return kept


def finer(kept: Mapping[str, str]) -> int:
    """How many times finer the models of earlier passes made a scene."""
    return math.prod(int(factor) for factor in re.findall(r"\) x(\d+)", kept.get(BEFORE, "")))


def chosen(scene: Scene, picks: Sequence[int]) -> dict[str, str]:
    """The provenance of some of a scene's bands, by position: which ones of the source they are, by name, or by number
    from 1 where names do not tell.
    """
    told = provenance_of(scene)
    names = [band.name for band in scene.bands]
    own = [name if names.count(name) == 1 else str(number) for number, name in enumerate(names, 1)]
    tables = {BANDS: _table(told.get(BANDS), len(names)) or own, _RANGES: _table(told.get(_RANGES), len(names))}
    picked = {key: json.dumps([table[i] for i in picks]) for key, table in tables.items() if table is not None}
    return {**scene.provenance, **picked}


def _table(text: str | None, count: int) -> list[Any] | None:
    """A list of so many, one for each band; None for what is none."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    return found if isinstance(found, list) and len(found) == count else None
