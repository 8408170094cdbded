"""The slices of a series as a source; each is decoded when it is read."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import Array, Source
from geomedsr_dicom.attributes import load, quiet, unheard
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.streams import SeriesStreams, streams_of

#: Decoded slices that a process keeps, so that values, validity and several windows need one decoding.
_KEPT = 4

#: Elements with the bit position of overlays; old files keep them in bits above the stored ones (60xx,0102).
_OVERLAY_BITS: list[int | BaseTag] = [(0x6000 + 2 * i) << 16 | 0x0102 for i in range(16)]


class _BeyondError(ValueError):
    """The bits above the stored ones are not 0, and no overlay explains that."""


_decoded: OrderedDict[tuple[str, int, int], Array] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class SeriesSource(Source):
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

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By a padding value; by a mask if padding is a range, or differs between slices."""
        paddings = {frame.padding for frame in self.frames}
        one = next(iter(paddings)) if len(paddings) == 1 else None
        alone = one is not None and one[0] == one[1]
        return (Masking.VALUE if alone else Masking.NONE if paddings == {None} else Masking.MASK,)

    def streams(self) -> SeriesStreams | None:
        """The JPEG streams of its frames, if they have such."""
        return streams_of(tuple((frame.path, frame.index) for frame in self.frames), self.size)

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
                with unheard():
                    values = _decode(frame)
            except _BeyondError as error:
                why = "values of more bits than its header says are stored"
                raise _unreadable(number, why, "values of those bits", "correct BitsStored") from error
            except Exception as error:  # decoders raise whatever they like; some texts quote header values
                why = f"pixel data that cannot be decoded: {type(error).__name__}"
                raise _unreadable(number, "truncated pixel data" if _short(frame) else why) from error
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
    described = Dataset()
    try:
        values = pixel_array(frame.path, ds_out=described, specific_tags=_OVERLAY_BITS, index=frame.index, raw=True)
    except AttributeError:  # a deflated data set cannot be read in part, one without meta information not at all
        described = load(frame.path, pixels=True)[0]
        values = pixel_array(described, index=frame.index, raw=True)
    return _stored_bits(values, described)


def _short(frame: Frame) -> bool:
    """Whether a file that cannot be decoded is truncated, or has fewer bytes of pixels than its header states."""
    try:
        dataset, _ = load(frame.path, pixels=True)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            return False
        numbers = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1))
        bits = numbers * int(dataset.BitsAllocated) * int(dataset.get("NumberOfFrames") or 1)
        return len(dataset.get("PixelData", b"")) * 8 < bits
    except EOFError:
        return True
    except Exception:  # the original error is reported
        return False


def _stored_bits(values: Array, described: Dataset) -> Array:
    """Values without the bits above the stored ones, where old files keep overlays; decoders leave these bits.

    Raises:
        _BeyondError: these bits are not 0, and no overlay explains that.
    """
    bits, most = int(described.BitsStored), values.dtype.itemsize * 8
    signed = values.dtype.kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if bits == most or (low <= int(values.min()) and int(values.max()) <= high):
        return values
    overlays = (described.get(tag) for tag in _OVERLAY_BITS)
    if not any(overlay is not None and int(overlay.value or 0) >= bits for overlay in overlays):
        raise _BeyondError
    shift = values.dtype.type(most - bits)
    cut: Array = (values << shift) >> shift
    return cut


def _unreadable(
    number: int,
    why: str,
    expected: str = "a whole file",
    remedy: str = "copy that file again, or take it out of the folder",
) -> InputError:
    return InputError(f"slice {number + 1} of the series ({why})", expected, remedy)
