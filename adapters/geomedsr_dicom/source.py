"""The slices of a series as a source: each decoded when it is read."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.pixels.utils import pixel_array

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.sources import Array
from geomedsr_dicom.attributes import load, quiet
from geomedsr_dicom.frames import Frame

#: Slices kept decoded per process, so that values, validity and several windows cost one decoding.
_KEPT = 4

_decoded: OrderedDict[tuple[str, int, int], Array] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class SeriesSource:
    """Windows of the slices of a series, ``(frame, 1, y, x)``."""

    frames: tuple[Frame, ...]
    size: tuple[int, int]
    kind: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return len(self.frames), 1, *self.size

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The storage type."""
        return np.dtype(self.kind)

    @property
    def block(self) -> tuple[int, int]:
        """A whole slice."""
        return self.size

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        _, _, rows, columns = box.index
        slices = [self._slice(i)[rows, columns] for i in range(box.start[0], box.stop[0])]
        return np.stack(slices)[:, None] if slices else np.empty((0, 1, *box.shape[1:]), self.dtype)

    def valid(self, box: Box) -> Array:
        """True where a pixel is not padding."""
        numbers = range(box.start[0], box.stop[0])
        if all(self.frames[i].padding is None for i in numbers):
            return np.broadcast_to(np.True_, (len(numbers), 1, *box.shape[1:]))
        values = self.read(box)
        valid = np.ones(values.shape, bool)
        for plane, stored, number in zip(valid, values, numbers, strict=True):
            padding = self.frames[number].padding
            if padding is not None:
                plane &= (stored < padding[0]) | (stored > padding[1])
        return valid

    def select(self, bands: Sequence[int]) -> SeriesSource:
        """The series itself: it has one band."""
        if len(bands) != 1:
            raise InputError(f"{len(bands)} bands of a series", "the one that it has", "leave --bands out")
        return self

    def _slice(self, number: int) -> Array:
        frame = self.frames[number]
        try:
            stamp = os.stat(frame.path).st_mtime_ns
        except OSError as error:
            raise _unreadable(number, error.strerror or "no such file") from error
        key = (frame.path, frame.index, stamp)
        with quiet():
            with _lock:
                if key in _decoded:
                    _decoded.move_to_end(key)
                    return _decoded[key]
            try:
                values = _decode(frame)
            except Exception as error:  # decoders raise whatever they like; some texts quote header values
                short = any(hint in str(error) for hint in ("less than expected", "cannot reshape"))
                why = "truncated pixel data" if short else f"pixel data that cannot be decoded: {type(error).__name__}"
                raise _unreadable(number, why) from error
            values = values.astype(values.dtype.newbyteorder("="), copy=False)
            if values.shape != self.size or values.dtype != self.dtype:
                raise _unreadable(number, f"{values.shape} pixels of {values.dtype}, not as its header said")
            values = np.ascontiguousarray(values)
            values.flags.writeable = False
            with _lock:
                _decoded[key] = values
                while len(_decoded) > _KEPT:
                    _decoded.popitem(last=False)
            return values


def _decode(frame: Frame) -> Array:
    try:
        return pixel_array(frame.path, index=frame.index, raw=True)
    except AttributeError:  # a deflated data set cannot be read in part, one without meta information not at all
        return pixel_array(load(frame.path, pixels=True)[0], index=frame.index, raw=True)


def _unreadable(number: int, why: str) -> InputError:
    return InputError(
        f"slice {number + 1} of the series ({why})",
        "a whole file",
        "copy that file again, or take it out of the folder",
    )
