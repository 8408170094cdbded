"""A scene of several resolutions: the parts of a product that are not on the grid of the part that is seen."""

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
    """What a product has at one resolution, in units of its CRS.

    ``bands`` come unasked; ``more`` are masks, footprints and the like, which come only when they are named.
    """

    resolution: float
    bands: tuple[str, ...]
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """All parts of a product, the finest first, and what opens one: of a resolution and of the names of ``more``.

    ``edits`` are what was done since to the scene that holds it, and is done to every part that is opened from here on:
    a crop is one of the same ground. Picklable, if ``opener`` is.
    """

    parts: tuple[Part, ...]
    opener: Callable[[float, tuple[str, ...]], Scene]
    edits: tuple[Callable[[Scene], Scene], ...] = ()

    @property
    def resolutions(self) -> tuple[float, ...]:
        """Pixel sizes, the finest first."""
        return tuple(part.resolution for part in self.parts)

    def then(self, edit: Callable[[Scene], Scene]) -> Parts:
        """The same, of a scene to which something more was done."""
        return replace(self, edits=(*self.edits, edit))

    def at(self, resolution: float, named: Sequence[str] = ()) -> Scene:
        """The part at a resolution, with those of its ``more`` bands that are named.

        Raises:
            InputError: there is none.
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
        """The finest of some resolutions at which all the bands of these names are.

        Raises:
            InputError: there is none; the message tells where each of them is.
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
    """Pixel sizes of a scene's parts, in units of its CRS; that of a scene without any, where its pixels are square."""
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
        InputError: there is none.
    """
    if scene.parts is not None:
        return scene.parts.at(resolution)
    known = resolutions_of(scene)
    if not any(math.isclose(own, resolution, rel_tol=_SAME) for own in known):
        raise _none(resolution, known)
    return scene


def part_with(scene: Scene, bands: Sequence[str | int], resolution: float | None = None) -> Scene:
    """The finest part that holds all these bands, with the masks and the like that they name, ready for ``select``.

    Args:
        scene: of one part or several; one that has all the bands itself is given back.
        bands: as for ``Scene.select``: numbers count the bands of ``scene``.
        resolution: the part to look at, instead of all.

    Raises:
        InputError: no part holds them all, or there is none of that resolution.
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
    """The parts, each cropped to the pixels that touch a box: ``(west, south, east, north)`` in the CRS's units."""
    return None if parts is None else parts.then(partial(_on_ground, bounds=bounds))


def _on_ground(scene: Scene, bounds: tuple[float, float, float, float]) -> Scene:
    return scene.crop(scene.grid.window_of(*bounds))


def _called(name: str, names: Sequence[str]) -> str | None:
    """The band that a name means: exactly, else in any case."""
    if name in names:
        return name
    return next((known for known in names if known.casefold() == name.casefold()), None)


def _none(resolution: float, known: tuple[float, ...]) -> InputError:
    listed = " or ".join(f"{own:g}" for own in known) or "none, for the scene lies on no map"
    return InputError(f"a resolution of {resolution:g}", f"one that the scene has: {listed}", "choose one of these")
