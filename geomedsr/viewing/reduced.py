"""Small pictures of large scenes: pixels are reduced while they are read, and a scene is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.inference.output import OfPrediction
from geomedsr.inference.prediction import Prediction
from geomedsr.scene.lazy import read_at_once
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, ArraySource, Source

#: From scenes without overviews, at most a square of this side is read, from their middle.
_MOST = 6144

#: Rows and columns read at once.
_PIECE = 1024


def narrowed(scene: Scene, bands: Sequence[int]) -> tuple[Scene, list[int]]:
    """A scene with as few bands as can be read separately, and the positions in it of the requested bands."""
    try:
        return scene.select([b + 1 for b in bands]), list(range(len(bands)))
    except InputError:  # the bands of a joint model's result cannot be separated
        return scene, list(bands)


@dataclass(frozen=True)
class Small:
    """Physical values and validity ``(band, y, x)`` of a ``window`` of a scene, reduced to fewer pixels."""

    values: Array
    valid: Array
    window: Window


def thumbnail(scene: Scene, bands: Sequence[int], frame: int, side: int, *, compute: bool = True) -> Small | None:
    """Some bands of a frame, reduced to at most ``side`` pixels a side by block means (for classes: the first pixel).

    For a result that is not computed yet, its input is shown if it has enough pixels, since the result's block means
    equal the input. Otherwise the result is computed, unless ``compute`` is False; arrays that are not in memory are
    then not read, either. The whole scene is shown, or the middle of a very large scene without overviews.

    Raises:
        InputError: the source cannot be read.
    """
    picked, places = narrowed(scene, bands)
    _, _, height, width = scene.shape
    factor = -(-max(height, width) // side)
    source, nearest = picked.source, [b.kind == "nearest" for b in picked.bands]
    if not compute and (unread(source) or isinstance(source, OfPrediction)):
        return None
    source, scale = _input(source, factor, compute)
    values, valid, window = _read(source, frame, -(-max(source.shape[2:]) // side), nearest)
    slope, offset = (table[frame if len(table) > 1 else 0, :, None, None] for table in picked.slopes_and_offsets)
    physical = values * slope + offset
    return Small(physical[places], (valid & np.isfinite(physical))[places], window.scaled(scale))


def unread(source: Source) -> bool:
    """Whether a source is based on an array that is not computed yet, such as dask's."""
    while source.inner is not None:
        source = source.inner
    return isinstance(source, ArraySource) and not isinstance(source.values, np.ndarray)


def _input(source: Source, factor: int, compute: bool) -> tuple[Source, int]:
    """The input of a result that is not computed yet, and how many times finer the result is; else the source and 1."""
    if isinstance(source, Prediction):
        known = source.factors.frame == 1 < source.factors.y <= (factor if compute else 99)
        return (source.scene.source, source.factors.y) if known else (source, 1)
    if source.inner is not None:
        inner, scale = _input(source.inner, factor, compute)
        if scale > 1 and (part := source.coarser(inner, scale)) is not None:
            return part, scale
    return source, 1


def _read(source: Source, frame: int, factor: int, nearest: Sequence[bool]) -> tuple[Array, Array, Window]:
    """Stored values as float64 and validity, reduced by ``factor``, and the window that they show."""
    _, _, height, width = source.shape
    window = Window(0, 0, width, height)
    if factor > 1 and source.shape[0] == 1:
        found = source.overview((2 * -(-max(height, width) // factor)) ** 2)
        if found is not None:
            values, valid = found[0][0], found[1][0]
            again = -(-max(values.shape[1:]) // -(-max(height, width) // factor))
            return *_shrunk(values, valid, again, nearest), window
    if factor > 1 and height * width > _MOST**2:
        rows, cols = min(height, _MOST), min(width, _MOST)
        window = Window((width - cols) // 2, (height - rows) // 2, cols, rows)
        factor = max(1, -(-factor * max(rows, cols) // max(height, width)))
    step = max(_PIECE // factor, 1) * factor
    lines = []
    for row in range(0, window.height, step):
        places = []
        for col in range(0, window.width, step):
            part = Window(col, row, min(step, window.width - col), min(step, window.height - row))
            places.append(Box.of(frame, part.shifted(window.col, window.row)))
        read = read_at_once(source, places)
        pieces = [_shrunk(part.read(box)[0], part.valid(box)[0], factor, nearest) for part, box in read]
        lines.append([np.concatenate(parts, axis=2) for parts in zip(*pieces, strict=True)])
    values, valid = (np.concatenate(parts, axis=1) for parts in zip(*lines, strict=True))
    return values, valid, window


def _shrunk(values: Array, valid: Array, factor: int, nearest: Sequence[bool]) -> tuple[Array, Array]:
    """The mean of each block's valid pixels; for classes, the first pixel."""
    if factor == 1:
        return np.where(valid, values, 0).astype(np.float64), np.array(valid)
    rows, cols = (np.arange(0, n, factor) for n in values.shape[1:])

    def summed(array: Array) -> Array:
        return np.asarray(np.add.reduceat(np.add.reduceat(array, rows, axis=1), cols, axis=2))

    count = summed(valid.astype(np.float64))
    mean = summed(np.where(valid, values, 0).astype(np.float64)) / np.maximum(count, 1)
    some = count > 0
    for band, keep in enumerate(nearest):
        if keep:
            mean[band], some[band] = values[band, ::factor, ::factor], valid[band, ::factor, ::factor]
    return mean, some
