"""The frames of a stack: their positions along its axis, and the frames that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from geomedsr.scene.sources import Array

#: For each frame of a scene, the frames of the opened file that it was made from, context slices included. The first is
#: the frame at the same position. Empty: each frame comes from the frame of the same number.
Lineage = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Frames:
    """The axis of a stack's frames: its name, such as ``time``, each frame's position on it, and its attributes."""

    name: str
    places: Array
    attrs: Mapping[str, Any] = field(default_factory=dict)
