"""What a result says of how it was made: tags whose names begin with ``GEOMEDSR_``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geomedsr.scene import Scene

PREFIX = "GEOMEDSR_"


def provenance_of(scene: Scene) -> dict[str, str]:
    """What a scene that was opened, or is about to be written, says of it."""
    told = {**scene.tags.get("", {}), **scene.provenance}
    return {key: value for key, value in told.items() if key.startswith(PREFIX)}


def foreign(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Tags without those: a result that is made finer once more is not described by them."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX)}


def before(scene: Scene) -> dict[str, str]:
    """What is kept of them then: the bands that were chosen, and the models that had a hand in the scene."""
    told = provenance_of(scene)
    kept = {key: told[key] for key in (f"{PREFIX}BANDS",) if key in scene.provenance}
    if f"{PREFIX}MODEL" in told:
        last = " ".join(told.get(PREFIX + key, "?") for key in ("MODEL", "MODEL_VERSION"))
        steps = [told.get(f"{PREFIX}BEFORE"), f"{last} x{told.get(f'{PREFIX}FACTOR', '?')}"]
        kept[f"{PREFIX}BEFORE"] = ", ".join(step for step in steps if step)
    return kept
