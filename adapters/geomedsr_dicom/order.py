"""The order of a series' slices, and slices in the same place: times, echoes, directions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from geomedsr.geometry.stacking import same_place
from geomedsr_dicom.frames import PHASES, Frame

#: Normals with a larger cosine than this (of 5°) have the same direction.
_ALONG = 0.9962

#: Positions closer than this share of the field of view are the same.
_NEAR = 1e-4

Place = tuple[float, ...]


def in_order(frames: list[Frame], size: tuple[int, int]) -> tuple[tuple[Frame, ...], int, str]:
    """Frames sorted by position along the normal; if positions recur, the frames of each phase are kept together.

    A phase is a time, an echo or a direction. ``size`` is ``(rows, columns)``. Returns the frames, the number of phases
    at each position, and the attribute that distinguishes them ("" if none does; the instance number then decides).
    """
    places = _places(frames, size)
    counts = set(Counter(places).values())
    by_place = [f for _, f in sorted(zip(places, frames, strict=True), key=lambda p: (p[0], _instance(p[1])))]
    if counts == {1} or len(counts) > 1:  # occasional duplicates are not phases
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
    """Direction, depth along the normal, and position of each frame; equal for frames in the same place."""
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
            for axis in range(3):  # separate positions in the plane, one coordinate after the other
                across[:, axis] = _levelled(across[:, axis], near)
            for frame, place in zip(inside, across, strict=True):
                places[frame] = (*direction, depth, *(float(v) for v in place))
    return places


def _directions(normals: np.ndarray) -> list[np.ndarray]:
    """Groups of frames with nearly the same normal."""
    rest = np.arange(len(normals))
    found = []
    while rest.size:
        near = normals[rest] @ normals[rest[0]] >= _ALONG
        found.append(rest[near])
        rest = rest[~near]
    return found


def _groups(values: np.ndarray, near: float) -> list[np.ndarray]:
    """Groups of values in which neighbours differ by at most ``near``."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order]) > near) + 1)


def _levelled(values: np.ndarray, near: float) -> np.ndarray:
    """The values, with values close to each other made equal."""
    level = np.empty_like(values)
    for group in _groups(values, near):
        level[group] = values[group].mean()
    return level
