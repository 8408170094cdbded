"""STAC items beside results: valid, true, and there together with the result."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from conftest import texture
from killing import killed_naming
from pyproj import CRS
from stac_validity import NotValid, check_item

import geomedsr
from geomedsr import Band, Scene
from geomedsr.cli import main
from geomedsr.errors import OutputError
from geomedsr.geometry.grid import Grid
from geomedsr.io.stac import item_text
from geomedsr.scene.moments import utc

Raster = Callable[..., Path]


def product(bands: int = 2, **more: Any) -> Scene:
    """A scene that tells what a product tells."""
    told = {"ACQUISITION_TIME": "2024-05-06T10:20:30.123456789Z", "PLATFORM": "Landsat-9", "CLOUD_COVER": "12.5"}
    names = [
        Band("SR_B4", scale=2.75e-5, offset=-0.2, units="reflectance", nodata=0, role="red", tags=waves("0.6546")),
        Band("SR_B5", scale=2.75e-5, offset=-0.2, units="reflectance", nodata=0, role="nir08", tags=waves("none")),
    ]
    grid = Grid((20, 30), Affine(30, 0, 435735, 0, -30, 4179465), CRS.from_epsg(32618).to_wkt())
    facts = {"grid": grid, "tags": {"": told | {"PROCESSING_LEVEL": "L2SP"}}, "name": "LC09", **more}
    return Scene.from_array(texture(bands, 20, 30), bands=names[:bands], **facts)


def waves(centre: str) -> dict[str, dict[str, str]]:
    return {"IMAGERY": {"CENTRAL_WAVELENGTH_UM": centre, "FWHM_UM": "0.0374"}}


def written(scene: Scene, path: Path, **more: Any) -> dict[str, Any]:
    told = geomedsr.write(scene, path, stac=True, progress=False, **more)
    assert told.item == str(path.with_suffix(".json"))
    item: dict[str, Any] = json.loads(Path(told.item).read_text())
    return item


def test_the_item_is_valid_and_says_what_the_scene_is(tiny_x2: Any, tmp_path: Path) -> None:
    result = geomedsr.upscale(product(), tiny_x2)
    item = written(result, tmp_path / "sr.tif")
    assert len(check_item(item)) == 5
    told = item["properties"]
    assert told["datetime"] == "2024-05-06T10:20:30.123456Z"
    assert told["platform"] == "landsat-9"
    assert told["eo:cloud_cover"] == 12.5
    assert told["processing:level"] == "L2SP"
    assert told["processing:software"] == {"geomedsr": geomedsr.__version__, "tiny": "0.0.1"}
    assert told["processing:lineage"].startswith("LC09 made ×2 by tiny. Detail finer than")
    assert told["geomedsr:model_sha256"] == tiny_x2.sha256
    with rasterio.open(tmp_path / item["assets"]["data"]["href"]) as dataset:
        assert told["proj:code"] == str(dataset.crs)
        assert told["proj:shape"] == list(dataset.shape)
        assert told["proj:transform"] == list(dataset.transform)[:6]
        assert told["proj:bbox"] == list(dataset.bounds)
    red, nir = item["assets"]["data"]["bands"]
    assert item["assets"]["data"]["gsd"] == 15
    assert red == {
        "name": "SR_B4",
        "data_type": "uint16",
        "nodata": 0,
        "unit": "reflectance",
        "raster:scale": 2.75e-5,
        "raster:offset": -0.2,
        "eo:common_name": "red",
        "eo:center_wavelength": 0.6546,
        "eo:full_width_half_max": 0.0374,
    }
    assert nir["eo:common_name"] == "nir08"
    assert "eo:center_wavelength" not in nir
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sr.json", "sr.tif"]


def test_another_reader_finds_the_result_by_it(tmp_path: Path) -> None:
    written(product(), tmp_path / "a b.tif")
    item = pystac.Item.from_file(str(tmp_path / "a b.json"))
    assert item.id == "a b"
    assert item.datetime is not None
    assert item.datetime.year == 2024
    assert item.assets["data"].get_absolute_href() == f"{tmp_path}/a%20b.tif"


def test_the_check_of_validity_can_fail(tmp_path: Path) -> None:
    item = written(product(), tmp_path / "sr.tif")
    for part, key, value in (
        (item["properties"], "proj:shape", [1, "2"]),
        (item["assets"]["data"]["bands"][0], "raster:scale", "much"),
        (item["properties"], "processing:datetime", "today"),
        (item["assets"]["data"]["bands"][0], "eo:common_name", ""),
        (item["properties"], "datetime", None),
    ):
        kept, part[key] = part[key], value
        with pytest.raises(NotValid):
            check_item(item)
        part[key] = kept
    check_item(item)


def test_it_is_derived_from_its_source(
    raster: Raster, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = raster(texture(1, 20, 30), "a b.tif"), tmp_path / "out" / "sr.tif"
    out.parent.mkdir()
    assert main(["upscale", str(source), str(out), "--model", str(tiny_path), "--stac", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["stac"] == str(out.with_suffix(".json"))
    assert said.err.startswith("warning: a b.tif ×4 does not state when it was acquired: ")
    item = json.loads(out.with_suffix(".json").read_text())
    check_item(item)
    assert item["properties"]["datetime"] == item["properties"]["created"]
    assert item["links"] == [{"rel": "derived_from", "href": "../a%20b.tif", "type": "image/tiff"}]


def test_an_address_is_told_without_its_secrets(tmp_path: Path) -> None:
    scene = product(files=("https://me:S3CRET@host/a/b.tif?sig=S3CRET",))
    item = json.loads(item_text(scene, tmp_path / "sr.tif"))
    assert item["links"][0]["href"] == "https://host/a/b.tif"
    assert json.loads(item_text(product(files=("/vsimem/a.tif",)), tmp_path / "sr.tif"))["links"] == []


def test_a_stack_of_dates_has_a_span(tmp_path: Path) -> None:
    frames = geomedsr.scene.frames.Frames("time", np.array(["2020-03-01", "2020-01-02"], "datetime64[ns]"))
    scene = product()
    stack = replace(scene, source=Scene.from_array(texture(4, 20, 30).reshape(2, 2, 20, 30)).source, frames=frames)
    item = json.loads(item_text(stack, tmp_path / "a.zarr"))
    check_item(item)
    assert item["properties"]["datetime"] is None
    assert item["properties"]["start_datetime"] == "2020-01-02T00:00:00Z"
    assert item["properties"]["end_datetime"] == "2020-03-01T00:00:00Z"


@pytest.mark.parametrize("nodata", [float("nan"), float("-inf"), -9999.0])
def test_numbers_that_json_does_not_have_are_words(nodata: float, tmp_path: Path) -> None:
    bands = [replace(band, nodata=nodata) for band in product().bands]
    scene = Scene.from_array(texture(2, 20, 30, "float32"), bands=bands, grid=product().grid)
    item = json.loads(item_text(scene, tmp_path / "sr.tif"))
    check_item(item)
    assert item["assets"]["data"]["bands"][0]["nodata"] == {"nan": "nan", "-inf": "-inf"}.get(str(nodata), nodata)


def test_a_system_without_a_code_is_told_as_wkt(tmp_path: Path) -> None:
    wkt = CRS.from_proj4("+proj=laea +lat_0=51 +lon_0=11 +units=m").to_wkt()
    item = json.loads(item_text(product(grid=replace(product().grid, crs=wkt)), tmp_path / "sr.tif"))
    check_item(item)
    assert item["properties"]["proj:code"] is None
    assert CRS(item["properties"]["proj:wkt2"]) == CRS(wkt)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06T10:20:30Z", "2024-05-06T10:20:30+00:00"),
        ("2024-05-06 10:20:30", "2024-05-06T10:20:30+00:00"),
        ("2024-05-06T10:20:30.1234567+02:00", "2024-05-06T08:20:30.123456+00:00"),
        ("2024-05-06", "2024-05-06T00:00:00+00:00"),
        ("2024:05:06 10:20:30", None),
        ("yesterday", None),
    ],
)
def test_moments_are_of_utc(text: str, moment: str | None) -> None:
    found = utc(text)
    assert (found and found.isoformat()) == moment


def test_a_scene_without_a_place_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(geomedsr.GeomedsrError, match="--stac for array, which has no affine or no CRS"):
        geomedsr.write(Scene.from_array(texture(1, 20, 30)), tmp_path / "sr.tif", stac=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_items_way_is_refused_before_the_work(tmp_path: Path) -> None:
    target, beside = tmp_path / "sr.tif", tmp_path / "sr.json"
    beside.write_text("precious")
    with pytest.raises(OutputError, match=r"sr\.json, which exists"):
        geomedsr.write(product(), target, stac=True)
    with pytest.raises(OutputError, match="which is the input itself"):
        geomedsr.write(product(files=(str(beside),)), target, stac=True, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["sr.json"]
    assert beside.read_text() == "precious"
    written(product(), target, overwrite=True)
    assert check_item(json.loads(beside.read_text()))


@pytest.mark.parametrize("when", ["after 1", "before 2", "after 2"])
def test_result_and_item_appear_together(when: str, tmp_path: Path) -> None:
    target = tmp_path / "sr.tif"
    killed_naming({target: product()}, when, stac=True)
    told = geomedsr.write(product(), target, stac=True, progress=False)
    assert told.resumed == told.regions
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sr.json", "sr.tif"]
    check_item(json.loads((tmp_path / "sr.json").read_text()))
