"""The part of a report about how far off pixels may be: half-widths and invented pixels beside the result."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence

from geomedsr.errors import InputError
from geomedsr.geometry.grid import Window
from geomedsr.io import open_scene
from geomedsr.models.half_width import PORT
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.scene import Scene
from geomedsr.verification.groups import half_widths_of
from geomedsr.viewing.beside import beside
from geomedsr.viewing.comparison import compare
from geomedsr.viewing.facts import interval
from geomedsr.viewing.stretch import Level
from geomedsr.viewing.swipe import Comparison


def widths(
    whole: Scene,
    image: Scene,
    paths: Sequence[str | os.PathLike[str]],
    *,
    window: Window | None = None,
    bands: str | int | Sequence[str | int] | None = None,
    level: Level | None = None,
) -> list[str]:
    """A heading, what intervals promise, and viewers: of half-widths among the bands of a result, and of files.

    ``image`` is the result without bands beside it; ``window`` is in pixels of its source.

    Raises:
        InputError: a file that holds something else, or is of another size.
    """
    inside = half_widths_of(whole)
    scenes = [*([] if inside is None else [inside]), *(_opened(path, image) for path in paths)]
    if not scenes:
        return []
    factors = provenance_of(whole).model.factors
    part = window if window is None or factors is None else window.scaled(factors.y)
    told = interval(scenes[0])
    words = f"Half-widths {told}. Black is 0." if told else "Black is 0."
    viewers = (_viewer(image, scene, part, bands, level).html() for scene in scenes)
    return ["<h2>How far off a pixel may be</h2>", f"<p>{html.escape(words)}</p>", *viewers]


def _opened(path: str | os.PathLike[str], image: Scene) -> Scene:
    scene = open_scene(path, force=True)
    if not all(beside(scene)):
        raise InputError(
            f"{scene.name}, which does not say that it holds half-widths or invented pixels",
            "what --interval-to or --invented-to wrote",
            "name that file",
        )
    own, other = ((each.shape[0], *each.shape[2:]) for each in (scene, image))
    if own != other:
        raise InputError(
            f"{scene.name} of {own} frames, rows and columns beside a result of {other}",
            "the same size",
            "name its own",
        )
    return scene


def _viewer(
    image: Scene,
    scene: Scene,
    window: Window | None,
    bands: str | int | Sequence[str | int] | None,
    level: Level | None,
) -> Comparison:
    """The result beside such a scene, in the bands that both have."""
    if len(scene.bands) < len(image.bands):  # bands that no model makes have none
        names = {band.name.rpartition("_")[0] for band in scene.bands}
        image = image.select([i + 1 for i, band in enumerate(image.bands) if band.name in names])
    name = "half-widths" if PORT.name in beside(scene) else "invented"
    return compare(image, scene, names=["result", name], window=window, bands=bands, level=level, height=420)
