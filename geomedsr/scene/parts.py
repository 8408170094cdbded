"""A scene of several resolutions: the parts of a product, of which one is in use and the others can be opened."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from geomedsr.errors import InputError

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene

#: Relative difference up to which two pixel sizes are the same.
_SAME = 1e-6


@dataclass(frozen=True)
class Part:
    """The bands of a product at one resolution, in units of its CRS.

    ``bands`` are opened by default. ``more`` are masks, footprints and the like, opened only when they are named.
    """

    resolution: float
    bands: tuple[str, ...]
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """All parts of a product, the finest first, and ``opener``, which opens one by resolution and names of ``more``.

    ``edits`` are the changes made to the scene since it was opened. Each part that is opened later gets them, too: a
    crop covers the same area. Picklable, if ``opener`` is.
    """

    parts: tuple[Part, ...]
    opener: Callable[[float, tuple[str, ...]], Scene]
    edits: tuple[Callable[[Scene], Scene], ...] = ()

    @property
    def resolutions(self) -> tuple[float, ...]:
        """Pixel sizes, the finest first."""
        return tuple(part.resolution for part in self.parts)

    def then(self, edit: Callable[[Scene], Scene]) -> Parts:
        """The parts of a scene after one more edit."""
        return replace(self, edits=(*self.edits, edit))

    def at(self, resolution: float, named: Sequence[str] = ()) -> Scene:
        """The part at a resolution, with the ``more`` bands that are named.

        Raises:
            InputError: there is no such part.
        """
        part = next((p for p in self.parts if math.isclose(p.resolution, resolution, rel_tol=_SAME)), None)
        if part is None:
            raise _none(resolution, self.resolutions)
        more = tuple(dict.fromkeys(found for name in named if (found := _called(name, part.more)) is not None))
        scene = self.opener(part.resolution, more)
        if part is not self.parts[0]:
            scene = replace(scene, provenance=scene.provenance.choosing(resolution=part.resolution))
        for edit in self.edits:
            scene = edit(scene)
        return replace(scene, parts=self)

    def holding(self, names: Sequence[str], among: Sequence[float]) -> float:
        """The finest of the resolutions ``among`` at which all named bands exist.

        Raises:
            InputError: there is none; the message tells at which resolution each band is.
        """
        parts = [part for part in self.parts if part.resolution in among]
        for part in parts:
            if all(_called(name, (*part.bands, *part.more)) is not None for name in names):
                return part.resolution
        places = {name: [p for p in parts if _called(name, (*p.bands, *p.more)) is not None] for name in names}
        known = "; ".join(f"at {p.resolution:g}: {', '.join(p.bands)}" for p in parts)
        if unknown := [name for name, found in places.items() if not found]:
            remedy = "name a band of the product; `geomedsr info` lists its masks, too"
            raise InputError(f"band {unknown[0]!r}", f"one of those {known}", remedy)
        told = ", ".join(f"{name} at {found[0].resolution:g}" for name, found in places.items())
        raise InputError(
            f"bands of several resolutions: {told}",
            "bands of one",
            "choose those of one, or bring all to the finest first with `geomedsr sharpen`",
        )


def resolutions_of(scene: Scene) -> tuple[float, ...]:
    """Pixel sizes of a scene's parts, in units of its CRS. Without parts: its own, provided that pixels are square."""
    if scene.parts is not None:
        return scene.parts.resolutions
    affine = scene.grid.affine
    if affine is None:
        return ()
    x, y = math.hypot(affine.a, affine.d), math.hypot(affine.b, affine.e)
    return (x,) if math.isclose(x, y, rel_tol=_SAME) else ()


def part_at(scene: Scene, resolution: float) -> Scene:
    """The part of a scene at a resolution; see ``Scene.at``.

    Raises:
        InputError: there is no such part.
    """
    if scene.parts is not None:
        return scene.parts.at(resolution)
    known = resolutions_of(scene)
    if not any(math.isclose(own, resolution, rel_tol=_SAME) for own in known):
        raise _none(resolution, known)
    return scene


def part_with(scene: Scene, bands: Sequence[str | int], resolution: float | None = None) -> Scene:
    """The finest part that holds all the given bands, masks included, ready for ``select``.

    Args:
        scene: a scene with or without parts; returned as it is if it has all the bands.
        bands: as for ``Scene.select``; numbers count the bands of ``scene``.
        resolution: the only part to search; by default all parts.

    Raises:
        InputError: no part holds all the bands, or there is no part of that resolution.
    """
    part = scene if resolution is None else part_at(scene, resolution)
    if part.parts is None:
        return part
    names = [str(band).partition("=")[2] or str(band) for band in bands]
    names = [name.strip() for name in names if not name.strip().isdigit()]
    if all(_called(name, [band.name for band in part.bands]) is not None for name in names):
        return part
    known = part.parts.resolutions
    among = [own for own in known if resolution is None or math.isclose(own, resolution, rel_tol=_SAME)]
    return part.parts.at(part.parts.holding(names, among), names)


def cropped_like(parts: Parts | None, bounds: tuple[float, float, float, float]) -> Parts | None:
    """The parts, each cropped to the pixels that touch ``bounds``: west, south, east, north in units of the CRS."""
    return None if parts is None else parts.then(partial(_on_ground, bounds=bounds))


def _on_ground(scene: Scene, bounds: tuple[float, float, float, float]) -> Scene:
    return scene.crop(scene.grid.window_of(*bounds))


def _called(name: str, names: Sequence[str]) -> str | None:
    """The band with a given name, by exact match, else regardless of case."""
    if name in names:
        return name
    return next((known for known in names if known.casefold() == name.casefold()), None)


def _none(resolution: float, known: tuple[float, ...]) -> InputError:
    listed = " or ".join(f"{own:g}" for own in known) or "none, for the scene lies on no map"
    return InputError(f"a resolution of {resolution:g}", f"one that the scene has: {listed}", "choose one of these")
