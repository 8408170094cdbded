"""Results of products that show parts of coarse pixels: what is whole is checked, and what is not is no fault."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from sharpening.test_product import made

import geomedsr
from geomedsr.cli import main
from geomedsr.verification.verify import verify


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("2A", tmp_path_factory.mktemp("product"))


@pytest.fixture(scope="module")
def area(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ring = [[600013, 5100000], [600470, 5099980], [600000, 5099500], [600013, 5100000]]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    path = tmp_path_factory.mktemp("area") / "a.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring], "crs": crs}))
    return path


def broken(product: Path, result: Path) -> list[str]:
    return [check.promise for check in verify(product, result) if check.kept is False]


def changed(result: Path, band: int, row: int, col: int) -> None:
    with rasterio.open(result, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        values = file.read(band)
        values[row, col] += 40
        file.write(values, band)


def test_polygons_bound_each_band(product: Path, area: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    assert main(["sharpen", str(product), str(out), "--model", "regression", "--aoi", str(area), "--quiet"]) == 0
    assert broken(product, out) == []
    valid = geomedsr.open(out).valid.values[0]
    assert (valid == valid[:1]).all()  # one outline for bands of all resolutions
    assert 0.3 < valid.mean() < 0.7
    changed(out, 1, 7, 10)  # inside, B01
    assert broken(product, out) == ["B01, B09: the mean of each 6 × 6 block is the source's pixel"]
    changed(out, 2, 48, 46)  # outside, B02
    assert "no data outside the polygons" in broken(product, out)


def test_units_and_two_steps_and_polygons(product: Path, area: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    words = ["upscale", str(product), str(out), "--sharpen", "--bands", "B11,B02", "--physical", "--aoi", str(area)]
    assert main([*words, "--quiet"]) == 0
    result = geomedsr.open(out)
    assert (result.dtype, result.bands[0].units) == (np.float32, "reflectance")
    assert broken(product, out) == []


def test_a_window_may_cut_coarse_pixels(product: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    made_of = geomedsr.sharpen(geomedsr.open(product), model="regression")
    geomedsr.write(made_of.crop(geomedsr.Window(7, 5, 50, 41)), out)
    assert broken(product, out) == []
    changed(out, 1, 0, 0)  # of a pixel of 60 m that is shown in part: nobody can tell
    assert broken(product, out) == []
    changed(out, 1, 20, 20)
    assert broken(product, out) == ["B01, B09: the mean of each 6 × 6 block is the source's pixel"]
