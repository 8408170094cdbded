"""Windows of a scene from which its figures are taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from geomedsr.errors import InputError
from geomedsr.fitness.measures import Seen
from geomedsr.geometry import Box, Window
from geomedsr.scene.sampling import sample
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: Sides of windows: smaller ones are tried if a scene holds fewer than two larger ones that are all data.
SIDES = (256, 128, 64, 32)

#: The most windows of a band, and the most frames, spread over all, that are looked at.
MOST, FRAMES = 12, 4

#: Windows begin at multiples of this, so that periods of 2, 3, 4 and 8 pixels have the same phase in all.
STEP = 24

#: How many windows along an axis are tried, one number after the other.
_TRIED = (4, 8, 16)

#: Of CT and MR, windows of which this share is foreground, values above this share of the value range, come first.
_SHARE, _ABOVE = 0.5, 0.08


def seen_of(scene: Scene, bands: Sequence[int]) -> list[Seen]:
    """What is seen of some bands of a scene; a sample is read."""
    low, span = (np.broadcast_to(ends[..., 0, 0], (1, len(scene.bands)))[0] for ends in _first(scene))
    medical = scene.domain in ("CT", "MR")
    above = [float(low[band] + _ABOVE * span[band]) if medical else -np.inf for band in bands]
    part, places = _part(scene, bands)
    values = sample(part.source)
    found = windows(part, places, above)
    return [
        Seen(each, values[place], abs(float(span[band])), least)
        for each, place, band, least in zip(found, places, bands, above, strict=True)
    ]


def _part(scene: Scene, bands: Sequence[int]) -> tuple[Scene, list[int]]:
    """A scene of as few bands as can be read by themselves, and where these are in it."""
    try:
        return scene.select([band + 1 for band in bands]), list(range(len(bands)))
    except InputError:  # bands of a joint model's result cannot be separated
        return scene, list(bands)


def windows(scene: Scene, places: Sequence[int], above: Sequence[float]) -> list[list[Array]]:
    """For each of some bands, stored values ``(y, x)`` of up to :data:`MOST` windows that are all data.

    They are spread over the scene, and over up to :data:`FRAMES` of its frames. A scene with hardly any whole window
    gives smaller ones, fewer, or none.
    """
    found: list[list[Array]] = [[] for _ in places]
    for side in SIDES:
        found = [[] for _ in places]
        rest: list[list[Array]] = [[] for _ in places]
        for box in _boxes(scene, side):
            if all(len(each) >= MOST for each in found):
                break
            valid = scene.source.valid(box)[0]
            whole = [i for i, place in enumerate(places) if valid[place].all()]
            if not whole:
                continue
            values = scene.source.read(box)[0]
            for i in whole:
                window = values[places[i]]
                shows = (window > above[i]).mean() >= _SHARE
                (found if shows else rest)[i].append(window)
        found = [(each or left)[:MOST] for each, left in zip(found, rest, strict=True)]
        if min(map(len, found), default=0) >= 2:
            break
    return found


def _first(scene: Scene) -> tuple[Array, Array]:
    """Both ends of the value scale of the first frame."""
    return scene.values.bounds(slice(0, 1))


def _boxes(scene: Scene, side: int) -> Iterator[Box]:
    """Windows of frames, from a few spread over all to many; in no order, so that the first ones are spread too."""
    frames, _, height, width = scene.shape
    if min(height, width) < side:
        return
    count = min(frames, FRAMES)
    chosen = [int((i + 0.5) * frames / count) for i in range(count)]
    rng, seen = np.random.default_rng(0), set()
    for tried in _TRIED:
        rows, cols = (_starts(length, side, tried) for length in (height, width))
        places = [(frame, row, col) for frame in chosen for row in rows for col in cols]
        for i in rng.permutation(len(places)):
            if places[i] not in seen:
                seen.add(places[i])
                frame, row, col = places[i]
                yield Box.of(frame, Window(col, row, side, side))


def _starts(length: int, side: int, count: int) -> list[int]:
    """Where so many windows begin along an axis, or as many as lie side by side."""
    count = min(count, max(length // side, 1))
    last = length - side
    return sorted({int(i * last / max(count - 1, 1)) // STEP * STEP for i in range(count)})
