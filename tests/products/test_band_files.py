"""Folders of one raster for each band."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.errors import InputError
from geomedsr_products.band_files import names_of
from products.stac_tree import numbers, raster


def folder(path: Path) -> Path:
    """Two bands of 10 m, one of 20 m, and classes."""
    for name, key, size in (("B04", "red", 10), ("B08", "nir", 10), ("B11", "swir16", 20), ("SCL", "scl", 20)):
        raster(path / f"S2_T32TQM_{name}.tif", numbers(key), size, nodata=0)
    (path / "readme.txt").write_text("four bands")
    return path


def test_its_files_are_the_bands_of_a_product(tmp_path: Path) -> None:
    scene = geomedsr.open(folder(tmp_path / "some"))
    assert scene.name == "some"
    assert scene.resolutions == (10.0, 20.0)
    assert [band.name for band in scene.bands] == ["B04", "B08"]
    assert [band.name for band in scene.at(20).bands] == ["B11"]
    np.testing.assert_array_equal(scene.data[0, 1], numbers("nir"))
    assert scene.bands[0].nodata == 0
    (classes,) = geomedsr.open(tmp_path / "some", bands=["SCL"]).bands
    assert classes.kind == "nearest"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a_B02.tif", "a_B03.tif"], ["B02", "B03"]),
        (["B2.TIF", "B3.TIF"], ["B2", "B3"]),
        (["T32_B02_10m.jp2", "T32_B03_10m.jp2"], ["B02", "B03"]),
        (["T32_B02_10m.jp2", "T32_B05_20m.jp2"], ["B02", "B05"]),
        (["T32_B02_10m.jp2", "T32_B02_20m.jp2"], ["10m", "20m"]),
        (["x_SR_B1.TIF", "x_QA_PIXEL.TIF"], ["SR_B1", "QA_PIXEL"]),
        (["a_1.tif", "a_1_b.tif"], ["1", "1_b"]),
        (["red.tif", "a.b-red.tif"], ["red", "a_b_red"]),
    ],
)
def test_names_are_what_differs(files: list[str], names: list[str]) -> None:
    assert names_of(files) == names


def test_files_of_several_bands_or_places_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "some")
    raster(path / "S2_T32TQM_TCI.tif", np.zeros((3, 24, 24), np.uint8), 10)
    with pytest.raises(InputError, match=r"whose S2_T32TQM_TCI\.tif holds 3 bands"):
        geomedsr.open(path)
    raster(path / "S2_T32TQM_TCI.tif", np.zeros((24, 24), np.uint8), 10, 32633)
    with pytest.raises(InputError, match="lie in different coordinate systems"):
        geomedsr.open(path)


def test_one_raster_or_other_data_beside_make_no_product(tmp_path: Path) -> None:
    path = folder(tmp_path / "some")
    (path / "1.dcm").write_bytes(b"x")
    with pytest.raises(InputError):
        geomedsr.open(path)
    raster(tmp_path / "one" / "a_B02.tif", numbers("red"), 10)
    with pytest.raises(InputError):
        geomedsr.open(tmp_path / "one")


def test_rasters_that_are_not_called_like_bands_make_no_product(tmp_path: Path) -> None:
    for name in ("berlin", "paris", "red"):
        raster(tmp_path / f"{name}.tif", numbers("red"), 10)
    with pytest.raises(InputError, match="directory"):
        geomedsr.open(tmp_path)
    raster(tmp_path / "blue.tif", numbers("nir"), 10)
    assert len(geomedsr.open(tmp_path).bands) == 4
