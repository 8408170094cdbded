"""A source that reads windows of arrays in a store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import zarr

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source, by_value, data_by_value
from geomedsr_zarr.groups import marker

#: Exceptions for disk errors and damaged chunks.
_FAILURES = (OSError, EOFError, ValueError, KeyError, RuntimeError, TypeError)


@dataclass(frozen=True)
class ZarrSource(Source):
    """Windows of arrays in a group: one array with a band axis, or one array for each band.

    ``axes`` are the positions of frames (None without frames), bands, rows and columns in each array. ``picks`` tells
    for each band the array and the band within it. ``mask`` is the name of an array with rows and columns, and perhaps
    frames and bands, that is not 0 where there is data.
    """

    path: str
    version: int
    names: tuple[str, ...]
    axes: tuple[int | None, int | None, int, int]
    shape: tuple[int, int, int, int]
    kind: str
    chunk: tuple[int, int]
    picks: tuple[tuple[int, int], ...]
    nodata: tuple[float | int | None, ...]
    mask: str | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return np.dtype(self.kind)

    @property
    def block(self) -> tuple[int, int]:
        """A chunk."""
        return self.chunk

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        try:
            bands = [self._band(name, own, box) for name, own in self.picks]
            self._check()  # missing chunks read as the fill value, even if the whole store is gone
            return np.stack(bands, axis=1).astype(self.dtype, copy=False)
        except _FAILURES as error:
            (_, row, col), (_, end_row, end_col) = box.start, box.stop
            raise InputError(
                f"{self.path}, which fails at columns {col}–{end_col}, rows {row}–{end_row}",
                "a whole store",
                "copy or download it again",
            ) from error

    def valid(self, box: Box) -> Array:
        """True where a pixel is not masked, finite, and not the fill value."""
        count, height, width = box.shape
        if self.mask is None and self.dtype.kind != "f" and all(value is None for value in self.nodata):
            return np.broadcast_to(np.True_, (count, len(self.picks), height, width))
        valid = data_by_value(self.read(box), self.nodata)
        if self.mask is not None:
            array = _opened(self.path, self.version, self.mask)
            frames, _, *place = box.index
            each = [slice(None)] * self._masked_each
            mask = np.asarray(array[(*[frames] * (self.axes[0] is not None), *each, *place)]) != 0
            if each:
                mask = mask[..., [array + band for array, band in self.picks], :, :]
            valid &= mask if each or mask.ndim == 2 else mask[:, None]
        return valid

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By value, and by the mask."""
        beside = Masking.NONE if self.mask is None else Masking.OWN if self._masked_each else Masking.MASK
        return tuple(way | beside for way in by_value(self.dtype, self.nodata))

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> ZarrSource:
        """The same source with other nodata values."""
        return replace(self, nodata=nodata)

    def select(self, bands: Sequence[int]) -> ZarrSource:
        """Some of the bands."""
        return replace(
            self,
            shape=(self.shape[0], len(bands), *self.shape[2:]),
            picks=tuple(self.picks[b] for b in bands),
            nodata=tuple(self.nodata[b] for b in bands),
        )

    @property
    def _masked_each(self) -> bool:
        """Whether the mask has an axis of bands."""
        axes = 2 if self.axes[0] is None else 3
        return self.mask is not None and _opened(self.path, self.version, self.mask).ndim > axes

    def _band(self, name: int, own: int, box: Box) -> Array:
        """A band of a box, ``(frame, height, width)``."""
        frames, _, rows, columns = box.index
        frame, band, row, col = self.axes
        array = _opened(self.path, self.version, self.names[name])
        place: list[Any] = [0] * array.ndim
        place[row], place[col] = rows, columns
        if frame is not None:
            place[frame] = frames
        if band is not None:
            place[band] = own
        values = np.asarray(array[tuple(place)])
        left = sorted(axis for axis in (frame, row, col) if axis is not None)
        order = [left.index(axis) for axis in (frame, row, col) if axis is not None]
        values = values.transpose(order)
        return values if frame is not None else values[None]

    def _check(self) -> None:
        if marker(self.path) is None:
            raise FileNotFoundError(self.path)


@lru_cache(maxsize=64)
def _opened(path: str, version: int, name: str) -> Any:
    return zarr.open_array(os.path.join(path, name), mode="r")
