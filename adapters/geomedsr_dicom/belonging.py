"""Which images under one series UID belong together: a scout among slices, for example, is left out and reported."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import compress
from typing import TypeVar

import numpy as np

from geomedsr_dicom.components import MAGNITUDE, REAL
from geomedsr_dicom.frames import LOCALIZER, Frame
from geomedsr_dicom.headers import CLASSES, Header

#: At most this share of the remaining images may be left out; with more, it is unclear which images are the series.
#: Slices that differ only in orientation may be intended, as in radial series, so the limit for these is lower.
FEW, FEW_ACROSS = 1 / 2, 1 / 3

#: Slices with normals farther apart than this (degrees) have different orientations; head movements are smaller.
ACROSS = 10.0

#: Files that a message names, at most.
_NAMED = 3

_T = TypeVar("_T")


def belonging(headers: Sequence[Header], folder: str) -> tuple[list[Header], list[str]]:
    """The images of the series, each with its frames, and a description of what was left out.

    All images are returned if it is unclear which ones belong together.
    """
    left: list[str] = []
    kept = list(headers)

    def leave(names: Sequence[str], what: str, many: str) -> None:
        left.append(_left_out(names, what, many, folder))

    slices = [h for h in kept if h.refusal != LOCALIZER]
    if slices and len(slices) < len(kept):
        leave([h.path for h in kept if h.refusal == LOCALIZER], "localizer (scout)", "localizers (scouts)")
        kept = slices
    for of, words in _KINDS:
        most, others = _majority(kept, of, [max(len(h.frames), 1) for h in kept], FEW)
        for kind in dict.fromkeys(of(h) for h in others):
            what = words(next(h for h in others if of(h) == kind))
            leave([h.path for h in others if of(h) == kind], f"image {what}", f"images {what}")
        kept = most
    if any(h.refusal for h in kept):
        return kept, left
    for component in dict.fromkeys(c for h in kept for c in h.components):
        if component in MAGNITUDE or not any(c in MAGNITUDE for h in kept for c in h.components):
            continue
        taken, kept = _split(kept, lambda h, i, c=component: _component(h, i) != c)  # type: ignore[misc]
        leave(taken, _COMPONENTS[component], f"{_COMPONENTS[component]}s")
    frames = [f for h in kept for f in h.frames]
    near = _main_orientation(frames)
    if near is not None:
        taken, kept = _split(kept, lambda h, i: near(h.frames[i]))
        leave(taken, "slice that lies across the others", "slices that lie across the others")
    return kept, left


#: Properties that must be the same for all images of a series, and the names of images that differ.
_KINDS: list[tuple[Callable[[Header], Hashable], Callable[[Header], str]]] = [
    (lambda h: h.sop_class in CLASSES, lambda h: "of another class than CT or MR"),
    (lambda h: h.sop_class, lambda h: f"of another class ({h.modality})"),
    (lambda h: h.size, lambda h: f"of {h.size[1]} × {h.size[0]} pixels"),
    (lambda h: (h.dtype, h.bits), lambda h: f"of {h.dtype}, {h.bits} bits stored"),
]

_COMPONENTS = {
    "phase": "phase image",
    "velocity": "velocity image",
    "real": "real part",
    "imaginary": "imaginary part",
}


def unusable(headers: Sequence[Header]) -> tuple[str, str, str] | None:
    """Why images that are not magnitudes cannot be super-resolved; None if they can."""
    shown = {c for h in headers for c in h.components}
    if shown & {"phase", "velocity"}:
        what = " and ".join(sorted(shown & {"phase", "velocity"}))
        return f"{what} images, whose values wrap around", "magnitude images", "take the magnitude series"
    if "imaginary" in shown:
        return "parts of complex images", "magnitude images", "take the magnitude series"
    return None


def signed_parts(headers: Sequence[Header]) -> bool:
    """Whether images are the real part of complex images."""
    return any(REAL in h.components for h in headers)


def _component(header: Header, index: int) -> str:
    return header.components[index if len(header.components) > 1 else 0]


def _majority(
    items: Sequence[_T], of: Callable[[_T], Hashable], weights: Sequence[int], few: float
) -> tuple[list[_T], list[_T]]:
    """The items of the most common kind, and the others if these are few; else all items, and none."""
    sizes: dict[Hashable, int] = {}
    for item, weight in zip(items, weights, strict=True):
        sizes[of(item)] = sizes.get(of(item), 0) + weight
    if len(sizes) < 2:
        return list(items), []
    main = max(sizes, key=lambda kind: sizes[kind])
    if sum(sizes.values()) - sizes[main] > few * sizes[main]:
        return list(items), []
    belongs = [of(item) == main for item in items]
    return list(compress(items, belongs)), [i for i, b in zip(items, belongs, strict=True) if not b]


def _split(headers: Sequence[Header], keep: Callable[[Header, int], bool]) -> tuple[list[str], list[Header]]:
    """The paths of the frames that are left out, and the headers with the frames that are kept."""
    taken: list[str] = []
    kept = []
    for header in headers:
        stay = [keep(header, i) for i in range(len(header.frames))]
        taken += [header.path] * stay.count(False)
        if any(stay):
            shown = tuple(compress(header.components, stay)) if len(header.components) > 1 else header.components
            kept.append(replace(header, frames=tuple(compress(header.frames, stay)), components=shown))
    return taken, kept


def _main_orientation(frames: Sequence[Frame]) -> Callable[[Frame], bool] | None:
    """A test of whether a frame has the main orientation; None if all have it, or too many do not."""
    normals = np.array([f.plane.normal for f in frames])
    ways, first = np.unique(np.round(normals, 3), axis=0, return_index=True)
    if len(ways) == 1:
        return None
    least = math.cos(math.radians(ACROSS))
    near = np.abs(normals[first] @ normals.T) >= least  # candidates × frames
    best = int(near.sum(1).argmax())
    count = int(near[best].sum())
    if not 0 < len(frames) - count <= FEW_ACROSS * count:
        return None
    middle = normals[first[best]]
    return lambda frame: abs(float(np.dot(frame.plane.normal, middle))) >= least


def _left_out(paths: Sequence[str], what: str, many: str, folder: str) -> str:
    names = [os.path.relpath(path, folder) for path in dict.fromkeys(paths)]
    shown = ", ".join(" ".join(name.split()) for name in names[:_NAMED]) + ", …" * (len(names) > _NAMED)
    return f"{len(paths)} {what if len(paths) == 1 else many} ({shown})"
