"""A scene of an evaluation with its methods, for pictures."""

from __future__ import annotations

from dataclasses import dataclass

from geomedsr.geometry.grid import Window
from geomedsr.metrics.methods import Method
from geomedsr.scene.scene import Scene


@dataclass(frozen=True, eq=False)
class Case:
    """The reference ``fine``, the input ``coarse``, and the ``methods`` that super-resolve it. ``places`` are the
    frames and windows of the reference where bicubic has the largest error."""

    name: str
    fine: Scene
    coarse: Scene
    scale: int
    methods: tuple[Method, ...]
    places: tuple[tuple[int, Window], ...]
