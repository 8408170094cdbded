"""A picture of what looks broken in a scene: the scene, and its defects in colour, kind by kind."""

from __future__ import annotations

import numpy as np

from geomedsr.geometry import Box
from geomedsr.geometry.morphology import near
from geomedsr.repairing.finding import KINDS
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.viewing.colours import view_of
from geomedsr.viewing.images import png
from geomedsr.viewing.reduced import thumbnail
from geomedsr.viewing.stretch import limits, shades

#: The colour of each kind, as red, green and blue: apart from one another for colour-blind readers, too.
COLOURS = {"gaps": (0, 158, 255), "lines": (255, 176, 0), "dead": (255, 0, 110)}

#: The longer side of a picture, in pixels; marks of single pixels are so much larger on each side.
_SIDE, _MARK = 1200, 3


def defects_picture(scene: Scene, mask: Scene) -> bytes:
    """A PNG of the frame with most defects of all bands together; a large scene is reduced.

    Raises:
        InputError: the scene cannot be read.
    """
    frame, kinds, factor = _most(mask)
    view = view_of(scene)
    small = thumbnail(scene, view.bands, frame, max(1, -(-max(scene.shape[2:]) // factor)))
    assert small is not None
    ends = [limits(scene)[band] for band in view.bands]
    image = shades(small.values, small.valid, ends)[..., :3]
    image = image // 3 * 2  # darker, so that marks stand out
    height, width = (min(a, b) for a, b in zip(image.shape[:2], kinds.shape, strict=True))
    for kind, number in KINDS.items():
        found = kinds == number
        if kind == "dead":
            found = near(found, _MARK) & ~near(found, _MARK - 1)
        image[:height, :width][found[:height, :width]] = COLOURS[kind]
    return png(image)


def _most(mask: Scene) -> tuple[int, Array, int]:
    """The frame with most defects, their kinds ``(y, x)`` reduced by a factor, and that factor."""
    frames, _, height, width = mask.shape
    factor = -(-max(height, width) // _SIDE)
    best, most, which = np.zeros((-(-height // factor), -(-width // factor)), np.uint8), -1, 0
    step = max(1, 1024 // factor) * factor
    for frame in range(frames):
        kinds, count = np.zeros_like(best), 0
        for box in Box.of(frame, Box.whole(mask.shape).window).tiles((1, step, step)):
            found = mask.source.read(box)[0]
            count += int((found != 0).sum())
            part = _shrunk(found.max(0), factor)
            top, left = box.start[1] // factor, box.start[2] // factor
            kinds[top : top + part.shape[0], left : left + part.shape[1]] = part
        if count > most:
            best, most, which = kinds, count, frame
    return which, best, factor


def _shrunk(kinds: Array, factor: int) -> Array:
    """The largest number of each block."""
    rows, cols = (np.arange(0, n, factor) for n in kinds.shape)
    return np.asarray(np.maximum.reduceat(np.maximum.reduceat(kinds, rows, axis=0), cols, axis=1))
