"""Samples of a source's values, from blocks spread over it."""

from __future__ import annotations

import numpy as np

from geomedsr.geometry import Box, Window
from geomedsr.scene.lazy import frames_together, read_at_once
from geomedsr.scene.sources import Array, FrameSource, Source


def sample_frames(source: Source) -> list[list[Array]]:
    """For each frame, the valid values of each band, as :func:`sample` returns them for that frame alone."""
    _, bands, height, width = source.shape
    windows = spread_windows(height, width)
    found: list[list[Array]] = []
    for group in frames_together(source, range(source.shape[0])):
        about = slice(group[0], group[-1] + 1)
        parts: list[list[list[Array]]] = [[[] for _ in range(bands)] for _ in group]
        for read, box in read_at_once(source, [Box.of(about, window) for window in windows]):
            for i, of in zip(group, parts, strict=True):
                _collect(FrameSource(read, i), Box.of(0, box.window), of)
        for i, of in zip(group, parts, strict=True):
            alone = FrameSource(source, i)
            found.append([np.concatenate(p) if p else sample(alone.select([b]))[0] for b, p in enumerate(of)])
    return found


def sample(source: Source, pixels: int = 1 << 20, side: int = 128) -> list[Array]:
    """Valid values of each band, as 1-D arrays: all of a small scene, else blocks spread over it.

    At most about ``pixels`` values are read per band, whatever the size of the scene. If no block holds data of some
    band, more and more blocks are read for that band, until one does or 64 × 64 blocks have been tried.
    """
    _, bands, height, width = source.shape
    if (small := source.overview(pixels)) is not None:
        values, valid = small
        return [values[:, b][valid[:, b]] for b in range(bands)]
    per_side = int((pixels // (side * side)) ** 0.5)
    windows = spread_windows(height, width, pixels, side)
    groups = frames_together(source, _frames(source.shape[0]))
    found: list[list[Array]] = [[] for _ in range(bands)]
    while True:
        missing = [b for b, parts in enumerate(found) if not parts]
        part = source if len(missing) == bands else source.select(missing)
        for group in groups:
            for read, box in read_at_once(part, [Box.of(frame, window) for frame in group for window in windows]):
                _collect(read, box, [found[b] for b in missing])
        per_side *= 2
        if all(found) or height * width <= pixels or per_side > 64:
            return [np.concatenate(parts) if parts else np.empty(0, source.dtype) for parts in found]
        windows = _grid(height, width, side, per_side)


def spread_windows(height: int, width: int, pixels: int = 1 << 20, side: int = 128) -> list[Window]:
    """All of a small scene, else blocks spread over it, about ``pixels`` in all."""
    if height * width <= pixels:
        return [Window(0, 0, width, height)]
    return _grid(height, width, side, int((pixels // (side * side)) ** 0.5))


def _grid(height: int, width: int, side: int, count: int) -> list[Window]:
    """``count × count`` evenly spread blocks."""
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
