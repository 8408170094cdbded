"""Level-1C as it was delivered until the end of 2016: long names, and several tiles in one product."""

from __future__ import annotations

import re
from pathlib import Path

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
