"""In which order the slices of a series lie, and which of them lie in one place: times, echoes, directions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from geomedsr.geometry.stacking import same_place
from geomedsr_dicom.frames import PHASES, Frame

#: Normals nearer than this are of one direction (the cosine of 5°).
_ALONG = 0.9962

#: Positions nearer than this share of the field of view are the same.
_NEAR = 1e-4

Place = tuple[float, ...]


def in_order(frames: list[Frame], size: tuple[int, int]) -> tuple[tuple[Frame, ...], int, str]:
    """Frames sorted by position along the normal; where positions recur, each time, echo or direction together.

    ``size`` is ``(rows, columns)``. Returns the frames, how many phases each position has, and what tells them apart
    ("" if nothing does, and the instance number decides).
    """
    places = _places(frames, size)
    counts = set(Counter(places).values())
    by_place = [f for _, f in sorted(zip(places, frames, strict=True), key=lambda p: (p[0], _instance(p[1])))]
    if counts == {1} or len(counts) > 1:  # duplicates here and there are no phases
        return tuple(by_place), 1, ""
    (phases,) = counts
    for column, name in enumerate(PHASES):
        values = [f.phases[column] for f in frames]
        keys = list(zip(values, places, strict=True))
        if None not in values and len(set(values)) == phases and len(set(keys)) == len(frames):
            return tuple(f for _, f in sorted(zip(keys, frames, strict=True), key=lambda k: k[0])), phases, name
    turns: Counter[Place] = Counter()
    ranked = []
    for place, frame in sorted(zip(places, frames, strict=True), key=lambda p: (p[0], _instance(p[1]))):
        ranked.append(((turns[place], place), frame))
        turns[place] += 1
    return tuple(f for _, f in sorted(ranked, key=lambda r: r[0])), phases, ""


def _instance(frame: Frame) -> tuple[float, str, int]:
    number = frame.phases[-1]
    return (float("inf") if number is None else number, frame.path, frame.index)


def _places(frames: Sequence[Frame], size: tuple[int, int]) -> list[Place]:
    """Direction, depth along the normal, position: numbers that are equal where two frames lie in one place."""
    field = min(size[0] * min(f.plane.spacing[0] for f in frames), size[1] * min(f.plane.spacing[1] for f in frames))
    near = _NEAR * field
    normals, positions = (np.array([getattr(f.plane, n) for f in frames]) for n in ("normal", "position"))
    places: list[Place] = [()] * len(frames)
    for members in _directions(normals):
        normal = normals[members].mean(0)
        normal /= np.linalg.norm(normal)
        direction = tuple(float(v) + 0.0 for v in np.round(normal, 1))
        depths = positions[members] @ normal
        for deep in _groups(depths, same_place(depths, near)):
            inside = members[deep]
            depth = float(depths[deep].mean())
            across = positions[inside] - np.outer(depths[deep], normal)
            for axis in range(3):  # apart in their plane, by one coordinate after the other
                across[:, axis] = _levelled(across[:, axis], near)
            for frame, place in zip(inside, across, strict=True):
                places[frame] = (*direction, depth, *(float(v) for v in place))
    return places


def _directions(normals: np.ndarray) -> list[np.ndarray]:
    """Which frames have about the same normal."""
    rest = np.arange(len(normals))
    found = []
    while rest.size:
        near = normals[rest] @ normals[rest[0]] >= _ALONG
        found.append(rest[near])
        rest = rest[~near]
    return found


def _groups(values: np.ndarray, near: float) -> list[np.ndarray]:
    """Which values lie within ``near`` of the next, along the line."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order]) > near) + 1)


def _levelled(values: np.ndarray, near: float) -> np.ndarray:
    """Values, those near each other made equal."""
    level = np.empty_like(values)
    for group in _groups(values, near):
        level[group] = values[group].mean()
    return level
