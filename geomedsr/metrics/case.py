"""A scene of an evaluation with its methods, of which pictures can be made."""

from __future__ import annotations

from dataclasses import dataclass

from geomedsr.geometry.grid import Window
from geomedsr.metrics.methods import Method
from geomedsr.scene.scene import Scene


@dataclass(frozen=True, eq=False)
class Case:
    """The reference ``fine``, the input ``coarse``, and what made it fine again; ``places`` are frames and windows of
    the reference where bicubic errs most."""

    name: str
    fine: Scene
    coarse: Scene
    scale: int
    methods: tuple[Method, ...]
    places: tuple[tuple[int, Window], ...]
