"""A preview, as it is read from its original; and the original, as it is read from preview and detail."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.scene.masking import BESIDE, Masking
from geomedsr.scene.scene import Band
from geomedsr.scene.sources import Array, Source, data_by_value
from geomedsr.transfer.coding import Damaged, inflated, parted
from geomedsr.transfer.detail import Detail, checksum, damaged, settled
from geomedsr.transfer.numbers import means
from geomedsr.transfer.tiles import decode

#: Decoded tiles kept per process, so that values and validity cost one decoding.
_KEPT = 4

#: Pixels of all bands that are averaged at once.
_AT_ONCE = 1 << 22

_decoded: OrderedDict[tuple[bytes, int], tuple[Array, Array]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class PreviewSource(Source):
    """Block means of a source (:func:`geomedsr.transfer.numbers.means`); a block is data where a pixel of it is."""

    fine: Source
    factor: int
    bands: tuple[Band, ...]

    @property
    def inner(self) -> Source:
        """What it reads from."""
        return self.fine

    def on(self, inner: Source) -> PreviewSource:
        """The same of another source."""
        return replace(self, fine=inner)

    def touches(self, box: Box) -> Box:
        """The pixels of the blocks."""
        return box.refined(Factors.in_plane(self.factor)) & Box.whole(self.fine.shape)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.fine.shape
        return frames, bands, -(-height // self.factor), -(-width // self.factor)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.fine.dtype

    @property
    def block(self) -> tuple[int, int]:
        """Preferred ``(height, width)`` of a read."""
        return 256, 256

    def read(self, box: Box) -> Array:
        """Means of a box."""
        return self._both(box)[0]

    def valid(self, box: Box) -> Array:
        """True where a block has data."""
        return self._both(box)[1]

    def _both(self, box: Box) -> tuple[Array, Array]:
        shape = (box.shape[0], self.shape[1], *box.shape[1:])
        found, data = np.empty(shape, self.dtype), np.empty(shape, bool)
        side = max(1, int((_AT_ONCE / shape[1]) ** 0.5) // self.factor)
        for part in box.tiles((1, side, side)):
            fine, inside = self.touches(part), part.within(box).index
            found[inside], data[inside] = coarse(self.fine.read(fine), self.fine.valid(fine), self.factor, self.bands)
        return found, data

    @property
    def masking(self) -> tuple[Masking, ...]:
        """The fine source's."""
        return self.fine.masking

    def select(self, bands: Sequence[int]) -> PreviewSource:
        """Some of the bands."""
        return replace(self, fine=self.fine.select(bands), bands=tuple(self.bands[b] for b in bands))


def coarse(values: Array, valid: Array, factor: int, bands: Sequence[Band]) -> tuple[Array, Array]:
    """Means and validity of the blocks of a window of some bands."""
    return means(values, valid, factor, [b.nodata for b in bands], [b.kind == "nearest" for b in bands])


@dataclass(frozen=True)
class JoinedSource(Source):
    """The original's pixels. Bands are all, or some ``picks``."""

    preview: Source
    detail: Detail
    picks: tuple[int, ...]

    @property
    def reads(self) -> tuple[Source, ...]:
        """The preview."""
        return (self.preview,)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, _, height, width = self.detail.layout.shape
        return frames, len(self.picks), height, width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.detail.layout.dtype

    @property
    def block(self) -> tuple[int, int]:
        """A tile."""
        return self.detail.layout.side, self.detail.layout.side

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self._gathered(box, 0, self.dtype)

    def valid(self, box: Box) -> Array:
        """True where the original was data."""
        return self._gathered(box, 1, np.dtype(bool))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """The original's."""
        return tuple(self.detail.layout.masking[b] for b in self.picks)

    def select(self, bands: Sequence[int]) -> JoinedSource:
        """Some of the bands."""
        return replace(self, picks=tuple(self.picks[b] for b in bands))

    def _gathered(self, box: Box, which: int, dtype: np.dtype[Any]) -> Array:
        found = np.empty((box.shape[0], len(self.picks), *box.shape[1:]), dtype)
        layout, side = self.detail.layout, self.detail.layout.side
        for frame in range(box.start[0], box.stop[0]):
            for row in range(box.start[1] // side * side, box.stop[1], side):
                for col in range(box.start[2] // side * side, box.stop[2], side):
                    tile = Box((frame, row, col), (frame + 1, row + side, col + side)) & Box.whole(layout.shape)
                    shared = tile & box
                    part = self._tile(tile)[which][list(self.picks)]
                    found[shared.within(box).index] = part[(slice(None), *shared.within(tile).index[2:])]
        return found

    def _tile(self, tile: Box) -> tuple[Array, Array]:
        """Values and validity ``(band, y, x)`` of a tile."""
        number = self.detail.layout.number(*tile.start)
        key = (self.detail.digest, number)
        with _lock:
            if key in _decoded:
                _decoded.move_to_end(key)
                return _decoded[key]
        found = restored(self.detail, number, tile, self.preview.read(self.detail.layout.coarse(tile))[0])
        with _lock:
            _decoded[key] = found
            while len(_decoded) > _KEPT:
                _decoded.popitem(last=False)
        return found


def restored(detail: Detail, number: int, tile: Box, means_: Array) -> tuple[Array, Array]:
    """Values and validity of a tile, checked against their checksums.

    Raises:
        InputError: the preview's pixels are others, or the detail is damaged.
    """
    layout, entry = detail.layout, detail.index[number]
    if checksum(means_) != entry["preview"]:
        raise other_preview(detail)
    try:
        mask, body = parted(memoryview(detail.tile(number)), 2)
        values = decode(body, settled(means_), (tile.shape[1], tile.shape[2]), layout.factor, layout.nodata)
        valid = _mask(mask, values.shape) if _masked(layout.masking) else data_by_value(values, layout.nodata)
    except Damaged as error:
        raise damaged(detail.path) from error
    if checksum(values) != entry["pixels"]:
        raise damaged(detail.path)
    return values, valid


def other_preview(detail: Detail) -> InputError:
    """The error for a preview that the detail was not made with."""
    return InputError(
        f"a preview whose pixels are not those that {detail.path} was made with",
        "the preview of the same split, as it was written",
        "take that file: another one, or one saved again with loss, does not do",
    )


def _masked(masking: Sequence[Masking]) -> bool:
    return any(way & BESIDE for way in masking)


def mask_bytes(valid: Array, masking: Sequence[Masking]) -> bytes:
    """Validity ``(band, y, x)`` as bytes, where values alone do not tell it: of all bands, or of one where all have the
    same.
    """
    if not _masked(masking) or valid.all():
        return b""
    planes = valid[:1] if (valid == valid[:1]).all() else valid
    return bytes([len(planes) != len(valid)]) + zlib.compress(np.packbits(planes).tobytes(), 6)


def _mask(packed: memoryview, shape: tuple[int, ...]) -> Array:
    if not len(packed):
        return np.ones(shape, bool)
    own = (1, *shape[1:]) if packed[0] else shape
    count = int(np.prod(own))
    bits = np.frombuffer(inflated(packed[1:], -(-count // 8)), np.uint8)
    return np.broadcast_to(np.unpackbits(bits, count=count).astype(bool).reshape(own), shape)
