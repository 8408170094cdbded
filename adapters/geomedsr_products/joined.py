"""Bands that lie in files of their own, read as one source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source


@dataclass(frozen=True)
class JoinedSource(Source):
    """Several sources of one grid, one band each, as the bands of one.

    Their type is the smallest that holds the numbers of all.
    """

    members: tuple[Source, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, _, height, width = self.members[0].shape
        return frames, len(self.members), height, width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return np.result_type(*(member.dtype for member in self.members))

    @property
    def block(self) -> tuple[int, int]:
        """The first member's: the files of a product are written alike."""
        return self.members[0].block

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self._joined([member.read(box) for member in self.members], self.dtype)

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return self._joined([member.valid(box) for member in self.members], np.dtype(bool))

    def select(self, bands: Sequence[int]) -> JoinedSource:
        """Some of the bands."""
        return JoinedSource(tuple(self.members[band] for band in bands))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """Each member's: a mask of one is its own."""
        found = [member.masking[0] for member in self.members]
        return tuple(way & ~Masking.MASK | Masking.OWN if Masking.MASK in way else way for way in found)

    def overview(self, pixels: int) -> tuple[Array, Array] | None:
        """The members' overviews, where all have one of the same size."""
        found = [member.overview(pixels) for member in self.members]
        known = [pair for pair in found if pair is not None]
        if len(known) < len(found) or len({values.shape for values, _ in known}) > 1:
            return None
        values, valid = zip(*known, strict=True)
        return self._joined(values, self.dtype), self._joined(valid, np.dtype(bool))

    @property
    def reads(self) -> tuple[Source, ...]:
        """The members."""
        return self.members

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """Other values that mean "no data", where all members take them."""
        made = [member.with_nodata((value,)) for member, value in zip(self.members, nodata, strict=True)]
        known = [member for member in made if member is not None]
        return None if len(known) < len(made) else replace(self, members=tuple(known))

    def _joined(self, parts: Sequence[Array], dtype: np.dtype[Any]) -> Array:
        return np.concatenate([part.astype(dtype, copy=False) for part in parts], axis=1)
