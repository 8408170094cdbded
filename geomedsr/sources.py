"""Sources: small picklable objects that read any box of a scene, from any process.

An adapter writes one for its files; the others here wrap arrays, windows and bands. ``read`` gives stored
values in their storage type and ``valid`` says which of them are data; both answer only for boxes inside
the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from geomedsr.geometry import Box, Window

Array = np.ndarray[Any, Any]


class Source(Protocol):
    """What a :class:`~geomedsr.scene.Scene` reads from.

    Contract: picklable; ``read`` and ``valid`` may be called from any thread or process, with a box inside ``shape``,
    and return arrays ``(frame, band, y, x)`` of it. The caller may not write to them. ``block`` is the
    ``(height, width)`` that is cheapest to read at once. One that has reduced copies may offer ``overview(pixels)``:
    values and validity of a copy of at most so many pixels, or None. One that is made of another has it as ``inner``,
    tells by ``touches(box)`` what of that it reads for a box, and gives by ``on(inner)`` the same made of another one
    (see :mod:`geomedsr.lazy`). One that knows values of "no data" may offer ``with_nodata(values)``: itself with
    others, one for each band. One that an alpha band may mask offers that band by ``veil()``, as its number and a
    source, and itself without the mask by ``opaque()``, both None where there is none. One whose reader keeps what it
    read offers ``cache(workers)``: the bytes that this takes beyond the usual while so many threads read.
    """

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""

    @property
    def block(self) -> tuple[int, int]:
        """Preferred ``(height, width)`` of a read."""

    def read(self, box: Box) -> Array:
        """Stored values of a box."""

    def valid(self, box: Box) -> Array:
        """True where a pixel is data: not nodata, not masked, finite."""

    def select(self, bands: Sequence[int]) -> Source:
        """A source of some of the bands, by position."""


def data_by_value(values: Array, nodata: Sequence[float | int | None]) -> Array:
    """Where values ``(…, band, y, x)`` are finite and not their band's nodata value."""
    valid: Array = np.isfinite(values)
    for band, value in enumerate(nodata):
        if value is not None:
            valid[..., band, :, :] &= values[..., band, :, :] != np.asarray(value).astype(values.dtype)
    return valid


@dataclass(frozen=True)
class ArraySource:
    """An array ``(frame, band, y, x)`` in memory (or a dask array) as a source.

    ``mask`` is True at valid pixels; those of a band's ``nodata`` value are not, either.
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

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> ArraySource:
        """The same with other values that mean "no data"."""
        return replace(self, nodata=nodata)


def _computed(part: Any) -> Any:
    """In this thread: it may be one of dask's own, whose others may all wait like it."""
    return part.compute(scheduler="synchronous") if hasattr(part, "dask") else part


@dataclass(frozen=True)
class WrappingSource:
    """A source that reads another one, the ``whole``: what it does not change is the other's."""

    whole: Source

    @property
    def inner(self) -> Source:
        """What it reads from."""
        return self.whole

    def touches(self, box: Box) -> Box:
        """What of that a box needs: the same."""
        return box

    def on(self, inner: Source) -> Self:
        """The same of another source."""
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


@dataclass(frozen=True)
class CroppedSource(WrappingSource):
    """A window of another source."""

    window: Window

    def touches(self, box: Box) -> Box:
        """What of that a box needs."""
        return box.shifted((0, self.window.row, self.window.col))

    def coarser(self, inner: Source, scale: int) -> CroppedSource:
        """The window that covers the same of a source so many times coarser."""
        return CroppedSource(inner, self.window.coarser(scale))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (*self.whole.shape[:2], self.window.height, self.window.width)

    @property
    def with_nodata(self) -> Callable[[tuple[float | int | None, ...]], CroppedSource] | None:
        """Other values that mean "no data", where the whole takes them."""
        own = getattr(self.whole, "with_nodata", None)
        return None if own is None else lambda nodata: CroppedSource(own(nodata), self.window)


def opaque(source: Source) -> Source | None:
    """A source without its mask by an alpha band; None where it has none."""
    if isinstance(source, WrappingSource):
        inner = opaque(source.whole)
        return None if inner is None else source.on(inner)
    free: Any = getattr(source, "opaque", None)
    found: Source | None = None if free is None else free()
    return found


def veil(source: Source) -> tuple[int, Source] | None:
    """The alpha band that masks a source: its number, and by itself."""
    if isinstance(source, CroppedSource):
        inner = veil(source.inner)
        return None if inner is None else (inner[0], source.on(inner[1]))
    ask: Any = getattr(source, "veil", None)
    found: tuple[int, Source] | None = None if ask is None else ask()
    return found


def cropping(source: Source) -> Window | None:
    """The window of a source that it was cropped to, in the pixels of the whole; None where nothing was left out."""
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
        """What of that a box needs."""
        return box.shifted((self.frame, 0, 0))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (1, *self.whole.shape[1:])


def sample_frames(source: Source) -> list[list[Array]]:
    """Valid values of each band of each frame, as :func:`sample` finds them in a scene of that frame alone."""
    from geomedsr.lazy import held, together  # which imports this module

    _, bands, height, width = source.shape
    windows = spread_windows(height, width)
    found: list[list[Array]] = []
    for group in together(source, range(source.shape[0])):
        about = slice(group[0], group[-1] + 1)
        parts: list[list[list[Array]]] = [[[] for _ in range(bands)] for _ in group]
        for read, box in held(source, [Box.of(about, window) for window in windows]):
            for i, of in zip(group, parts, strict=True):
                _collect(FrameSource(read, i), Box.of(0, box.window), of)
        for i, of in zip(group, parts, strict=True):
            alone = FrameSource(source, i)
            found.append([np.concatenate(p) if p else sample(alone.select([b]))[0] for b, p in enumerate(of)])
    return found


def sample(source: Source, pixels: int = 1 << 20, side: int = 128) -> list[Array]:
    """Valid values of each band, as 1-D arrays: all of them in a small scene, else of a spread of blocks.

    At most about ``pixels`` values are read per band, whatever the size of the scene; only for a band of which no
    block of the spread holds data are finer and finer spreads searched, to the first that does (or 64 × 64 blocks).
    """
    from geomedsr.lazy import held, together  # which imports this module

    _, bands, height, width = source.shape
    overview = getattr(source, "overview", None)
    if overview is not None and (small := overview(pixels)) is not None:
        values, valid = small
        return [values[:, b][valid[:, b]] for b in range(bands)]
    per_side = int((pixels // (side * side)) ** 0.5)
    windows = spread_windows(height, width, pixels, side)
    groups = together(source, _frames(source.shape[0]))
    found: list[list[Array]] = [[] for _ in range(bands)]
    while True:
        missing = [b for b, parts in enumerate(found) if not parts]
        part = source if len(missing) == bands else source.select(missing)
        for group in groups:
            for read, box in held(part, [Box.of(frame, window) for frame in group for window in windows]):
                _collect(read, box, [found[b] for b in missing])
        per_side *= 2
        if all(found) or height * width <= pixels or per_side > 64:
            return [np.concatenate(parts) if parts else np.empty(0, source.dtype) for parts in found]
        windows = _grid(height, width, side, per_side)


def spread_windows(height: int, width: int, pixels: int = 1 << 20, side: int = 128) -> list[Window]:
    """All of a small scene, else a spread of blocks, of about as many pixels."""
    if height * width <= pixels:
        return [Window(0, 0, width, height)]
    return _grid(height, width, side, int((pixels // (side * side)) ** 0.5))


def _grid(height: int, width: int, side: int, count: int) -> list[Window]:
    """``count × count`` blocks, spread evenly."""
    return [
        Window(col, row, min(side, width), min(side, height))
        for row in _spread(height, side, count)
        for col in _spread(width, side, count)
    ]


def _collect(source: Source, box: Box, found: list[list[Array]]) -> None:
    values, valid = source.read(box), source.valid(box)
    for band, parts in enumerate(found):
        inside = values[:, band][valid[:, band]]
        if inside.size:
            parts.append(inside)


def _spread(length: int, side: int, count: int) -> list[int]:
    last = max(length - side, 0)
    return sorted({round(last * i / max(count - 1, 1)) for i in range(count)})


def _frames(count: int, most: int = 16) -> range:
    return range(0, count, max(1, -(-count // most)))
