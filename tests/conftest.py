"""What the tests share: a tiny model with random weights, and rasters written straight with rasterio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import settings
from making import BFLOAT16, FLOAT32, pixels, recipe_file, save_tiny, texture, tiny, tiny_path, tiny_x2
from rasterio.crs import CRS

__all__ = ["BFLOAT16", "FLOAT32", "pixels", "recipe_file", "save_tiny", "texture", "tiny", "tiny_path", "tiny_x2"]

settings.register_profile("geomedsr", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("geomedsr")

UTM = CRS.from_epsg(32618)
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
SAMPLE = Path(__file__).parents[1] / "examples" / "sentinel2_coast"


@pytest.fixture
def raster(tmp_path: Path) -> Callable[..., Path]:
    """Write an array ``(band, y, x)`` as a raster; ``edit`` gets the data set before its pixels are written."""

    def make(
        array: np.ndarray, name: str = "in.tif", edit: Callable[[Any], None] | None = None, **profile: Any
    ) -> Path:
        path = tmp_path / name
        defaults = {
            "driver": "GTiff",
            "count": array.shape[0],
            "height": array.shape[1],
            "width": array.shape[2],
            "dtype": array.dtype,
            "crs": UTM,
            "transform": Affine(10, 0, 435730, 0, -10, 4179460),
        }
        with rasterio.open(path, "w", **(defaults | profile)) as dataset:
            if edit:
                edit(dataset)
            dataset.write(array)
        return path

    return make


def block_sums(array: np.ndarray, scale: int) -> np.ndarray:
    """Exact sums of ``s × s`` blocks over the last two axes, as Python integers."""
    *lead, height, width = array.shape
    blocks = array.astype(object).reshape(*lead, height // scale, scale, width // scale, scale)
    return blocks.sum(axis=(-3, -1))
