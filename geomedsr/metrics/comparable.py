"""What of a scene is compared in a self-test, and in which places of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Window
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import square_side
from geomedsr.models import Descriptor
from geomedsr.operators import get as operator_named
from geomedsr.scene.bands import continuous, select_joint
from geomedsr.scene.scene import Scene

#: The most values, over bands and frames, that are compared; a single frame may hold more where it is needed whole.
VALUES = 1 << 20

#: The most bands that are looked at, spread over all, for models that see bands one by one.
_BANDS = 16

#: The most frames that are looked at.
_FRAMES = 8

#: The most windows along an axis that are tried in scenes that are mostly no data.
_TRIED = 64


def comparable(scene: Scene, card: Descriptor) -> tuple[Scene, Scene]:
    """What of a scene is the truth of a self-test, and that one factor down, on the value scale of the scene.

    Raises:
        InputError: as for :func:`geomedsr.metrics.selftest.selftest`.
    """
    _check(card)
    fine = _fine(scene, card)
    coarse = reduced(fine, card.scale, operator_named(card.operator).reduction)
    if fine.values.origin == "physical":
        return fine, coarse.with_physical_range(*card.value_range)
    return fine, replace(coarse, scale=fine.values)


def _check(card: Descriptor) -> None:
    why = None
    if card.ports.inputs:
        why = f"needs {card.ports.inputs[0].name} beside the image"
    elif card.frame_factor > 1:
        why = "makes new slices"
    elif card.scale < 2:
        why = "makes no image finer"
    if why is not None:
        raise InputError(
            f"a self-test of the model {card.name}, which {why}",
            "a model that makes an image finer in plane, of it alone",
            "leave it out",
        )


def _fine(scene: Scene, card: Descriptor) -> Scene:
    """What is compared: the bands that the model makes, and no more of them than needed; whole coarse pixels."""
    _, _, height, width = scene.shape
    if min(height, width) < 16 * card.scale:
        raise InputError(
            f"{scene.name} of {width} × {height} pixels for a self-test of the model {card.name}",
            f"at least {16 * card.scale} a side",
            "leave it out, or use more of the scene",
        )
    scene = select_joint(scene, card.bands, f"the model {card.name}") if card.bands else continuous(scene)
    if card.channels == 1 and len(scene.bands) > _BANDS:
        picks = np.linspace(1, len(scene.bands), _BANDS).round().astype(int)
        scene = scene.select(picks.tolist())
    if card.value_scale == "physical":
        scene = scene.with_physical_range(*card.value_range)
    return scene.crop(Window(0, 0, width // card.scale * card.scale, height // card.scale * card.scale))


def boxes(scene: Scene, scale: int, whole_frames: bool, values: int) -> list[Box]:
    """Places spread over a scene that hold data, about ``values`` values in all; empty if there is no data.

    They begin and end at whole pixels of what the scene becomes ``scale`` times coarser. A scene with few values is
    returned whole.
    """
    frames, bands, height, width = scene.shape
    side = 2 * square_side(scale)
    if whole_frames or bands * height * width <= (values if frames == 1 else values // 2):
        count = min(frames, max(values // (bands * height * width), 1), _FRAMES)
        tiles = [Window(0, 0, width, height)] if whole_frames or scene.grid.planes else None
        return [
            Box.of(frame, window)
            for frame in _spread_frames(scene, count)
            for window in tiles or [box.window for box in Box.whole((1, 1, height, width)).tiles((1, side, side))]
        ]
    count = max(values // (bands * side * side), 1)
    chosen = _spread_frames(scene, min(frames, 4))
    found: list[Box] = []
    for frame in chosen:
        found += _windows(scene, frame, scale, side, max(count // len(chosen), 1))
    return found


def _spread_frames(scene: Scene, count: int) -> list[int]:
    """So many frames, those in the middle of equal parts."""
    return [int((i + 0.5) * scene.shape[0] / count) for i in range(count)]


def _windows(scene: Scene, frame: int, scale: int, side: int, count: int) -> list[Box]:
    """So many windows of a frame with data in at least half of their pixels, or the best that a search finds."""
    _, _, height, width = scene.shape
    tried = 1
    found: list[Box] = []
    while len(found) < count and tried <= _TRIED:
        tried = min(max(2 * tried, int(np.ceil(np.sqrt(count)))), 2 * _TRIED)
        rows, cols = (
            sorted({int(i * max(length - side, 0) / max(tried - 1, 1)) // scale * scale for i in range(tried)})
            for length in (height, width)
        )
        places = [Window(col, row, min(side, width), min(side, height)) for row in rows for col in cols]
        found = [box for box in (Box.of(frame, place) for place in _every(places, 4 * count)) if _some(scene, box)]
    return _every(found, count)


def _every(places: list[Any], most: int) -> list[Any]:
    """At most so many of them, spread over all."""
    if len(places) <= most:
        return places
    return [places[int((i + 0.5) * len(places) / most)] for i in range(most)]


def _some(scene: Scene, box: Box) -> bool:
    return bool(scene.source.valid(box).all(1).mean() >= 0.5)
