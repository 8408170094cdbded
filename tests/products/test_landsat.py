"""Landsat 8 and 9 products: every way to name one, what the numbers mean, and what is not as its grid says."""

from __future__ import annotations

import json
import math
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, SceneWarning
from products.landsat_tree import LEFT, TOP, Landsat, as_text, tarred


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-2 product."""
    return Landsat().write(tmp_path_factory.mktemp("surface"))


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-1 product."""
    return Landsat("L1TP", "LANDSAT_8").write(tmp_path_factory.mktemp("top"))


def names(scene: geomedsr.Scene) -> list[str]:
    return [band.name for band in scene.bands]


@pytest.mark.parametrize("way", ["folder", "txt", "json", "json alone", "tar", "in a tar"])
def test_every_way_to_name_one_gives_the_same(way: str, surface: Path, tmp_path: Path) -> None:
    path = str(surface)
    if way in ("txt", "json"):
        path = str(surface / f"{surface.name}_MTL.{way}")
    elif way == "json alone":
        path = str(Landsat().write(tmp_path, ("json",)))
    elif way != "folder":
        pack = tarred(surface, tmp_path / f"{surface.name}.tar")
        path = str(pack) if way == "tar" else f"/vsitar/{pack}/{surface.name}_MTL.txt"
    scene = geomedsr.open(path)
    assert scene.name == Landsat().name
    assert scene.resolutions == (30.0, 100.0)
    assert names(scene) == [f"SR_B{i}" for i in range(1, 8)]
    assert scene.dtype == np.uint16
    assert scene.grid.affine is not None
    assert scene.grid.affine[:6] == (30, 0, LEFT, 0, -30, TOP)
    for i, band in enumerate(scene.bands):
        assert (band.scale, band.offset, band.units, band.nodata) == (2.75e-5, -0.2, "reflectance", 0)
        np.testing.assert_array_equal(scene.data[0, i], Landsat().numbers(band.name))  # stored numbers unchanged
    assert not scene.valid[0, 0, 0, 0]
    assert scene.tags[""] == {
        "PRODUCT_ID": Landsat().name,
        "ACQUISITION_TIME": "2024-05-06T15:40:29.1234560Z",
        "PLATFORM": "LANDSAT_9",
        "INSTRUMENT": "OLI_TIRS",
        "PROCESSING_LEVEL": "L2SP",
        "PROCESSING_BASELINE": "LPGS_16.4.0",
        "COLLECTION_CATEGORY": "T1",
        "TILE_ID": "015033",
        "SUN_AZIMUTH": "134.10932851",
        "SUN_ELEVATION": "63.86310443",
        "CLOUD_COVER": "4.29",
    }


def test_surface_temperature_is_in_kelvin_and_not_of_30_m(surface: Path) -> None:
    thermal = geomedsr.open(surface).at(100)
    (band,) = thermal.bands
    assert (band.name, band.role, band.units) == ("ST_B10", "lwir11", "K")
    assert band.tags[""]["DETECTOR_RESOLUTION"] == "100 m, resampled to the grid of 30 m"
    kelvin = Landsat().numbers("ST_B10") * 0.00341802 + 149.0
    np.testing.assert_allclose(thermal.physical()[0, 0].values[1:], kelvin[1:], rtol=1e-12)
    assert thermal.grid.affine is not None
    assert thermal.grid.affine.a == 30


def test_thermal_bands_of_level_1_have_radiance_and_what_makes_kelvin_of_it(top: Path) -> None:
    thermal = geomedsr.open(top).at(100)
    assert names(thermal) == ["B10", "B11"]
    band = thermal.bands[0]
    assert (band.scale, band.offset, band.units) == (0.00038, 0.1, "W/(m2 sr um)")
    tags = band.tags[""]
    assert float(tags["RADIANCE_MULT"]) == band.scale
    k1, k2 = float(tags["K1_CONSTANT"]), float(tags["K2_CONSTANT"])
    assert (k1, k2) == (799.0284, 1329.2405)
    assert 250 < k2 / math.log(k1 / (23000 * band.scale + band.offset) + 1) < 320
    assert thermal.bands[1].tags[""]["K1_CONSTANT"] == "475.6581"


def test_reflectance_of_level_1_has_its_own_scale(top: Path) -> None:
    scene = geomedsr.open(top, resolution=30)
    assert names(scene) == ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9"]
    assert {(b.scale, b.offset, b.units) for b in scene.bands} == {(2e-5, -0.1, "reflectance")}
    assert scene.bands[3].tags[""]["RADIANCE_MULT"] == "0.003125"
    assert scene.bands[3].tags["IMAGERY"] == {"CENTRAL_WAVELENGTH_UM": "0.6546", "FWHM_UM": "0.037"}
    assert [b.role for b in scene.bands[3:6]] == ["red", "nir08", "swir16"]


def test_the_panchromatic_band_is_a_part_of_its_own_half_a_pixel_inside(top: Path) -> None:
    scene = geomedsr.open(top)
    assert scene.resolutions == (15.0, 30.0, 100.0)
    assert names(scene) == ["B8"]
    assert scene.bands[0].role == "pan"
    coarse = scene.at(30)
    height, width = coarse.grid.shape
    assert scene.grid.shape == (2 * height - 1, 2 * width - 1)
    assert scene.grid.affine is not None
    assert coarse.grid.affine is not None
    assert scene.grid.affine @ (0.5, 0.5) == coarse.grid.affine @ (0.5, 0.5)
    assert scene.tags[""]["PANCHROMATIC_GRID"].startswith("2N - 1 pixels: centres on those of the 30 m grid")
    np.testing.assert_array_equal(scene.data[0, 0], Landsat("L1TP", "LANDSAT_8").numbers("B8"))


def test_flags_come_when_they_are_named(surface: Path, top: Path) -> None:
    scene = geomedsr.open(surface, bands=["SR_B4", "QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL"])
    assert [band.kind for band in scene.bands] == ["continuous", "nearest", "nearest", "nearest"]
    pixel, radsat, aerosol = (band.tags[""] for band in scene.bands[1:])
    assert dict(zip(pixel["flag_masks"].split(","), pixel["flag_meanings"].split(), strict=True))["8"] == "cloud"
    assert dict(zip(radsat["flag_masks"].split(","), radsat["flag_meanings"].split(), strict=True))["256"] == (
        "band_9_saturated"
    )
    assert aerosol["flag_masks"].split(",")[-1] == "192"
    np.testing.assert_array_equal(scene.data[0, 1], Landsat().numbers("QA_PIXEL"))
    assert names(geomedsr.open(top, bands=["qa_pixel"])) == ["QA_PIXEL"]


def test_what_surface_temperature_was_made_of_comes_when_it_is_named(surface: Path) -> None:
    scene = geomedsr.open(surface, bands=["ST_TRAD"])
    band = scene.bands[0]
    assert (scene.dtype, band.scale, band.units, band.nodata) == (np.int16, 0.001, "W/(m2 sr um)", -9999)
    np.testing.assert_array_equal(scene.data[0, 0], Landsat().numbers("ST_TRAD"))


def test_clouds_may_be_no_data(surface: Path, top: Path) -> None:
    scene = geomedsr.open(surface, mask="clouds")
    lost = np.argwhere(~scene.valid[0, 0].values)
    assert lost.tolist() == [[0, 0], [5, 6]]
    fine = geomedsr.open(top, mask="clouds")
    # The pixels of 15 m that the pixel (5, 6) of 30 m overlaps: half of one more on either side.
    rows, columns = np.nonzero(~fine.valid[0, 0].values)
    marks = {(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)} - {(0, 0)}
    assert marks == {(r, c) for r in (9, 10, 11) for c in (11, 12, 13)}
    saturated = geomedsr.open(surface, mask="saturated").valid[0, 0].values
    assert np.argwhere(~saturated).tolist() == [[0, 0], [3, 4]]


def test_models_find_the_colours(surface: Path, top: Path) -> None:
    from geomedsr.scene.bands import colours

    assert colours(geomedsr.open(surface).bands) == {"red": 3, "green": 2, "blue": 1, "nir": 4}


def test_a_result_keeps_the_identity_and_has_an_item(surface: Path, tiny_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sr.tif"
    words = [
        "upscale",
        str(surface),
        str(out),
        "--model",
        str(tiny_path),
        "--bands",
        "SR_B4,SR_B5",
        "--stac",
        "--quiet",
    ]
    assert main(words) == 0
    result = geomedsr.open(out)
    assert result.tags[""]["PRODUCT_ID"] == Landsat().name
    assert result.tags[""]["SUN_ELEVATION"] == "63.86310443"
    assert [(b.scale, b.offset) for b in result.bands] == [(2.75e-5, -0.2)] * 2
    item = json.loads(out.with_suffix(".json").read_text())
    assert item["properties"]["datetime"] == "2024-05-06T15:40:29.123456Z"
    assert item["properties"]["platform"] == "landsat-9"
    assert [band["eo:common_name"] for band in item["assets"]["data"]["bands"]] == ["red", "nir08"]
    assert item["links"][0]["href"].endswith(f"/{surface.name}")
    assert main(["verify", str(surface), str(out)]) == 0


def test_info_shows_it(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(top)]) == 0
    said = capsys.readouterr().out
    for words in ("B10", "B11", "lwir11", "LC08_L1TP", "63.86310443", "2N - 1 pixels"):
        assert words in said


def test_scenes_travel_to_other_processes(surface: Path, tmp_path: Path) -> None:
    pack = tarred(surface, tmp_path / "any.tar")
    scene = pickle.loads(pickle.dumps(geomedsr.open(pack).at(100)))
    np.testing.assert_array_equal(scene.data[0, 0], Landsat().numbers("ST_B10"))


def test_a_product_of_one_sensor_alone(tmp_path: Path) -> None:
    thermal = {f"FILE_NAME_BAND_{i}": None for i in (10, 11)}
    path = Landsat("L1TP", groups={"PRODUCT_CONTENTS": thermal}).write(tmp_path)
    assert geomedsr.open(path).resolutions == (15.0, 30.0)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": None}, "without the group LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"),
        ({"PRODUCT_CONTENTS": None}, "without the group PRODUCT_CONTENTS"),
        (
            {"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {"REFLECTANCE_MULT_BAND_3": None}},
            "without REFLECTANCE_MULT_BAND_3 in LEVEL2_SURFACE_REFLECTANCE_PARAMETERS",
        ),
        (
            {"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {"REFLECTANCE_ADD_BAND_3": "none"}},
            "REFLECTANCE_ADD_BAND_3 = 'none' in",
        ),
        ({"IMAGE_ATTRIBUTES": {"SPACECRAFT_ID": "LANDSAT_7"}}, "of LANDSAT_7, expected Landsat 8 or 9"),
        ({"PRODUCT_CONTENTS": {"PROCESSING_LEVEL": "L3"}}, "of processing level L3"),
    ],
)
@pytest.mark.parametrize("kind", ["txt", "json"])
def test_metadata_that_are_not_whole_are_refused(groups: dict, words: str, kind: str, tmp_path: Path) -> None:
    path = Landsat(groups=groups).write(tmp_path, (kind,))
    with pytest.raises(InputError, match=re.escape(words)):
        geomedsr.open(path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text[: len(text) // 2], "which is cut off"),
        (lambda text: text.replace("END_GROUP = IMAGE_ATTRIBUTES", "END_GROUP = OTHER"), "END_GROUP = OTHER"),
        (lambda text: text.replace("    WRS_TYPE = 2", "    WRS TYPE 2"), "'WRS TYPE 2'"),
        (lambda text: text.replace("LANDSAT_METADATA_FILE", "L1_METADATA_FILE"), "of Collection 1"),
        (lambda text: "", "which is cut off"),
    ],
)
def test_text_that_is_not_whole_is_refused(edit: object, words: str, tmp_path: Path) -> None:
    path = Landsat().write(tmp_path, ("txt",)) / f"{Landsat().name}_MTL.txt"
    path.write_text(edit(as_text(Landsat().metadata())))  # type: ignore[operator]
    with pytest.raises(InputError, match=re.escape(words)):
        geomedsr.open(path.parent)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"L1_METADATA_FILE": {}}'])
def test_json_that_is_not_whole_is_refused(text: str, tmp_path: Path) -> None:
    path = Landsat().write(tmp_path, ("json",)) / f"{Landsat().name}_MTL.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"_MTL\.json"):
        geomedsr.open(path)


def test_a_missing_file_is_warned_of_and_refused_when_it_is_named(tmp_path: Path) -> None:
    path = Landsat().write(tmp_path)
    (path / f"{path.name}_SR_B4.TIF").unlink()
    with pytest.warns(SceneWarning, match="lists SR_B4 in its metadata, but has no files"):
        assert names(geomedsr.open(path)) == ["SR_B1", "SR_B2", "SR_B3", "SR_B5", "SR_B6", "SR_B7"]
    with pytest.warns(SceneWarning), pytest.raises(InputError, match="SR_B4"):
        geomedsr.open(path, bands=["SR_B4"])


def test_several_products_in_one_place_are_refused(surface: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(surface, both)
    other = Landsat(date="20240522")
    for file in other.write(tmp_path).iterdir():
        shutil.copy(file, both)
    for path in (both, tarred(both)):
        with pytest.raises(InputError, match="which holds several products: LC09_L2SP_015033_20240506") as failure:
            geomedsr.open(path)
        assert "20240522" in str(failure.value)
    assert geomedsr.open(both / f"{other.name}_MTL.txt").name == other.name


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_tar_is_told_in_a_line(share: float, surface: Path, tmp_path: Path) -> None:
    pack = tarred(surface, tmp_path / f"{surface.name}.tar")
    whole = pack.read_bytes()
    pack.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"\.tar") as failure:
        geomedsr.open(pack)
    assert "\n" not in str(failure.value)


def test_a_tar_of_other_things_is_none(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a.txt").write_text("nothing")
    with pytest.raises(InputError):
        geomedsr.open(tarred(tmp_path / "some"))
    with pytest.raises(InputError, match=r"without \*_MTL\.txt or \*_MTL\.json"):
        geomedsr.open(tarred(tmp_path / "some", tmp_path / f"{Landsat().name}.tar"))


def test_a_band_on_another_grid_is_refused(tmp_path: Path) -> None:
    path = Landsat().write(tmp_path)
    file = path / f"{path.name}_SR_B3.TIF"
    Landsat(left=LEFT + 30)._raster(file, "SR_B3")
    with pytest.raises(InputError, match="bands at 30 lie on different grids"):
        geomedsr.open(path)
    Landsat(epsg=32619)._raster(file, "SR_B3")
    with pytest.raises(InputError, match=r"bands at 30 lie on different grids: .*EPSG:32618.*EPSG:32619"):
        geomedsr.open(path)
