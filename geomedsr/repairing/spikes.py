"""Spikes in the k-space of MR frames: single samples far above all around them, which lay waves over the image.

A frame is taken as it is stored, so its k-space is that of the magnitude image: a spike of the scanner shows in it, and
its mirror, as the image is real. A sample is a spike if it stands out from all samples of a ring around it, not only
from their median: rings of k-space hold lines and edges, which are structure. What replaces it is the mean of the
samples around, of a frame whose middle is the origin, so that neighbours have like phases.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.provenance import Provenance, foreign
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, WrappingSource

#: The ring: how far its samples are from the middle, in rows and columns.
_NEAR, _FAR = 3, 6

#: A spike is so many times the largest sample of its ring.
_ABOVE = 4.0

#: The middle of k-space, as a share of the frequencies along each axis, holds the image, and no spike is looked for.
_MIDDLE = 0.06

#: A wave of less than this amplitude, as a share of the frame's range, is left: nobody sees it.
_LEAST = 1e-3

#: Samples around a spike that it leaks into are replaced, too, if they are so many times the ring's largest.
_LEAKS = 1.5

#: Where a spike may lie: row and column of a frame's k-space, whose middle is 0, 0.
Place = tuple[int, int]


def k_space(frame: Array) -> Array:
    """The k-space of a frame ``(y, x)``, its middle in the middle; of a frame whose middle is the origin."""
    return np.asarray(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(frame.astype(np.float64)))))


def image_of(samples: Array) -> Array:
    """The frame of a k-space, real."""
    return np.asarray(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(samples))).real)


def spikes_of(frame: Array) -> list[Place]:
    """The samples of a frame ``(y, x)`` that are spikes, each with those that it leaks into and their mirrors."""
    height, width = frame.shape
    if min(height, width) < 4 * _FAR:
        return []
    size = np.abs(k_space(frame))
    most = _ring(size)
    rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
    outside = np.maximum(np.abs(rows[:, None]) / height, np.abs(columns[None]) / width) > _MIDDLE / 2
    visible = 2 * size / frame.size > _LEAST * float(np.ptp(frame))
    found = (size > _ABOVE * most) & outside & visible
    if not found.any():
        return []
    grown = np.zeros_like(found)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            grown |= np.roll(found, (dy, dx), (0, 1))
    found |= grown & (size > _LEAKS * most)
    places = {(int(y) - height // 2, int(x) - width // 2) for y, x in zip(*np.nonzero(found), strict=True)}
    places |= {mirror for y, x in places for mirror in [_mirror((y, x), frame.shape)]}
    return sorted(places)


def without(frame: Array, places: Sequence[Place]) -> Array:
    """A frame ``(y, x)`` with these samples of its k-space interpolated from those around; float64, not rounded."""
    samples = k_space(frame)
    height, width = frame.shape
    broken = np.zeros(frame.shape, bool)
    for y, x in places:
        broken[(y + height // 2) % height, (x + width // 2) % width] = True
    known, sums, count = ~broken, np.zeros_like(samples), np.zeros(frame.shape)
    for dy in (-2, -1, 0, 1, 2):
        for dx in (-2, -1, 0, 1, 2):
            if dy or dx:
                weight = 1 / np.hypot(dy, dx)
                sums += weight * np.roll(np.where(known, samples, 0), (dy, dx), (0, 1))
                count += weight * np.roll(known, (dy, dx), (0, 1))
    samples[broken] = (sums / np.maximum(count, 1e-9))[broken]
    return image_of(samples)


def _ring(size: Array) -> Array:
    """The largest sample of a ring around each, k-space going on beyond its edges."""
    most = np.zeros_like(size)
    for dy in range(-_FAR, _FAR + 1):
        for dx in range(-_FAR, _FAR + 1):
            if max(abs(dy), abs(dx)) >= _NEAR:
                np.maximum(most, np.roll(size, (dy, dx), (0, 1)), out=most)
    return most


def _mirror(place: Place, shape: tuple[int, ...]) -> Place:
    """The sample that is the conjugate of another, in a frame of some rows and columns."""
    made = []
    for at, length in zip(place, shape, strict=True):
        mirrored = (-at + length // 2) % length - length // 2
        made.append(mirrored)
    return made[0], made[1]


@dataclass(frozen=True)
class Despiked(WrappingSource):
    """A source whose frames have no spikes: ``places`` are the samples of each frame's k-space, by frame."""

    places: tuple[tuple[int, tuple[Place, ...]], ...]
    limits: tuple[int, int] | None

    def read(self, box: Box) -> Array:
        """Stored values of a box; frames without spikes as they are."""
        out = np.array(self.whole.read(box))
        known = dict(self.places)
        for number, frame in enumerate(range(box.start[0], box.stop[0])):
            if frame in known:
                whole = Box.of(frame, Box.whole(self.shape).window)
                out[number] = self._cleaned(whole, known[frame])[(slice(None), *box.index[2:])]
        return out

    def _cleaned(self, whole: Box, places: Sequence[Place]) -> Array:
        """A frame ``(band, y, x)``; what is no data stays."""
        stored, valid = self.whole.read(whole)[0], self.whole.valid(whole)[0]
        made = np.stack([without(band, places) for band in stored])
        if self.limits is not None:
            made = np.clip(np.rint(made), *self.limits)
        return np.where(valid, made.astype(stored.dtype), stored)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A scene without spikes, in how many frames there were some, and how many samples that are in all."""

    scene: Scene
    frames: int
    samples: int


def despiked(scene: Scene) -> Cleaned | None:
    """The scene without the spikes of its frames' k-space, lazily; None without any. Every frame is read for that.

    Raises:
        InputError: not MR.
    """
    _check(scene)
    found = []
    for frame in range(scene.shape[0]):
        box = Box.of(frame, Box.whole(scene.shape).window)
        if places := spikes_of(scene.source.read(box)[0, 0]):
            found.append((frame, tuple(places)))
    if not found:
        return None
    source = cleaned(scene, tuple(found))
    provenance = Provenance(chosen=scene.provenance.chosen, spikes=text_of(source.places))
    tags: Any = {namespace: foreign(own) for namespace, own in scene.tags.items()}
    made = replace(scene, source=source, name=f"{scene.name} without spikes", tags=tags, provenance=provenance)
    return Cleaned(made, len(found), sum(len(places) for _, places in found))


def cleaned(scene: Scene, places: tuple[tuple[int, tuple[Place, ...]], ...]) -> Despiked:
    """A scene's source without these samples."""
    return Despiked(scene.source, places, scene.limits)


def text_of(places: tuple[tuple[int, tuple[Place, ...]], ...]) -> str:
    """As a text, for tags: frames, and rows and columns from the middle of k-space."""
    return json.dumps({str(frame): [list(place) for place in own] for frame, own in places}, separators=(",", ":"))


def of_text(text: str) -> tuple[tuple[int, tuple[Place, ...]], ...]:
    """From a text.

    Raises:
        InputError: it is none of these.
    """
    try:
        return tuple((int(frame), tuple((int(y), int(x)) for y, x in own)) for frame, own in json.loads(text).items())
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError("a record of spikes that cannot be read", "one that repair wrote", "use that file") from error


def _check(scene: Scene) -> None:
    """Raise an InputError for what is not MR."""
    if scene.domain == "CT":
        raise InputError(
            f"{scene.name}, which is CT, for spikes in k-space",
            "MR: streaks of CT come from single rays, which only its raw data hold",
            "reconstruct it again from these",
        )
    if not scene.grid.planes and scene.domain != "MR":
        raise InputError(f"{scene.name}, whose frames are no slices", "a series or a volume of MR", "leave spikes out")
    if scene.shape[1] != 1:
        raise InputError(f"{scene.name} of {scene.shape[1]} bands", "one", "choose it with --bands")
