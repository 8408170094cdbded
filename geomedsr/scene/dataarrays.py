"""Scenes as lazy DataArrays: each block is read when it is computed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from geomedsr.geometry import Box
from geomedsr.scene import lazy
from geomedsr.scene.sources import Array, Source

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene

#: How a block of a source is read.
Block = Callable[[Source, Box], Array]


def lazily(scene: Scene, block: Block, dtype: np.dtype[Any]) -> xr.DataArray:
    """A lazy array of what ``block`` reads: axes ``(frame, band, y, x)``, coordinates at pixel centres.

    Its attributes hold the CRS as WKT.
    """
    frames, bands, height, width = scene.shape
    side_y, side_x = scene.source.block
    chunks = (_split(frames, scene.source.depth), (bands,), _split(height, side_y), _split(width, side_x))
    if lazy.root(scene.source) is not None:
        array = lazy.lazy_array(scene.source, block, dtype, chunks)
    else:
        # The source is bound, not passed as an argument: dask would search an argument for arrays.
        array = da.map_blocks(
            partial(_at, block, scene.source), chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype)
        )
    coords: dict[str, Any] = {"band": [b.name for b in scene.bands]}
    affine = scene.grid.affine
    if affine is not None and affine.b == 0 and affine.d == 0:
        coords["x"] = affine.c + affine.a * (np.arange(width) + 0.5)
        coords["y"] = affine.f + affine.e * (np.arange(height) + 0.5)
    attrs = {"crs": scene.grid.crs} if scene.grid.crs else {}
    if scene.frames is not None:
        coords["frame"] = ("frame", scene.frames.places, dict(scene.frames.attrs))
    if scene.grid.planes:  # in mm, along the first frame's axes
        first = scene.grid.planes[0]
        between_rows, between_columns = first.spacing
        lines = {
            "x": np.dot(first.position, first.along_row) + between_columns * np.arange(width),
            "y": np.dot(first.position, first.along_column) + between_rows * np.arange(height),
            "frame": [float(np.dot(p.position, first.normal)) for p in scene.grid.planes],
        }
        coords |= {axis: (axis, places, {"units": "mm"}) for axis, places in lines.items()}
    return xr.DataArray(array, dims=("frame", "band", "y", "x"), coords=coords, attrs=attrs, name=scene.name)


def _split(length: int, side: int) -> tuple[int, ...]:
    whole, rest = divmod(length, side)
    return (side,) * whole + ((rest,) if rest else ())


def _place(block_info: Any) -> Box:
    (f0, f1), _, (y0, y1), (x0, x1) = block_info[None]["array-location"]
    return Box((f0, y0, x0), (f1, y1, x1))


def _at(block: Any, source: Source, block_info: Any = None) -> Array:
    made: Array = block(source, _place(block_info))
    return made


def stored(source: Source, box: Box) -> Array:
    """Stored values."""
    return source.read(box)


def validity(source: Source, box: Box) -> Array:
    """True where a pixel is data."""
    return source.valid(box)
