"""Which pixels are defects: a mask as the sources that repair reads, lazily, box by box."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.geometry.morphology import near
from geomedsr.scene.sources import Array, Source, WrappingSource


@dataclass(frozen=True)
class PixelClasses(Source):
    """Bytes for each pixel of an ``image``, always data."""

    image: Source

    @property
    def reads(self) -> tuple[Source, ...]:
        """The image."""
        return (self.image,)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``, as the image's."""
        return self.image.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return np.dtype(np.uint8)

    @property
    def block(self) -> tuple[int, int]:
        """As the image's."""
        return self.image.block

    def valid(self, box: Box) -> Array:
        """True everywhere."""
        frames, height, width = box.shape
        return np.broadcast_to(np.True_, (frames, self.shape[1], height, width))


@dataclass(frozen=True)
class Marks(PixelClasses):
    """Defects of an image ``(frame, band, y, x)``, 1, all else 0; bytes, always data.

    A defect is a pixel of ``mask``, a source of one band or of as many as ``image``, that is data and not 0.
    With ``within``, only defects that have a known pixel, which is data and no defect, within so many rows and columns.
    """

    mask: Source
    within: int | None = None

    @property
    def reads(self) -> tuple[Source, ...]:
        """The image and the mask."""
        return self.image, self.mask

    def select(self, bands: Sequence[int]) -> Marks:
        """Some of the bands."""
        if list(bands) == list(range(self.shape[1])):
            return self  # whose mask is known to have been read
        mask = self.mask if self.mask.shape[1] == 1 else self.mask.select(bands)
        return replace(self, image=self.image.select(bands), mask=mask)

    def read(self, box: Box) -> Array:
        """The marks of a box."""
        found = self.defects(box)
        return (self.reached(box) if self.within is not None and found.any() else found).astype(np.uint8)

    def reached(self, box: Box) -> Array:
        """Those defects of a box that have a known pixel near, bool; the mask is read once, with what lies around."""
        assert self.within is not None
        around = box.grown((0, self.within, self.within)) & Box.whole(self.shape)
        defects, inner = self.defects(around), box.within(around).index
        known = self.image.valid(around) & ~defects
        return np.asarray(defects[inner] if known.all() else defects[inner] & near(known, self.within)[inner])

    def counted(self, box: Box) -> tuple[int, int]:
        """How many pixels of a box are defects, and how many of these are reached."""
        assert self.within is not None
        self.defects(box.grown((0, self.within, self.within)) & Box.whole(self.shape))  # read once, with what is around
        found = int(self.defects(box).sum())
        return found, int(self.reached(box).sum()) if found else 0

    def defects(self, box: Box) -> Array:
        """What the mask marks of a box, bool; read again only where a thread's last read does not hold it."""
        found = _last_read(self.mask, box)
        return np.broadcast_to(found, (found.shape[0], self.shape[1], *found.shape[2:]))


_thread = threading.local()


def _last_read(mask: Source, box: Box) -> Array:
    """What a mask marks of a box, bool ``(frame, band, y, x)``; masks that are found cost more than a look at them."""
    last: tuple[Source, Box, Array] | None = getattr(_thread, "last", None)
    if last is None or last[0] is not mask or last[1] & box != box:
        last = mask, box, (mask.read(box) != 0) & mask.valid(box)
        _thread.last = last
    return last[2][box.within(last[1]).index]


@dataclass(frozen=True)
class Missing(Source):
    """Pixels of an image that nothing is to be learnt from, 1: defects, and what is no data; bytes, always data."""

    marks: Marks

    @property
    def reads(self) -> tuple[Source, ...]:
        """The marks."""
        return (self.marks,)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return self.marks.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return self.marks.dtype

    @property
    def block(self) -> tuple[int, int]:
        """As the image's."""
        return self.marks.block

    def select(self, bands: Sequence[int]) -> Missing:
        """Some of the bands."""
        return Missing(self.marks.select(bands))

    def valid(self, box: Box) -> Array:
        """True everywhere."""
        return self.marks.valid(box)

    def read(self, box: Box) -> Array:
        """The marks of a box."""
        return (self.marks.defects(box) | ~self.marks.image.valid(box)).astype(np.uint8)


@dataclass(frozen=True)
class Without(WrappingSource):
    """An image whose defects are no data, so that no statistic and no fill is made of them.

    ``marks`` are of its bands at the positions ``places``; other bands have none.
    """

    marks: Marks
    places: tuple[int, ...]

    @property
    def reads(self) -> tuple[Source, ...]:
        """The image and the marks."""
        return self.whole, self.marks

    def valid(self, box: Box) -> Array:
        """True where a pixel is data and no defect."""
        valid = np.array(self.whole.valid(box))
        valid[:, list(self.places)] &= ~self.marks.defects(box)
        return valid

    def select(self, bands: Sequence[int]) -> Source:  # type: ignore[override]
        """Some of the bands."""
        kept = [band for band in bands if band in self.places]
        if not kept:
            return self.whole.select(bands)
        marks = self.marks.select([self.places.index(band) for band in kept])
        places = tuple(i for i, band in enumerate(bands) if band in self.places)
        return Without(self.whole.select(bands), marks, places)
