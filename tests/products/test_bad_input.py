"""Products that are not whole: a right result, or one line that says what is wrong."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import GeomedsrError, InputError, SceneWarning
from products.safe import Safe, jp2, zipped


@pytest.fixture
def copy(surface: Path, tmp_path: Path) -> Path:
    """A product to break."""
    return Path(shutil.copytree(surface, tmp_path / surface.name))


def image(product: Path, name: str) -> Path:
    (found,) = product.rglob(f"*_{name}.jp2")
    return found


def edit(product: Path, pattern: str, text: str) -> None:
    path = next(product.glob("MTD_MSIL*.xml"))
    before = path.read_text(encoding="utf-8")
    after = re.sub(pattern, text, before, flags=re.S)
    assert after != before
    path.write_text(after, encoding="utf-8")


def refused(path: Path, match: str, **options: object) -> None:
    with pytest.raises(InputError, match=match) as caught:
        geomedsr.open(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_granule_that_is_missing(copy: Path) -> None:
    shutil.rmtree(copy / "GRANULE")
    refused(copy, r"without a granule: L2A_T32TQM_A047000_20240704T101559 is missing, expected a whole product")


def test_a_band_that_is_missing_is_left_out_and_warned_of(copy: Path) -> None:
    image(copy, "B06_20m").unlink()
    image(copy, "B06_60m").unlink()
    with pytest.warns(SceneWarning, match="lists B06 in its metadata, but has no files of them: left out"):
        scene = geomedsr.open(copy)
    assert [band.name for band in scene.at(20).bands] == ["B05", "B07", "B8A", "B11", "B12", "SCL"]
    with (
        pytest.warns(SceneWarning),
        pytest.raises(InputError, match=r"band B06, its file T32TQM_.*_B06_20m\.jp2 is missing"),
    ):
        geomedsr.open(copy, bands=["B06"])


def test_a_band_that_is_there_coarser_alone(copy: Path) -> None:
    image(copy, "B02_10m").unlink()
    scene = geomedsr.open(copy)
    assert [band.name for band in scene.bands] == ["B03", "B04", "B08"]
    assert scene.at(20).bands[0].name == "B02"


def test_a_product_of_fewer_resolutions(copy: Path) -> None:
    for size in (10, 60):
        shutil.rmtree(next(copy.rglob(f"R{size}m")))
    with pytest.warns(SceneWarning, match="B08, B09"):
        scene = geomedsr.open(copy)
    assert scene.resolutions == (20.0,)
    assert [band.name for band in scene.bands][:4] == ["B01", "B02", "B03", "B04"]


def test_no_image_at_all(copy: Path) -> None:
    shutil.rmtree(next(copy.rglob("IMG_DATA")))
    refused(copy, "without a band, expected at least one")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])
def test_a_truncated_file(copy: Path, share: float) -> None:
    file = image(copy, "B03_10m")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError) as caught:
        geomedsr.open(copy).data.compute()
    assert "B03" in str(caught.value)
    assert "\n" not in str(caught.value)
    if share:  # an empty file cannot be opened at all
        assert geomedsr.open(copy, resolution=60).shape[1] == 2


def test_a_broken_band_breaks_no_other_resolution(copy: Path) -> None:
    image(copy, "B05_20m").write_bytes(b"no image")
    scene = geomedsr.open(copy)
    assert scene.data.values.min() > 0
    with pytest.raises(InputError, match="whose band B05 cannot be opened"):
        scene.at(20)


def test_two_products_in_one_folder(copy: Path) -> None:
    other = Safe(baseline="04.00").write(copy.parent)
    refused(copy.parent, f"which holds several products: {other.stem}.SAFE, {copy.stem}.SAFE, expected one")


def test_two_products_in_one_zip(surface: Path, tmp_path: Path) -> None:
    pack = tmp_path / "both.zip"
    with zipfile.ZipFile(pack, "w") as file:
        for name in ("A", "B"):
            file.write(surface / "MTD_MSIL2A.xml", f"S2A_MSIL2A_{name}.SAFE/MTD_MSIL2A.xml")
    refused(pack, "which holds several products: S2A_MSIL2A_A.SAFE, S2A_MSIL2A_B.SAFE, expected one")


def test_a_zip_in_a_zip(surface: Path, tmp_path: Path) -> None:
    pack = tmp_path / "outer.zip"
    with zipfile.ZipFile(pack, "w") as file:
        file.write(zipped(surface), f"{surface.stem}.zip")
    refused(pack, f"in which {surface.stem}.zip is packed once more, expected a zip of a product: unpack the outer one")


def test_a_truncated_zip(surface: Path, tmp_path: Path) -> None:
    pack = tmp_path / f"{surface.stem}.zip"
    pack.write_bytes(zipped(surface).read_bytes()[:50_000])
    refused(pack, "which cannot be read as an archive .*, expected a whole zip or tar: download it again")


def test_a_zip_of_something_else_is_none_of_ours(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(InputError) as caught:
        geomedsr.open(tmp_path / "a.zip")
    assert "product" not in str(caught.value)


def test_metadata_that_are_missing(copy: Path) -> None:
    (copy / "MTD_MSIL2A.xml").unlink()
    refused(copy, "without MTD_MSIL1C.xml or MTD_MSIL2A.xml, expected a whole product")
    refused(copy / "MTD_MSIL2A.xml", "does not exist")


def test_metadata_that_are_cut_off(copy: Path) -> None:
    path = copy / "MTD_MSIL2A.xml"
    path.write_bytes(path.read_bytes()[:3000])
    refused(copy, "MTD_MSIL2A.xml of .*, which is no whole XML")


def test_a_granule_without_its_metadata_is_opened_by_its_files(copy: Path) -> None:
    next(copy.rglob("MTD_TL.xml")).unlink()
    with pytest.warns(SceneWarning, match="no MTD_TL.xml: sun angles and the time of the tile are not known"):
        scene = geomedsr.open(copy)
    assert scene.grid.affine is not None
    assert scene.tags[""]["ACQUISITION_TIME"] == "2024-07-04T10:10:31.024Z"
    assert "SUN_AZIMUTH" not in scene.tags[""]


def test_a_baseline_that_is_none(copy: Path) -> None:
    edit(copy, "<PROCESSING_BASELINE>05.11", "<PROCESSING_BASELINE>newest")
    with pytest.warns(SceneWarning, match="the processing baseline 'newest', which is none"):
        scene = geomedsr.open(copy)
    assert scene.bands[0].offset == -0.1
    assert "PROCESSING_BASELINE" not in scene.tags[""]


def test_offsets_that_the_baseline_asks_for_are_missing(copy: Path) -> None:
    edit(copy, "<BOA_ADD_OFFSET_VALUES_LIST>.*</BOA_ADD_OFFSET_VALUES_LIST>", "")
    refused(
        copy, "of processing baseline 05.11, whose metadata have no BOA_ADD_OFFSET, expected an offset for each band"
    )


def test_an_offset_of_one_band_is_missing(copy: Path) -> None:
    edit(copy, '<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET>', "")
    refused(copy, "whose metadata have offsets, but none for B04, expected one for each band")


@pytest.mark.parametrize("text", ["", "0", "-10000"])
def test_a_divisor_that_is_none(copy: Path, text: str) -> None:
    edit(copy, "10000</BOA_QUANT", f"{text}</BOA_QUANT")
    refused(copy, "whose metadata have no quantification value")


@pytest.mark.parametrize("text", ["ten", "nan", "1e999"])
def test_numbers_that_are_none(copy: Path, text: str) -> None:
    edit(copy, "10000</BOA_QUANT", f"{text}</BOA_QUANT")
    refused(copy, "whose metadata hold a text where a number belongs")


def test_a_product_that_was_cut_to_a_part_lies_where_its_files_lie(copy: Path) -> None:
    for file in copy.rglob("IMG_DATA/*/*.jp2"):
        size = int(file.stem.rsplit("_", 1)[1][:-1])
        side, count = 600 // size, 3 if "TCI" in file.name else 1
        array = np.full((count, side, side), 5, np.uint8 if "SCL" in file.name else np.uint16)
        jp2(file, array, size)
    scene = geomedsr.open(copy, mask="clouds")
    assert [scene.at(size).shape[2:] for size in scene.resolutions] == [(60, 60), (30, 30), (10, 10)]
    assert scene.valid.values.all()


def test_bands_of_one_resolution_on_different_grids(copy: Path) -> None:
    jp2(image(copy, "B03_10m"), np.full((60, 60), 9, np.uint16), 10)
    refused(
        copy, r"lie on different grids: B02 of 120 × 120 pixels from .* and B03 of 60 × 60 pixels, *from|grids: B02"
    )


def test_files_without_a_place_lie_where_the_metadata_say(copy: Path) -> None:
    import rasterio

    for name in ("B02_10m", "B03_10m", "B04_10m", "B08_10m"):
        with rasterio.open(image(copy, name)) as file:
            array = file.read(1)
        image(copy, name).unlink()
        options = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "dtype": "uint16"}
        with rasterio.open(
            next(copy.rglob("R10m")) / f"T32TQM_20240704T101031_{name}.jp2",
            "w",
            width=120,
            height=120,
            count=1,
            **options,
        ) as file:
            file.write(array, 1)
    scene = geomedsr.open(copy)
    assert scene.grid.bounds == (600000, 5098800, 601200, 5100000)
    assert "32632" in (scene.grid.crs or "")


def test_several_tiles_are_scenes_of_their_own(tmp_path: Path) -> None:
    product = Safe(level="1C", tiles=("32TQM", "33TUG")).write(tmp_path)
    refused(product, "which holds 2 tiles: 32TQM, 33TUG, expected one: choose one, as --series T32TQM")
    for tile in ("32TQM", "T33TUG"):
        assert geomedsr.open(product, series=tile).tags[""]["TILE_ID"] == tile[-5:]
    refused(product, "the tile 31UFU of", series="31UFU")


def test_the_command_line_says_it_in_one_line(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "MTD_MSIL2A.xml").unlink()
    assert main(["upscale", str(copy), str(tmp_path / "out.tif")]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert not (tmp_path / "out.tif").exists()


def test_no_file_is_written_to(surface: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in surface.rglob("*")}
    scene = geomedsr.open(surface)
    for size in scene.resolutions:
        scene.at(size).data.compute()
    assert {path: path.stat().st_mtime_ns for path in surface.rglob("*")} == before
    with pytest.raises(GeomedsrError):
        geomedsr.write(scene, surface / "MTD_MSIL2A.xml", overwrite=True)
