"""Defects that nobody marked: gaps, lost lines, dead pixels; a lazy mask with a class for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.repairing import dead, gaps
from geomedsr.repairing.lines import Lost, lost_lines
from geomedsr.repairing.marks import PixelClasses
from geomedsr.scene.padding import read_reflected
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array, Source

#: What is looked for, and its number in a mask.
KINDS = {"gaps": 1, "lines": 2, "dead": 3}


@dataclass(frozen=True, eq=False)
class Points:
    """Single pixels: ``places`` are frame, row, column and band of each, int64 ``(pixel, 4)``, in rising order."""

    places: Array

    @classmethod
    def of(cls, parts: Sequence[Array]) -> Points:
        """Put parts together, in any order."""
        places = np.concatenate([np.empty((0, 4), np.int64), *parts])
        return cls(places[np.lexsort(places.T[::-1])])

    def select(self, bands: Sequence[int]) -> Points:
        """Those of some of the bands."""
        parts = []
        for i, band in enumerate(bands):
            part = self.places[self.places[:, 3] == band].copy()
            part[:, 3] = i
            parts.append(part)
        return Points.of(parts)

    def mark(self, box: Box, out: Array, value: int) -> None:
        """Write a value where they lie, into the values ``(frame, band, y, x)`` of a box."""
        for i, frame in enumerate(range(box.frames.start, box.frames.stop)):
            first, last = np.searchsorted(self.places[:, 0], (frame, frame + 1))
            own = self.places[first:last]
            first, last = np.searchsorted(own[:, 1], (box.start[1], box.stop[1]))
            own = own[first:last]
            own = own[(own[:, 2] >= box.start[2]) & (own[:, 2] < box.stop[2])]
            out[i, own[:, 3], own[:, 1] - box.start[1], own[:, 2] - box.start[2]] = value


@dataclass(frozen=True)
class Found(PixelClasses):
    """Defects of an image: the number of their kind (:data:`KINDS`), else 0; bytes, always data.

    Lost lines and dead pixels are known; gaps are found in each box that is read, where they are looked for.
    """

    gaps: bool
    lost: Lost | None
    dead: Points

    def select(self, bands: Sequence[int]) -> Found:
        """Some of the bands."""
        lost = None if self.lost is None else self.lost.select(list(bands))
        return replace(self, image=self.image.select(bands), lost=lost, dead=self.dead.select(bands))

    def read(self, box: Box) -> Array:
        """The kinds of a box."""
        out = np.zeros((box.shape[0], self.shape[1], *box.shape[1:]), np.uint8)
        self.dead.mark(box, out, KINDS["dead"])
        if self.lost is not None and self.lost.any:
            out[self.lost.marks(box, self.shape[1])] = KINDS["lines"]
        if self.gaps:
            out[self._gaps(box)] = KINDS["gaps"]
        return out

    def _gaps(self, box: Box) -> Array:
        """Gaps in a box. Beyond the scene nothing is data: its edge is no gap's."""
        there = box.grown((0, gaps.RADIUS, gaps.RADIUS))
        inside = there & Box.whole(self.shape)
        known = self.image.valid(inside)
        if known.all():
            return np.zeros((box.shape[0], self.shape[1], *box.shape[1:]), bool)
        valid = np.zeros((there.shape[0], self.shape[1], *there.shape[1:]), bool)
        valid[inside.within(there).index] = known
        return gaps.gaps(valid)


@dataclass(frozen=True)
class Defects:
    """What looks broken in a scene: a mask, lazily, and how many pixels of each kind are in it, of so many ``pixels``.

    The mask has a band for each band that is no class or flag: 1 in gaps, 2 in lost lines, 3 at dead and hot pixels.
    """

    mask: Scene
    counts: dict[str, int]
    pixels: int

    @property
    def total(self) -> int:
        """Pixels of all kinds."""
        return sum(self.counts.values())


def find_defects(scene: Scene, kinds: Iterable[str] = tuple(KINDS)) -> Defects:
    """Look for defects; the scene is read twice for it, in pieces.

    Args:
        scene: any scene; bands of classes and flags are not looked at.
        kinds: some of ``gaps``, ``lines`` and ``dead``.

    Raises:
        InputError: another kind, or a scene of classes alone.
    """
    wanted = tuple(kinds)
    if not wanted or (odd := [kind for kind in wanted if kind not in KINDS]):
        raise InputError(f"the kind {odd[0] if wanted else 'none'} of defects", ", ".join(KINDS), "choose among them")
    places = tuple(i for i, band in enumerate(scene.bands) if band.kind == "continuous")
    if not places:
        raise InputError(f"{scene.name}, whose bands are classes or flags", "a band to look at", "choose others")
    image = scene.source.select(places) if len(places) < len(scene.bands) else scene.source
    span = scene.values.select(places).bounds()[1][..., 0, 0].max(0)
    lost = lost_lines(image, span) if "lines" in wanted else None
    counts = dict.fromkeys(wanted, 0)
    points = _dead(image, lost, span, scene.limits or (-np.inf, np.inf)) if "dead" in wanted else Points.of([])
    found = Found(image, "gaps" in wanted, lost, points)
    for box in _pieces(image):
        here = np.bincount(found.read(box).ravel(), minlength=len(KINDS) + 1)
        counts = {kind: count + int(here[KINDS[kind]]) for kind, count in counts.items()}
    bands = tuple(Band(f"{scene.bands[i].name}_defects", "nearest") for i in places)
    mask = Scene(found, scene.grid, bands, "its defects as found", domain=scene.domain, frames=scene.frames)
    return Defects(mask, counts, int(np.prod(image.shape)))


def _pieces(image: Source) -> Iterator[Box]:
    return Box.whole(image.shape).tiles((1, 1024, 1024))


def _dead(image: Source, lost: Lost | None, span: Array, ends: tuple[float, float]) -> Points:
    """Dead pixels; lost lines are left out of what is looked at."""
    parts, lowest, counts = [], [], np.zeros((image.shape[1], 2), np.int64)
    for box in _pieces(image):
        there = box.grown((0, dead.RADIUS, dead.RADIUS))
        values, valid = (part[0] for part in read_reflected(image, there))
        if lost is not None and lost.any:
            valid = valid & ~lost.marks(there, image.shape[1])[0]
        parts.append(_places(dead.dead_pixels(values, valid, span, ends), box))
        single, here = dead.at_low_end(values, valid, span, ends[0])
        lowest.append(_places(single, box))
        counts += here
    single = Points.of(lowest).places
    bands = np.flatnonzero(dead.stuck(np.bincount(single[:, 3], minlength=len(counts)), counts))
    return Points.of([np.unique(np.concatenate([*parts, single[np.isin(single[:, 3], bands)]]), axis=0)])


def _places(found: Array, box: Box) -> Array:
    """Frame, row, column and band of what is found in a box of one frame."""
    band, row, col = np.nonzero(found)
    frame = np.full(len(band), box.start[0])
    return np.stack([frame, row + box.start[1], col + box.start[2], band], -1).astype(np.int64)
