"""A whole product at its finest resolution."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import texture
from products.safe import OWN, SIZES, Safe
from stac_validity import check_item
from toys import toy

import geomedsr
from geomedsr import Scene, Window
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.models.ports import Port, Ports
from geomedsr.verification.verify import verify

FINE, COARSE = ("B02", "B03", "B04", "B08"), ("B05", "B06", "B07", "B8A", "B11", "B12")
SIX = Ports(inputs=(Port(name="guide", bands=FINE, factors=(1, 2, 2)),))
MODEL = toy(ports=SIX, scale=2, channels=6, bands=COARSE)


def made(level: str, folder: Path) -> Path:
    """A product whose bands look alike, as real ones do: all are mixed of the same ground."""
    ground = texture(3, 120, 120, low=900, high=5000).astype(float)
    bands = {}
    for number, (name, size) in enumerate(OWN.items()):
        mixed = np.tensordot(np.array([1 + number % 3, 2, 1 + number % 2]) / 6, ground, 1)
        few = mixed.reshape(120 // (size // 10), size // 10, 120 // (size // 10), size // 10).mean((1, 3))
        bands[name] = np.rint(few).astype(np.uint16)
    return Safe(level=level, bands=bands).write(folder)


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("2A", tmp_path_factory.mktemp("surface"))


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("1C", tmp_path_factory.mktemp("top"))


def read(scene: Scene) -> np.ndarray:
    return scene.source.read(Box.whole(scene.shape))[0]


def sums(values: np.ndarray, factor: int) -> np.ndarray:
    bands, height, width = values.shape
    return values.reshape(bands, height // factor, factor, width // factor, factor).astype(int).sum((2, 4))


def test_all_bands_come_at_the_finest_and_keep_their_means(surface: Path, tmp_path: Path) -> None:
    product = geomedsr.open(surface)
    result = geomedsr.sharpen(product, model=MODEL)
    names = [band.name for band in result.bands]
    assert names == [*[f"B0{i}" for i in range(1, 9)], "B8A", "B09", "B11", "B12"]
    assert result.grid == product.grid
    values = read(result)
    for size in (10, 20, 60):
        part = product.at(size)
        own = [name for name in SIZES[size] if name in names]
        picked = values[[names.index(name) for name in own]]
        np.testing.assert_array_equal(sums(picked, size // 10), read(part.select(own)).astype(int) * (size // 10) ** 2)
    groups = {group.bands[0]: (group.model, group.factor) for group in result.provenance.groups or ()}
    assert groups == {"B02": (None, 1), "B05": ("toy", 2), "B01": ("regression", 6)}
    geomedsr.write(result, tmp_path / "all.tif")
    with rasterio.open(tmp_path / "all.tif") as file:
        np.testing.assert_array_equal(file.read(), values)
        assert file.descriptions == tuple(names)
        assert file.tags()["PRODUCT_ID"] == product.tags[""]["PRODUCT_ID"]
        assert file.nodata == 0
    checks = verify(surface, tmp_path / "all.tif")
    assert [check for check in checks if check.kept is False] == []
    assert sum("the mean of each" in check.promise and check.kept is True for check in checks) == 2
    assert "B02, B03, B04, B08: pixels are the source's, repeated" in [check.promise for check in checks if check.kept]
    broken = values.copy()
    broken[names.index("B09"), 7, 8] += 40
    with rasterio.open(tmp_path / "all.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.write(broken)
    wrong = [check.promise for check in verify(surface, tmp_path / "all.tif") if check.kept is False]
    assert wrong == ["B01, B09: the mean of each 6 × 6 block is the source's pixel"]


def test_what_shows_the_sky_is_repeated(top: Path) -> None:
    product = geomedsr.open(top)
    result = geomedsr.sharpen(product, model="regression", bands=["B10", "B09", "B04", "B12"])
    assert [band.name for band in result.bands] == ["B10", "B09", "B04", "B12"]
    assert {band.kind for band in result.bands} == {"continuous"}
    values = read(result)
    np.testing.assert_array_equal(values[0], read(product.at(60).select(["B10"]))[0].repeat(6, 0).repeat(6, 1))
    np.testing.assert_array_equal(values[2], read(product.select(["B04"]))[0])
    assert values[1].std() > read(product.at(60).select(["B09"]))[0].std()  # there is finer detail


def test_classes_beside_other_bands_are_repeated_and_said_to_be(surface: Path, tmp_path: Path) -> None:
    product = geomedsr.open(surface)
    result = geomedsr.sharpen(product, model=MODEL, bands=["B05", "SCL", "B02"])
    assert [(band.name, band.kind) for band in result.bands][1] == ("SCL", "nearest")
    whole = geomedsr.sharpen(product, model=MODEL)
    np.testing.assert_array_equal(read(result)[0], read(whole.select(["B05"]))[0])  # by the model, not a regression
    classes = read(product.at(20).select(["SCL"]))[0]
    np.testing.assert_array_equal(read(result)[1], classes.repeat(2, 0).repeat(2, 1))
    groups = {group.bands: (group.model, group.factor) for group in result.provenance.groups or ()}
    assert groups == {("B02",): (None, 1), ("B05",): ("toy", 2), ("SCL",): (None, 2)}
    assert "SCL" not in (result.provenance.note or "")
    geomedsr.write(result, tmp_path / "out.tif")
    checks = {check.promise: check.kept for check in verify(surface, tmp_path / "out.tif")}
    assert False not in checks.values()
    assert checks["SCL: pixels are the source's, repeated"] is True
    with rasterio.open(tmp_path / "out.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.write(file.read(2) + (np.indices((120, 120)).sum(0) == 9).astype(np.uint16), 2)
    broken = [check.promise for check in verify(surface, tmp_path / "out.tif") if check.kept is False]
    assert broken == ["SCL: pixels are the source's, repeated"]


def test_of_bands_that_are_carried_over_nothing_is_said_to_be_a_guess(top: Path, tmp_path: Path) -> None:
    result = geomedsr.sharpen(geomedsr.open(top), bands=["B10", "B02"])
    assert (result.provenance.made, result.provenance.note) == (False, None)
    assert result.provenance.software == geomedsr.__version__
    geomedsr.write(result, tmp_path / "out.tif")
    assert [check for check in verify(top, tmp_path / "out.tif") if check.kept is False] == []


def test_tiles_and_windows_equal_the_whole(surface: Path, tmp_path: Path) -> None:
    product = geomedsr.open(surface)
    whole, tiled = (geomedsr.sharpen(product, model=MODEL, tile=tile) for tile in (64, 7))
    box = Box((0, 13, 22), (1, 90, 101))
    assert np.abs(whole.source.read(box).astype(int) - tiled.source.read(box)).max() <= 1
    np.testing.assert_array_equal(read(whole.crop(Window(22, 13, 79, 77))), whole.source.read(box)[0])


def test_the_command_takes_a_product(surface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.tif")
    words = ["sharpen", str(surface), out, "--model", "regression", "--bands", "B12,B01,B03"]
    assert main([*words, "--window", "13,25,30,20", "--memory", "1GiB"]) == 0
    told = capsys.readouterr().out
    assert "36 × 24 pixels, 3 × uint16" in told  # whole pixels of 60 m
    assert "×2 by regression" in told
    assert main(["verify", str(surface), out]) == 0, capsys.readouterr().out
    assert main([*words, "--overwrite", "--bands", "B99", "--quiet"]) == 2
    assert "band 'B99'" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--bands", ",", "--quiet"]) == 2
    assert "got no band, expected some of B02" in capsys.readouterr().err


def test_the_finest_bands_follow_those_asked_for(surface: Path, tmp_path: Path) -> None:
    product = geomedsr.open(surface)
    result = geomedsr.sharpen(product, model=MODEL, bands=["B11", "B03", "B05"], with_guide=True)
    assert [band.name for band in result.bands] == ["B11", "B03", "B05", "B02", "B04", "B08"]
    np.testing.assert_array_equal(read(result)[3:], read(product.select(["B02", "B04", "B08"])))
    geomedsr.write(result, tmp_path / "out.tif")
    assert [check for check in verify(surface, tmp_path / "out.tif") if check.kept is False] == []
    whole = geomedsr.sharpen(product, model=MODEL)
    assert geomedsr.sharpen(product, model=MODEL, with_guide=True).bands == whole.bands


def test_a_product_is_not_registered_with_itself(
    surface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sharpen", str(surface), str(tmp_path / "out.tif"), "--model", "regression", "--bands", "B05", "--quiet"]
    assert main([*words, "--register", "yes"]) == 2
    assert "whose parts lie on one grid" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main([*words, "--register", "no"]) == 0


def test_a_file_of_one_resolution_needs_a_guide(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no guide"):
        geomedsr.sharpen(Scene.from_array(texture(1, 20, 20)))


def test_a_stac_item_names_what_made_which_bands(surface: Path, tmp_path: Path) -> None:
    made_of = geomedsr.sharpen(geomedsr.open(surface), model=MODEL, bands=["B02", "B05", "B01"])
    geomedsr.write(made_of, tmp_path / "out.tif", stac=True)
    item = json.loads((tmp_path / "out.json").read_text())
    check_item(item)
    assert "made ×2 by toy in B05, ×6 by regression in B01. Detail" in item["properties"]["processing:lineage"]
    assert set(item["properties"]["processing:software"]) == {"geomedsr", "toy", "regression"}
