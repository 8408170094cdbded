"""Sources: small picklable objects that read any box of a scene, from any process.

Each adapter has one for its files; the ones here wrap arrays, windows and frames. ``read`` returns stored
values in their storage type and ``valid`` tells which of them are data; both accept only boxes inside
the scene.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from geomedsr.geometry import Box, Window
from geomedsr.jpeg.coded import Streams
from geomedsr.scene.masking import Masking

Array = np.ndarray[Any, Any]


class Source(ABC):
    """What a :class:`~geomedsr.scene.scene.Scene` reads from; sources of other packages inherit from it.

    Required are ``shape``, ``dtype``, ``block`` (fields or properties), ``read``, ``valid`` and ``select``. The
    defaults of the rest fit most sources: not derived from another source, no mask but for values that are not finite,
    no reduced copies.

    Contract: picklable; ``read`` and ``valid`` may be called from any thread or process, with a box inside ``shape``,
    and return arrays ``(frame, band, y, x)`` for it. The caller may not write to them. A source that is derived from
    another one (``inner``) reads the box ``touches`` from it, and can be rebuilt on a different one (``on``); see
    :mod:`geomedsr.scene.lazy`.
    """

    if TYPE_CHECKING:  # at run time a dataclass would take these properties for the defaults of its fields

        @property
        @abstractmethod
        def shape(self) -> tuple[int, int, int, int]:
            """``(frame, band, y, x)``."""

        @property
        @abstractmethod
        def dtype(self) -> np.dtype[Any]:
            """The storage type."""

        @property
        @abstractmethod
        def block(self) -> tuple[int, int]:
            """The ``(height, width)`` that is cheapest to read at once."""

    @abstractmethod
    def read(self, box: Box) -> Array:
        """Stored values of a box."""

    @abstractmethod
    def valid(self, box: Box) -> Array:
        """True where a pixel is data: not nodata, not masked, finite."""

    @abstractmethod
    def select(self, bands: Sequence[int]) -> Source:
        """A source of some of the bands, by position."""

    @property
    def masking(self) -> tuple[Masking, ...]:
        """For each band, how its pixels are marked as no data."""
        return (Masking.NAN if self.dtype.kind == "f" else Masking.NONE,) * self.shape[1]

    @property
    def inner(self) -> Source | None:
        """The source that it is derived from; None if it reads files or arrays."""
        return None

    @property
    def depth(self) -> int:
        """How many frames are best read together: where a model makes new slices, all slices from one input frame."""
        return 1 if self.inner is None else self.inner.depth

    def touches(self, box: Box) -> Box:
        """The box of its inner source that it reads for one of its own boxes."""
        return box

    def on(self, inner: Source) -> Source:
        """The same source derived from another ``inner``; ``inner`` itself if it is not derived from any."""
        return inner

    def coarser(self, inner: Source, scale: int) -> Source | None:
        """The same part of ``inner``, a source ``scale`` times coarser than its own; None if it is not a part."""
        return None

    def streams(self) -> Streams | None:
        """The JPEG streams that its values are decoded from, if they are, and all components are its bands."""
        return None

    def overview(self, pixels: int) -> tuple[Array, Array] | None:
        """Values and validity of a reduced copy of at most ``pixels`` pixels; None if there is no suitable one."""
        return None

    @property
    def reads(self) -> tuple[Source, ...]:
        """All sources that it reads: its inner one, and others."""
        return () if self.inner is None else (self.inner,)

    def cached(self, workers: int) -> Mapping[Cache, int]:
        """Bytes of its own pixels in caches while ``workers`` threads read, beyond what a cache holds anyway."""
        return {}

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """The same source with other nodata values, one for each band; None if it does not handle nodata values."""
        return None

    def veil(self) -> tuple[int, Source] | None:
        """The alpha band that masks it: its number, and the band as a source; None without one."""
        return None

    def opaque(self) -> Source | None:
        """The same source without the mask by an alpha band; None without an alpha band."""
        return None


def data_by_value(values: Array, nodata: Sequence[float | int | None]) -> Array:
    """Where values ``(…, band, y, x)`` are finite and not their band's nodata value."""
    valid: Array = np.isfinite(values)
    for band, value in enumerate(nodata):
        if value is not None:
            valid[..., band, :, :] &= values[..., band, :, :] != np.asarray(value).astype(values.dtype)
    return valid


def by_value(dtype: np.dtype[Any], nodata: Sequence[float | int | None]) -> tuple[Masking, ...]:
    """How values of a type mark pixels as no data, given each band's nodata value."""
    finite = Masking.NAN if dtype.kind == "f" else Masking.NONE
    return tuple(finite if value is None else finite | Masking.VALUE for value in nodata)


class Cache(NamedTuple):
    """A cache of a process, which its sources share; ``most`` are the bytes that it holds of all of them together."""

    name: str
    most: int


@dataclass(frozen=True)
class ArraySource(Source):
    """An array ``(frame, band, y, x)`` in memory (or a dask array) as a source.

    ``mask`` is True at valid pixels. Pixels with their band's ``nodata`` value are not valid, either.
    """

    values: Any
    mask: Any = None
    nodata: tuple[float | int | None, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.values.shape
        return frames, bands, height, width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        dtype: np.dtype[Any] = np.dtype(self.values.dtype)
        return dtype

    @property
    def block(self) -> tuple[int, int]:
        """Preferred ``(height, width)`` of a read."""
        return 512, 512

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return np.asarray(_computed(self.values[box.index]))

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        valid = np.asarray(True)
        if self.mask is not None:
            valid = np.asarray(_computed(self.mask[box.index]), dtype=bool)
        if self.dtype.kind == "f" or any(value is not None for value in self.nodata):
            valid = valid & data_by_value(self.read(box), self.nodata)
        count, height, width = box.shape
        return np.broadcast_to(valid, (count, self.shape[1], height, width))

    def select(self, bands: Sequence[int]) -> ArraySource:
        """Some of the bands."""
        mask = None if self.mask is None else self.mask[:, list(bands)]
        return ArraySource(self.values[:, list(bands)], mask, tuple(self.nodata[b] for b in bands if self.nodata))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By value, and by the mask: one for all bands if it is visibly broadcast over them."""
        spread = isinstance(self.mask, np.ndarray) and (self.mask.shape[1] == 1 or not self.mask.strides[1])
        beside = Masking.NONE if self.mask is None else Masking.MASK if spread else Masking.OWN
        return tuple(way | beside for way in by_value(self.dtype, self.nodata or (None,) * self.shape[1]))

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> ArraySource:
        """The same source with other nodata values."""
        return replace(self, nodata=nodata)


def _computed(part: Any) -> Any:
    """Compute in this thread: it may be one of dask's own, and all others of these may be waiting, too."""
    return part.compute(scheduler="synchronous") if hasattr(part, "dask") else part


@dataclass(frozen=True)
class WrappingSource(Source):
    """A source that reads another one, the ``whole``, and takes over everything that it does not change."""

    whole: Source

    @property
    def inner(self) -> Source:
        """The source that it reads from."""
        return self.whole

    def on(self, inner: Source) -> Self:
        """The same on another source."""
        return replace(self, whole=inner)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return self.whole.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.whole.dtype

    @property
    def block(self) -> tuple[int, int]:
        """Preferred ``(height, width)`` of a read."""
        return self.whole.block

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return self.whole.read(self.touches(box))

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return self.whole.valid(self.touches(box))

    def select(self, bands: Sequence[int]) -> Self:
        """Some of the bands."""
        return replace(self, whole=self.whole.select(bands))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As in the whole source."""
        return self.whole.masking

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """The same with other nodata values, if the whole source accepts them."""
        inner = self.whole.with_nodata(nodata)
        return None if inner is None else self.on(inner)

    def opaque(self) -> Source | None:
        """The same without the whole source's mask by an alpha band."""
        inner = self.whole.opaque()
        return None if inner is None else self.on(inner)


@dataclass(frozen=True)
class CroppedSource(WrappingSource):
    """A window of another source."""

    window: Window

    def touches(self, box: Box) -> Box:
        """The box of the whole source that is read for one of its own boxes."""
        return box.shifted((0, self.window.row, self.window.col))

    def coarser(self, inner: Source, scale: int) -> CroppedSource:
        """The window that covers the same area of ``inner``, a source ``scale`` times coarser."""
        return CroppedSource(inner, self.window.coarser(scale))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (*self.whole.shape[:2], self.window.height, self.window.width)

    def veil(self) -> tuple[int, Source] | None:
        """The same window of the whole source's alpha band."""
        found = self.whole.veil()
        return None if found is None else (found[0], self.on(found[1]))


def cropping(source: Source) -> Window | None:
    """The window that a source was cropped to, in pixels of the whole source; None if it is not cropped."""
    window, inner = Window(0, 0, source.shape[3], source.shape[2]), source
    while isinstance(inner, WrappingSource):
        if isinstance(inner, CroppedSource):
            window = window.shifted(inner.window.col, inner.window.row)
        elif inner.whole.shape[2:] != inner.shape[2:]:
            break
        inner = inner.whole
    return None if (window.height, window.width) == inner.shape[2:] else window


@dataclass(frozen=True)
class FrameSource(WrappingSource):
    """One frame of another source."""

    frame: int

    def touches(self, box: Box) -> Box:
        """The box of the whole source that is read for one of its own boxes."""
        return box.shifted((self.frame, 0, 0))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (1, *self.whole.shape[1:])
