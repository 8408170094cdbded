"""Scenes side by side: bands of several sources of one grid and type as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.masking import BESIDE, Masking, alike
from geomedsr.scene.sources import Array, Source


@dataclass(frozen=True)
class JoinedSource(Source):
    """Bands of several sources, the ``parts``, of one ``(frame, y, x)`` and one type; ``picks`` tells for each band the
    part that it is of, and which of that part's bands it is.
    """

    parts: tuple[Source, ...]
    picks: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, parts: Sequence[Source]) -> JoinedSource:
        """All bands, part by part."""
        picks = [(number, band) for number, part in enumerate(parts) for band in range(part.shape[1])]
        return cls(tuple(parts), tuple(picks))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, _, height, width = self.parts[0].shape
        return frames, len(self.picks), height, width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.parts[0].dtype

    @property
    def block(self) -> tuple[int, int]:
        """That of the part whose blocks are smallest."""
        return min((part.block for part in self.parts), key=math.prod)

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self._gathered({number: self.parts[number].read(box) for number in self._used})

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return self._gathered({number: self.parts[number].valid(box) for number in self._used})

    def _gathered(self, of: dict[int, Array]) -> Array:
        return np.stack([of[number][:, band] for number, band in self.picks], 1)

    @property
    def _used(self) -> list[int]:
        return sorted({number for number, _ in self.picks})

    def select(self, bands: Sequence[int]) -> JoinedSource:
        """Some of the bands; parts of which none is left are not read."""
        picks = [self.picks[band] for band in bands]
        used = sorted({number for number, _ in picks})
        renumbered = tuple((used.index(number), band) for number, band in picks)
        return JoinedSource(tuple(self.parts[number] for number in used), renumbered)

    @property
    def masking(self) -> tuple[Masking, ...]:
        """Each band's; masks of several parts are the bands' own."""
        ways = [self.parts[number].masking[band] for number, band in self.picks]
        if len(self.parts) == 1 or (alike(ways) and not any(way & BESIDE for way in ways)):
            return tuple(ways)
        return tuple(way & ~Masking.MASK | Masking.OWN if way & Masking.MASK else way for way in ways)

    @property
    def reads(self) -> tuple[Source, ...]:
        """The parts."""
        return self.parts
