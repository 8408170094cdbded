"""Where the frames of a stack lie along its axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from geomedsr.sources import Array


@dataclass(frozen=True, eq=False)
class Frames:
    """What the frames of a stack are: the name of their axis, such as ``time``, the place of each on it, and attributes
    of those.
    """

    name: str
    places: Array
    attrs: Mapping[str, Any] = field(default_factory=dict)
