"""Level-1C as it was delivered until the end of 2016: long names, and several tiles in one product."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.errors import InputError
from products.safe import Safe

TILES = ("32TQM", "33TUG")
WHEN = "20160905T104813_R022_V20160905T101031_20160905T101559"


def of(kind: str, tile: str) -> str:
    return f"S2A_OPER_{kind}_SGS__20160905T073438_A006291_T{tile}"


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product of two tiles: the compact format's, under the names of the one before."""
    safe = Safe(level="1C", baseline="02.04", tiles=TILES)
    compact = safe.write(tmp_path_factory.mktemp("long"))
    product = compact.rename(compact.parent / f"S2A_OPER_PRD_MSIL1C_PDMC_{WHEN}.SAFE")
    metadata = product / "MTD_MSIL1C.xml"
    text = re.sub("<PRODUCT_URI>[^<]*", f"<PRODUCT_URI>{product.name}", metadata.read_text(encoding="utf-8"))
    for tile in TILES:
        granule = product / "GRANULE" / safe.granule(tile)
        granule = granule.rename(granule.parent / f"{of('MSI_L1C_TL', tile)}_N02.04")
        (granule / "MTD_TL.xml").rename(granule / f"{of('MTD_L1C_TL', tile)}.xml")
        for image in (granule / "IMG_DATA").iterdir():
            image.rename(image.with_name(f"{of('MSI_L1C_TL', tile)}_{image.stem.rsplit('_', 1)[1]}.jp2"))
        clouds = granule / "QI_DATA" / "MSK_CLOUDS_B00.gml"
        clouds.rename(clouds.with_name(f"{of('MSK_CLOUDS', tile)}_B00_MSIL1C.gml"))
        for feet in (granule / "QI_DATA").glob("MSK_DETFOO_*.gml"):
            feet.rename(feet.with_name(f"{of('MSK_DETFOO', tile)}_{feet.stem.rsplit('_', 1)[1]}_MSIL1C.gml"))
        listed = rf"<IMAGE_FILE>GRANULE/L1C_T{tile}[^<]*_(\w+)</IMAGE_FILE>"
        text = re.sub(listed, rf"<IMAGE_ID>{of('MSI_L1C_TL', tile)}_\1</IMAGE_ID>", text)
    metadata.unlink()
    (product / f"S2A_OPER_MTD_SAFL1C_PDMC_{WHEN}.xml").write_text(text, encoding="utf-8")
    return product


def test_one_tile_is_chosen(long: Path) -> None:
    with pytest.raises(InputError, match="which holds 2 tiles: 32TQM, 33TUG, expected one: choose one, as --series"):
        geomedsr.open(long)
    scene = geomedsr.open(long, series="T33TUG")
    assert scene.name == long.stem
    assert (scene.tags[""]["TILE_ID"], scene.tags[""]["PROCESSING_BASELINE"]) == ("33TUG", "02.04")
    assert [[band.name for band in scene.at(size).bands] for size in (10, 60)] == [
        ["B02", "B03", "B04", "B08"],
        ["B01", "B09", "B10"],
    ]
    assert scene.bands[0].offset == 0
    assert (scene.data[0, 0].values == Safe(level="1C").numbers("B02", 10)).all()


def test_a_granules_metadata_choose_its_tile(long: Path) -> None:
    (metadata,) = long.glob("GRANULE/*_T32TQM_*/*.xml")
    assert geomedsr.open(metadata).tags[""]["TILE_ID"] == "32TQM"


def test_clouds_are_polygons(long: Path) -> None:
    masked = geomedsr.open(long, series="32TQM", mask="clouds")
    assert (~masked.valid[0, 0].values).sum() == 12 * 18


def test_a_missing_image_is_warned_of(long: Path, tmp_path: Path) -> None:
    (image,) = long.glob("GRANULE/*_T33TUG_*/IMG_DATA/*_B05.jp2")
    image.rename(tmp_path / "B05.jp2")
    try:
        with pytest.warns(UserWarning, match="lists B05 in its metadata"):
            scene = geomedsr.open(long, series="33TUG")
        assert scene.at(20).bands[0].name == "B06"
        assert geomedsr.open(long, series="32TQM").at(20).bands[0].name == "B05"
    finally:
        (tmp_path / "B05.jp2").rename(image)


def test_footprints_of_detectors_are_polygons(long: Path, tmp_path: Path) -> None:
    assert "MSK_DETFOO_B05" in geomedsr.open(long, series="32TQM").parts.parts[1].more
    for size, name in ((20, "MSK_DETFOO_B05"), (10, "MSK_DETFOO_B08")):
        scene = geomedsr.open(long, series="32TQM", resolution=size, bands=[name])
        band = scene.bands[-1]
        assert (band.name, band.kind) == (name, "nearest")
        assert "detector_12" in band.tags[""]["flag_meanings"]
        side = scene.shape[3]
        expected = np.where(np.arange(side) < side // 2 - 60 // size, 3, 4)
        np.testing.assert_array_equal(scene.select([name]).data.values[0, 0], np.broadcast_to(expected, (side, side)))
        assert pickle.loads(pickle.dumps(scene)).shape == scene.shape
    (broken,) = long.glob("GRANULE/*_T33TUG_*/QI_DATA/*DETFOO*B05*.gml")
    broken.write_text(broken.read_text(encoding="utf-8").replace("-04-1", "-x"), encoding="utf-8")
    geomedsr.open(long, series="33TUG")
    with pytest.raises(InputError, match="with the footprint 'detector_footprint-B05-x', expected those of detectors"):
        geomedsr.open(long, series="33TUG", bands=["MSK_DETFOO_B05"])


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Level-2A product as Sen2Cor made it until the end of 2016."""
    scl = np.full((60, 60), 4, np.uint8)
    scl[10, 11] = 9
    safe = Safe(level="2A", baseline="02.04", scl=scl)
    compact = safe.write(tmp_path_factory.mktemp("corrected"))
    product = compact.rename(compact.parent / f"S2A_USER_PRD_MSIL2A_PDMC_{WHEN}.SAFE")
    (granule,) = (product / "GRANULE").iterdir()
    user = "_SGS__20160905T073438_A006291_T32TQM"
    granule = granule.rename(granule.parent / f"S2A_USER_MSI_L2A_TL{user}_N02.04")
    (granule / "MTD_TL.xml").rename(granule / f"S2A_USER_MTD_L2A_TL{user}.xml")
    for image in granule.glob("IMG_DATA/*/*.jp2"):
        *_, band, size = image.stem.split("_")
        if band in ("SCL", "AOT", "WVP"):
            folder = image.parents[1] if band == "SCL" else image.parent
            image.rename(folder / f"S2A_USER_{band}_L2A_TL{user}_{size}.jp2")
        else:
            image.rename(image.with_name(f"S2A_USER_MSI_L2A_TL{user}_{band}_{size}.jp2"))
    metadata = product / "MTD_MSIL2A.xml"
    text = metadata.read_text(encoding="utf-8").replace("BOA_QUANTIFICATION", "L2A_BOA_QUANTIFICATION")
    text = re.sub(
        r"<IMAGE_FILE>[^<]*_(B\w\w)_(\w+)</IMAGE_FILE>",
        rf"<IMAGE_ID_2A>S2A_USER_MSI_L2A_TL{user}_\1_\2</IMAGE_ID_2A>",
        text,
    )
    text = re.sub(
        r"<IMAGE_FILE>[^<]*_(SCL|AOT|WVP)_(\w+)</IMAGE_FILE>",
        rf"<IMAGE_ID_2A>S2A_USER_\1_L2A_TL{user}_\2</IMAGE_ID_2A>",
        text,
    )
    text = re.sub("PRODUCT_URI>[^<]*", f"PRODUCT_URI_2A>{product.name}", text, count=1).replace(
        "/PRODUCT_URI>", "/PRODUCT_URI_2A>"
    )
    metadata.unlink()
    (product / f"S2A_USER_MTD_SAFL2A_PDMC_{WHEN}.xml").write_text(text, encoding="utf-8")
    return product


def test_scene_classes_of_before_2017_are_found(corrected: Path) -> None:
    scene = geomedsr.open(corrected)
    assert scene.name == corrected.stem
    coarse = scene.at(20)
    assert [band.name for band in coarse.bands] == ["B05", "B06", "B07", "B8A", "B11", "B12", "SCL"]
    assert coarse.data.values[0, -1, 10, 11] == 9
    aerosol = geomedsr.open(corrected, bands=["AOT"])
    assert (aerosol.select(["AOT"]).data.values == 120).all()
    masked = geomedsr.open(corrected, mask="clouds")
    assert np.argwhere(~masked.valid[0, 0].values).tolist() == [[20, 22], [20, 23], [21, 22], [21, 23]]
