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

    ``missing`` are bands that the product should have, and why it has not.
    ``edits`` are the changes made to the scene since it was opened. Each part that is opened later gets them, too: a
    crop covers the same area. Picklable, if ``opener`` is.
    """

    parts: tuple[Part, ...]
    opener: Callable[[float, tuple[str, ...]], Scene]
    missing: tuple[tuple[str, str], ...] = ()
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
        part = self._part(resolution)
        more = tuple(dict.fromkeys(found for name in named if (found := _called(name, part.more)) is not None))
        scene = self.opener(part.resolution, more)
        if part is not self.parts[0]:
            scene = replace(scene, provenance=scene.provenance.choosing(resolution=part.resolution))
        for edit in self.edits:
            scene = edit(scene)
        return replace(scene, parts=self)

    def holding(self, bands: Sequence[str | int], resolution: float | None = None) -> Scene:
        """The finest part that holds all the bands, or the part of a resolution; ``more`` bands come if named.

        Args:
            bands: as for ``Scene.select``; numbers count the bands of the part.
            resolution: the only part to search; by default all parts.

        Raises:
            InputError: no part holds all the bands, and the message says where each is; or no such resolution.
        """
        named = [(str(band).partition("=")[2] or str(band)).strip() for band in bands]
        names = [name for name in named if not name.isdigit()]
        parts = self.parts if resolution is None else (self._part(resolution),)
        places = {name: [p for p in parts if _called(name, (*p.bands, *p.more)) is not None] for name in names}
        for part in parts:
            if all(part in found for found in places.values()):
                return self.at(part.resolution, names)
        for name in (name for name, found in places.items() if not found):
            if (why := dict(self.missing).get(_called(name, list(dict(self.missing))) or "")) is not None:
                raise InputError(f"band {name}, {why}", "a band that is there", "download the product again")
            known = "; ".join(f"at {p.resolution:g}: {', '.join(p.bands)}" for p in parts)
            remedy = "name a band of the product; `geomedsr info` lists its masks, too"
            raise InputError(f"band {name!r}", f"one of those {known}", remedy)
        apart = ", ".join(f"{name} at {found[0].resolution:g}" for name, found in places.items())
        raise InputError(
            f"bands of several resolutions: {apart}",
            "bands of one",
            "choose those of one, or bring all to the finest first with `geomedsr sharpen`",
        )

    def _part(self, resolution: float) -> Part:
        for part in self.parts:
            if math.isclose(part.resolution, resolution, rel_tol=_SAME):
                return part
        raise _none(resolution, self.resolutions)


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
