"""STAC items as products: where they are, what they say of bands, and what of them cannot be used."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from geotiff.serving import serving

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, SceneWarning
from products.stac_tree import LEFT, NAME, SIDE, TOP, item, numbers, raster, written


def names(scene: geomedsr.Scene) -> list[str]:
    return [band.name for band in scene.bands]


def check(scene: geomedsr.Scene) -> None:
    """That a scene is that of the item."""
    assert scene.name == NAME
    assert scene.resolutions == (10.0, 20.0)
    assert names(scene) == ["red", "nir"]
    assert [band.role for band in scene.bands] == ["red", "nir"]
    for band in (*scene.bands, *scene.at(20).bands):
        assert (band.scale, band.offset, band.units, band.nodata) == (1e-4, -0.1, "reflectance", 0)
    assert scene.bands[0].tags["IMAGERY"] == {"CENTRAL_WAVELENGTH_UM": "0.665"}
    for i, key in enumerate(("red", "nir")):
        np.testing.assert_array_equal(scene.data[0, i], numbers(key))
        assert scene.valid[0, i].values.sum() == (SIDE / 10) ** 2 - 1
    np.testing.assert_array_equal(scene.at(20).data[0, 0], numbers("swir16"))
    assert scene.grid.affine is not None
    assert scene.grid.affine[:6] == (10, 0, LEFT, 0, -10, TOP)


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
@pytest.mark.parametrize("place", [True, False])
@pytest.mark.parametrize("whole", [False, True])
def test_items_of_both_versions_are_products(version: str, place: bool, whole: bool, tmp_path: Path) -> None:
    path = written(tmp_path, item(version, place))
    check(geomedsr.open(tmp_path if whole else path))


def test_identity_becomes_tags(tmp_path: Path) -> None:
    assert geomedsr.open(written(tmp_path)).tags[""] == {
        "PRODUCT_ID": NAME,
        "ACQUISITION_TIME": "2024-07-06T10:15:59.024000Z",
        "PLATFORM": "sentinel-2b",
        "INSTRUMENT": "msi",
        "PROCESSING_BASELINE": "05.11",
        "TILE_ID": "MGRS-32TQM",
        "SUN_AZIMUTH": "150.125",
        "SUN_ELEVATION": "64.5",
        "CLOUD_COVER": "0.25",
    }


@pytest.mark.parametrize("absolute", [False, True])
def test_an_item_at_an_address(absolute: bool, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        href = f"{server.address}/bands/{{}}.tif" if absolute else "./bands/{}.tif"
        written(tmp_path, item(href=href))
        scene = geomedsr.open(f"{server.address}/item.json")
        assert [line for line in server.asked if "swir16" in line] == []  # nothing of a part that is not looked at
        check(scene)
        here = written(tmp_path / "here", item(href=f"{server.address}/bands/{{}}.tif"))
        (here.parent / "bands" / "red.tif").unlink()
        check(geomedsr.open(here))


def test_a_signed_address_stays_secret(tiny_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    query = "sig=S3CRET1234"
    with serving(tmp_path, query) as server:
        written(tmp_path, item(href=f"{server.address}/bands/{{}}.tif?{query}"))
        url = f"{server.address}/item.json?{query}"
        out = tmp_path / "sr.tif"
        assert main(["info", url]) == 0
        assert main(["upscale", url, str(out), "--model", str(tiny_path), "--stac"]) == 0
        assert main(["info", url.replace("item.json", "none.json")]) == 2
        assert main(["info", f"{server.address}/item.json?sig=other"]) == 2
    said = capfd.readouterr()
    stated = json.loads(out.with_suffix(".json").read_text())
    assert "S3CRET" not in said.out + said.err + json.dumps(stated)
    assert stated["links"][0]["href"] == f"{server.address}/item.json"
    assert "none.json?… (404 Not Found), expected an address that answers" in said.err


def test_an_item_of_ours_opens_as_what_it_describes(tiny_path: Path, tmp_path: Path) -> None:
    source, out = written(tmp_path), tmp_path / "sr" / "a b.tif"
    out.parent.mkdir()
    assert main(["upscale", str(source), str(out), "--model", str(tiny_path), "--stac", "--quiet"]) == 0
    scene, result = geomedsr.open(out.with_suffix(".json")), geomedsr.open(out)
    np.testing.assert_array_equal(scene.data, result.data)
    assert names(scene) == ["red", "nir"]
    assert [(b.scale, b.offset, b.nodata, b.role) for b in scene.bands] == [
        (b.scale, b.offset, b.nodata, b.role) for b in result.bands
    ]
    assert scene.tags[""]["ACQUISITION_TIME"] == "2024-07-06T10:15:59.024000Z"
    stated = json.loads(out.with_suffix(".json").read_text())
    assert stated["links"] == [{"rel": "derived_from", "href": "../item.json", "type": "application/geo+json"}]


def test_classes_come_when_they_are_named_and_mask_clouds(tmp_path: Path) -> None:
    path = written(tmp_path)
    (band,) = geomedsr.open(path, bands=["SCL"]).bands
    assert (band.name, band.kind) == ("scl", "nearest")
    assert band.tags[""] == {
        "flag_values": "0,4,9",
        "flag_meanings": "no_data vegetation cloud_high_probability",
    }
    lost = np.argwhere(~geomedsr.open(path, mask="clouds").valid[0, 0].values)
    assert lost.tolist() == [[0, 0], [4, 6], [4, 7], [5, 6], [5, 7]]


def test_bits_are_flags(tmp_path: Path) -> None:
    stated = item()
    stated["assets"]["scl"]["classification:bitfields"] = [
        {"name": "fill", "offset": 0, "length": 1, "classes": []},
        {"name": "cloud confidence", "offset": 8, "length": 2, "classes": []},
    ]
    (band,) = geomedsr.open(written(tmp_path, stated), bands=["scl"]).bands
    assert band.tags[""] == {"flag_masks": "1,768", "flag_meanings": "fill cloud_confidence"}


def test_numbers_that_the_item_does_not_state_are_the_files_own(tmp_path: Path) -> None:
    stated = item()
    del stated["assets"]["red"]["bands"], stated["assets"]["nir"]["bands"]
    path = written(tmp_path, stated)
    with rasterio.open(tmp_path / "bands" / "red.tif", "r+") as file:
        file.scales, file.offsets, file.nodata = (0.5,), (3.0,), 7
        file.set_band_unit(1, "K")
    red, nir = geomedsr.open(path).bands
    assert (red.scale, red.offset, red.units, red.nodata) == (0.5, 3.0, "K", 7)
    assert (nir.scale, nir.offset, nir.units, nir.nodata) == (1.0, 0.0, None, None)


@pytest.mark.parametrize("applied", [True, False])
def test_an_offset_that_is_in_the_numbers_already_is_not_taken_off_twice(applied: bool, tmp_path: Path) -> None:
    stated = item("1.0.0")
    stated["properties"]["earthsearch:boa_offset_applied"] = applied
    scene = geomedsr.open(written(tmp_path, stated))
    assert {band.offset for band in scene.bands} == {0.0 if applied else -0.1}
    assert {band.scale for band in scene.bands} == {1e-4}


def test_alternate_addresses(tmp_path: Path, tiny_path: Path) -> None:
    stated = item(href="https://nowhere.invalid/{}.tif")
    for key in ("red", "nir"):
        asset = stated["assets"][key]
        asset |= {"alternate:name": "web", "alternate": {"disk": {"href": f"./bands/{key}.tif"}}}
    path = written(tmp_path, stated)
    scene = geomedsr.open(path, alternate="disk")
    assert names(scene) == ["red", "nir"]
    np.testing.assert_array_equal(scene.data[0, 0], numbers("red"))
    words = ["upscale", str(path), str(tmp_path / "sr.tif"), "--model", str(tiny_path), "--quiet"]
    assert main([*words, "--alternate", "disk"]) == 0
    with pytest.raises(InputError, match=r"alternate 's3' of the STAC item .*, expected one of its assets' own: disk"):
        geomedsr.open(path, alternate="s3")
    with pytest.raises(InputError, match=r"--alternate disk for .*, expected a STAC item"):
        geomedsr.open(tmp_path / "bands", alternate="disk")


def test_detectors_coarser_than_the_grid_are_a_part_of_their_own(tmp_path: Path) -> None:
    stated = item()
    stated["assets"]["swir16"]["gsd"] = 100
    scene = geomedsr.open(written(tmp_path, stated))
    assert scene.resolutions == (10.0, 100.0)
    assert scene.at(100).grid.affine is not None
    assert scene.at(100).grid.affine.a == 20


def test_a_missing_file_is_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "bands" / "nir.tif").unlink()
    with pytest.warns(SceneWarning, match="lists nir, but their files are not there"):
        assert names(geomedsr.open(path)) == ["red"]


def rasters_gone(stated: dict[str, Any]) -> None:
    for key in list(stated["assets"]):
        if key not in ("thumbnail", "granule_metadata"):
            del stated["assets"][key]


def other_place(stated: dict[str, Any]) -> None:
    stated["assets"]["swir16"]["proj:code"] = "EPSG:32633"


def no_number(stated: dict[str, Any]) -> None:
    stated["assets"]["red"]["bands"][0]["raster:scale"] = "much"


def no_class(stated: dict[str, Any]) -> None:
    stated["assets"]["scl"]["classification:classes"][0]["value"] = "zero"


def no_assets(stated: dict[str, Any]) -> None:
    stated["assets"] = []


def a_collection(stated: dict[str, Any]) -> None:
    stated["type"] = "Collection"


def a_list(stated: dict[str, Any]) -> None:
    stated |= {"type": "FeatureCollection", "features": []}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (rasters_gone, r"without an asset that is a raster of data \(assets: thumbnail, granule_metadata\)"),
        (other_place, "assets lie in several coordinate systems: EPSG:32632, EPSG:32633"),
        (no_number, "'much' in the asset red of a STAC item, expected a number"),
        (no_class, "'zero' in the asset scl of a STAC item, expected a number"),
        (no_assets, r"without an asset that is a raster of data \(assets: none\)"),
        (a_collection, "which is a collection, expected a STAC item with assets"),
        (a_list, "which is a list of items, expected a STAC item with assets"),
    ],
)
def test_items_that_cannot_be_used_are_refused(edit: Callable[[Any], None], words: str, tmp_path: Path) -> None:
    stated = copy.deepcopy(item())
    edit(stated)
    with pytest.raises(InputError, match=words):
        geomedsr.open(written(tmp_path, stated))


def test_files_in_several_systems_are_refused_where_the_item_states_none(tmp_path: Path) -> None:
    path = written(tmp_path, item(place=False))
    raster(tmp_path / "bands" / "nir.tif", numbers("nir"), 10, 32633)
    with pytest.raises(InputError, match=r"bands at 10 lie on different grids: .*EPSG:32632.*EPSG:32633"):
        geomedsr.open(path)


def test_documents_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text()[:300])
    with pytest.raises(InputError, match=r"item\.json, which is no JSON"):
        geomedsr.open(path)
    other = tmp_path / "other.json"
    other.write_text('{"a": 1}')
    with pytest.raises(InputError):
        geomedsr.open(other)
    with serving(tmp_path) as server, pytest.raises(InputError, match=r"other\.json, which is no STAC item"):
        geomedsr.open(f"{server.address}/other.json")


def test_two_items_in_a_folder_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, name="other.json")
    with pytest.raises(InputError, match=r"which holds several products: item\.json, other\.json"):
        geomedsr.open(tmp_path)
