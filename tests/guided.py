"""Coarse scenes and guides that lie on each other in known ways."""

from __future__ import annotations

import numpy as np
from affine import Affine
from conftest import texture

from geomedsr import Band, Grid, Scene
from geomedsr.geometry.crs import wkt_of

CRS = wkt_of("EPSG:32618")


def placed(
    array: np.ndarray,
    size: float,
    x: float = 0.0,
    y: float = 0.0,
    names: str = "",
    nodata: int | None = None,
    **more: object,
) -> Scene:
    """An array ``(band, y, x)`` whose pixels are so large, from a corner on; y counts down."""
    bands = names.split() or [f"b{i}" for i in range(len(array))]
    grid = Grid(array.shape[1:], affine=Affine(size, 0, x, 0, -size, -y), crs=CRS)
    return Scene.from_array(
        array, grid=grid, bands=[Band(name, nodata=nodata, description=name) for name in bands], **more
    )


def fine_and_coarse(factor: int = 2, bands: int = 3, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A fine array, and its block means, whole numbers."""
    fine = texture(bands, side * factor, side * factor)
    blocks = fine.reshape(bands, side, factor, side, factor).mean((2, 4))
    return fine, np.rint(blocks).astype(np.uint16)
