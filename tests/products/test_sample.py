"""The product that is shipped as a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import geomedsr
from geomedsr.geometry import Box

SAMPLE = Path(__file__).parents[2] / "examples" / "sentinel2_product" / "coast.zip"


def test_it_is_a_small_product_of_ten_bands_that_show_one_place() -> None:
    assert SAMPLE.stat().st_size < 1 << 20
    product = geomedsr.open(SAMPLE)
    assert product.resolutions == (10.0, 20.0)
    coarse = product.at(20)
    assert product.grid == coarse.grid.scaled(2)
    names = [band.name for scene in (product, coarse) for band in scene.bands]
    assert names == ["B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12"]
    assert product.tags[""]["TILE_ID"] == "18SVG"
    assert "ACQUISITION_TIME" not in product.tags[""]  # which its source does not say
    near, same = (
        scene.select([name]).source.read(Box.whole(scene.select([name]).shape))[0, 0].astype(float)
        for scene, name in ((product, "B08"), (coarse, "B8A"))
    )
    blocks = near.reshape(132, 2, 240, 2).mean((1, 3))
    assert np.corrcoef(blocks.ravel(), same.ravel())[0, 1] > 0.98  # the two see nearly the same light
