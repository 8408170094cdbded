"""A band of a scene: what its stored values mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["continuous", "nearest"]


@dataclass(frozen=True)
class Band:
    """One band: its name, the meaning of its stored values, and whether they may be interpolated.

    ``kind`` is ``"nearest"`` for classes, bit flags and alpha: they are carried over, never computed.
    ``limits`` are the lowest and highest stored value that may be used, where the range is smaller than the type's.
    ``palette`` gives the colour (R, G, B, A) of each stored value. ``role`` is what the user says the band shows, such
    as ``"red"`` or ``"nir"``, for models of named bands; results that lie on a map keep it.
    Physical value = stored value × ``scale`` + ``offset``, in ``units``.
    """

    name: str
    kind: Kind = "continuous"
    nodata: float | int | None = None
    scale: float = 1.0
    offset: float = 0.0
    units: str | None = None
    description: str | None = None
    interpretation: str = "undefined"
    palette: Mapping[int, tuple[int, ...]] | None = None
    limits: tuple[int, int] | None = None
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    role: str | None = None
