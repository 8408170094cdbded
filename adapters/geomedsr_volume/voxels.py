"""Slices of a volume's voxels, read on demand from the file, or from a decompressed copy."""

from __future__ import annotations

import math
import os
import tempfile
import threading
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

import numpy as np

from geomedsr.errors import GeomedsrError, InputError
from geomedsr.geometry import Box
from geomedsr.scene.sources import Array, Source
from geomedsr_volume.files import DAMAGED, PIECE, compressed, damaged, opened, short

#: The most decompressed copies that a process keeps, for example a source's and its result's.
_KEPT = 4

_lock = threading.Lock()


@dataclass(frozen=True)
class VolumeSource(Source):
    """Windows of a volume's slices, ``(frame, 1, y, x)``: one frame per slice, volume after volume.

    ``sizes`` are the file's: volumes, and voxels along its third, second and first axis. Slices are stacked along
    ``axis``, from 0; ``kind`` is the voxels' type in native byte order.
    """

    path: str
    stamp: tuple[int, int]
    sizes: tuple[int, int, int, int]
    axis: int
    kind: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        volumes, *sizes = self.sizes
        count = sizes.pop(2 - self.axis)
        return volumes * count, 1, sizes[0], sizes[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return np.dtype(self.kind)

    @property
    def block(self) -> tuple[int, int]:
        """A whole slice."""
        return self.shape[2:]

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        frames, window = box.frames, box.window
        end_row, end_col = window.stop
        volumes = self.voxels()
        count = self.sizes[3 - self.axis]
        numbers = range(*frames.indices(self.shape[0]))
        out = np.empty((len(numbers), 1, window.height, window.width), self.dtype)
        for plane, number in zip(out[:, 0], numbers, strict=True):
            volume = np.moveaxis(volumes[number // count], 2 - self.axis, 0)
            plane[:] = volume[number % count, window.row : end_row, window.col : end_col]
        return out

    def valid(self, box: Box) -> Array:
        """True where a value is finite."""
        frames, window = box.frames, box.window
        if self.dtype.kind != "f":
            count = len(range(*frames.indices(self.shape[0])))
            return np.broadcast_to(np.True_, (count, 1, window.height, window.width))
        return np.isfinite(self.read(box))

    def select(self, bands: Sequence[int]) -> VolumeSource:
        """The volume itself: it has one band."""
        if len(bands) != 1:
            raise InputError(f"{len(bands)} bands of a volume", "the one that it has", "leave --bands out")
        return self

    @abstractmethod
    def voxels(self) -> Array:
        """All voxels, in the order of ``sizes``. Callers must not keep them, so that unused parts take no memory."""


@dataclass(frozen=True)
class FileSource(VolumeSource):
    """A source for a file with uncompressed voxels of type ``stored``, from ``offset`` on."""

    offset: int
    stored: str

    def voxels(self) -> Array:
        """A view of the file, mapped again each time, so that only the used parts take memory."""
        size = math.prod(self.sizes) * np.dtype(self.stored).itemsize
        try:
            if not compressed(self.path):
                length = os.path.getsize(self.path)
                if length < self.offset + size:
                    raise short(self.path, length, self.offset + size)
                return np.memmap(self.path, self.stored, "r", self.offset, self.sizes)
            with _lock:  # decompress only once, not in each thread
                copy = _unpacked(self.path, self.stamp, self.offset, size)
            return np.memmap(copy.file, self.stored, "r", 0, self.sizes)
        except GeomedsrError:
            raise
        except DAMAGED as error:
            raise damaged(self.path) from error


class _Copy:
    """An unnamed temporary file that exists as long as this object."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __del__(self) -> None:
        self.file.close()


@lru_cache(maxsize=_KEPT)
def _unpacked(path: str, stamp: tuple[int, int], offset: int, size: int) -> _Copy:
    """A range of a compressed file, decompressed into a temporary file. All of it is read, so that damage is found."""
    try:
        copy = _Copy(tempfile.TemporaryFile())  # noqa: SIM115 (it lasts as long as it is kept)
    except OSError as error:
        raise _no_room(path, size) from error
    try:
        with opened(path) as file:
            place = 0
            while piece := file.read(PIECE):
                part = piece[max(0, offset - place) : max(0, offset + size - place)]
                place += len(piece)
                try:
                    copy.file.write(part)
                    copy.file.flush()
                except OSError as error:
                    raise _no_room(path, size) from error
        if place < offset + size:
            raise short(path, place, offset + size)
    except BaseException:
        copy.file.close()
        raise
    return copy


def _no_room(path: str, size: int) -> InputError:
    return InputError(
        f"{path}, which takes {size / 2**20:.0f} MiB of temporary files while it is read",
        "a temporary folder with room for it",
        "set TMPDIR to another, or decompress the file",
    )
