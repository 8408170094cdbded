"""Clouds and the like as no data: off unless asked for, on every grid, and in results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from products.safe import Safe


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-2A product with one pixel of 20 m each of the classes 3, 8, 9 and 10."""
    scl = np.full((60, 60), 4, np.uint8)
    scl[3, 5], scl[10, 10], scl[20, 31], scl[59, 59] = 3, 8, 9, 10
    return Safe(scl=scl).write(tmp_path_factory.mktemp("cloudy"))


def missing(scene: geomedsr.Scene, band: int = 0) -> set[tuple[int, int]]:
    """Rows and columns of pixels without data."""
    return {(int(y), int(x)) for y, x in np.argwhere(~scene.valid[0, band].values)}


def square(row: int, col: int, side: int) -> set[tuple[int, int]]:
    return {(row + y, col + x) for y in range(side) for x in range(side)}


def test_nothing_is_masked_unless_asked_for(cloudy: Path) -> None:
    for size in (10, 20, 60):
        assert missing(geomedsr.open(cloudy, resolution=size)) == set()


def test_clouds_of_classes_are_no_data_on_every_grid(cloudy: Path) -> None:
    plain, masked = geomedsr.open(cloudy), geomedsr.open(cloudy, mask="clouds")
    fine = square(20, 20, 2) | square(40, 62, 2) | square(118, 118, 2)
    assert missing(masked) == fine
    assert missing(masked.at(20)) == {(10, 10), (20, 31), (59, 59)}
    assert missing(masked.at(60)) == {(3, 3), (6, 10), (19, 19)}
    kept = ~np.isin(np.arange(120 * 120), [y * 120 + x for y, x in fine]).reshape(120, 120)
    assert (masked.data.values[0, :, kept] == plain.data.values[0, :, kept]).all()
    assert (masked.data.values[0, :, ~kept] == 0).all()


def test_classes_are_not_masked_by_themselves(cloudy: Path) -> None:
    masked = geomedsr.open(cloudy, mask="clouds", resolution=20)
    assert missing(masked, 6) == set()
    assert masked.data.values[0, 6, 20, 31] == 9


def test_several_masks_together(cloudy: Path) -> None:
    masked = geomedsr.open(cloudy, mask="clouds, shadows", resolution=20)
    assert missing(masked) == {(3, 5), (10, 10), (20, 31), (59, 59)}
    assert masked.provenance["GEOMEDSR_MASK"] == "clouds,shadows"
    with pytest.raises(
        InputError, match=r"the mask 'snow' for S2A.*expected one that it has: clouds, shadows, saturated"
    ):
        geomedsr.open(cloudy, mask="snow")


def test_windows_of_a_masked_scene_equal_the_whole(cloudy: Path) -> None:
    source = geomedsr.open(cloudy, mask="clouds").source
    whole = source.valid(Box.whole(source.shape))
    for box in Box.whole(source.shape).tiles((1, 37, 41)):
        assert (source.valid(box) == whole[box.index]).all()
        assert (source.read(box) == source.read(Box.whole(source.shape))[box.index]).all()


def test_clouds_of_a_raster_mask(top: Path) -> None:
    masked = geomedsr.open(top, mask="clouds")
    assert missing(masked) == square(12, 18, 6) | square(30, 30, 6)  # opaque and cirrus, no snow
    assert missing(masked.at(60)) == {(2, 3), (5, 5)}


def test_clouds_of_polygons(old: Path) -> None:
    masked = geomedsr.open(old, mask="clouds")
    assert missing(masked) == {(y, x) for y in range(12, 24) for x in range(30, 48)}
    assert missing(masked.at(60)) == {(y, x) for y in range(2, 4) for x in range(5, 8)}


def test_saturated_pixels_are_data_until_they_are_masked(tmp_path: Path) -> None:
    red = np.full((120, 120), 2000, np.uint16)
    red[7, 9] = 65535
    path = Safe(bands={"B04": red}, bits=None).write(tmp_path)
    plain = geomedsr.open(path)
    assert missing(plain) == set()
    assert plain.data.values[0, 2, 7, 9] == 65535
    assert missing(geomedsr.open(path, mask="saturated")) == {(7, 9)}


def test_a_result_keeps_what_was_masked(cloudy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(cloudy, mask="clouds")), out)
    assert missing(geomedsr.open(out)) == square(80, 80, 8) | square(160, 248, 8) | square(472, 472, 8)
    assert all(check.kept is not False for check in geomedsr.verify(cloudy, out))


def test_a_mask_needs_a_product(tmp_path: Path) -> None:
    geomedsr.write(geomedsr.Scene.from_array(np.ones((8, 8), np.uint8)), tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"--mask for .*a\.tif, expected a satellite product"):
        geomedsr.open(tmp_path / "a.tif", mask="clouds")
