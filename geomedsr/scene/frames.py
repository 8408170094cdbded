"""What the frames of a stack are: where they lie along its axis, and which frames they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from geomedsr.scene.sources import Array

#: For each frame of a scene those of the file that was opened which it comes from, itself or as neighbours seen; first
#: the one in whose place it lies. Empty: each from the one of its number.
Lineage = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Frames:
    """What the frames of a stack are: the name of their axis, such as ``time``, the place of each on it, and attributes
    of those.
    """

    name: str
    places: Array
    attrs: Mapping[str, Any] = field(default_factory=dict)
