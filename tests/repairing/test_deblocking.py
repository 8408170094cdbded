"""``repair --what jpeg``: encoded again, the result has the file's coefficients; what is told, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import rasterio
from conftest import SAMPLE
from killing import killed_and_resumed
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from toys import deblocker, filler

import geomedsr
from geomedsr import Scene, Window, verify
from geomedsr.cli import main
from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.inference.memory import reader_cache
from geomedsr.io import open_scene
from geomedsr.jpeg.codestream import coefficients
from geomedsr.operators.jpeg_bins import Count
from geomedsr.repairing import deblocking
from geomedsr.repairing.deblocking import deblocked

MODEL = deblocker()
CT = SAMPLE.parent / "ct_abdomen"
PROMISE = "encoded again with its own tables, the JPEG file's coefficients"


def picture() -> np.ndarray:
    """Red, green and blue of the sample as bytes ``(band, y, x)``; sides in parts of blocks, nothing clipped."""
    values = open_scene(SAMPLE / "reference.tif").data.values[0, :3, :115, :149].astype(float)
    low, high = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    return np.asarray((values - low) / (high - low) * 170 + 40).astype(np.uint8)


def jpeg(folder: Path, bands: int = 1, **options: Any) -> Path:
    """A JPEG file of the picture."""
    path = folder / "in.jpg"
    image = picture()[0] if bands == 1 else np.ascontiguousarray(picture().transpose(1, 2, 0))
    Image.fromarray(image).save(path, quality=options.pop("quality", 40), **options)
    return path


def tiff(folder: Path, **options: Any) -> Path:
    """A TIFF with JPEG inside of the picture."""
    path, image = folder / "in.tif", picture()
    facts = {"driver": "GTiff", "width": 149, "height": 115, "dtype": "uint8", "compress": "jpeg", "JPEG_QUALITY": 40}
    with rasterio.open(
        path, "w", count=3, crs="EPSG:32632", transform=(10, 0, 0, 0, -10, 0), **facts, **options
    ) as file:
        file.write(image)
    return path


def dicom(folder: Path) -> Path:
    """A series of two slices with JPEG inside."""
    (folder / "in").mkdir()
    for number, path in enumerate(sorted(CT.glob("*.dcm"))[:2]):
        header = pydicom.dcmread(path)
        values = header.pixel_array.astype(float)[60:121, 60:130]
        grey = ((values - values.min()) / np.ptp(values) * 170 + 40).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "JPEG", quality=30)
        header.Rows, header.Columns, header.PixelRepresentation = *grey.shape, 0
        header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
        for keyword in ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
            if keyword in header:
                delattr(header, keyword)
        header.PixelData = encapsulate([file.getvalue()])
        header["PixelData"].VR = "OB"
        header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        header.LossyImageCompression = "01"
        header.save_as(folder / "in" / f"{number}.dcm")
    return folder / "in"


def tables(path: Path) -> dict[int, list[int]]:
    """A file's quantisation tables."""
    with Image.open(path) as image:
        return image.quantization  # type: ignore[attr-defined]


def held(source: Path, result: Path) -> Count:
    """How many units of a written result hold, and that ``verify`` says so."""
    scene = open_scene(source)
    count = deblocked(scene, MODEL).counted(open_scene(result, force=True))
    check = next(check for check in verify(source, result) if check.promise == PROMISE)
    assert check.kept == (count.changed == 0)
    assert check.detail.startswith(f"{count.holding} of {count.units} units")
    return count


def test_a_grey_file_encoded_again_by_libjpeg_is_the_same(tmp_path: Path) -> None:
    source = jpeg(tmp_path)
    scene = open_scene(source)
    geomedsr.write(deblocked(scene, MODEL).scene, tmp_path / "out.png", progress=False)
    result = open_scene(tmp_path / "out.png").data.values[0, 0]
    changed = np.abs(result.astype(int) - scene.data.values[0, 0])
    assert np.mean(changed > 0) > 0.5
    again = io.BytesIO()
    Image.fromarray(result).save(again, "JPEG", qtables=tables(source))
    before, after = (coefficients(data, "a").components[0].blocks for data in (source.read_bytes(), again.getvalue()))
    same = (before == after).all((2, 3))
    count = held(source, tmp_path / "out.png")
    assert count == Count(same.size, int(same.sum()), int((~same).sum()))
    assert same.mean() > 0.99


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_so_is_one_in_colour(tmp_path: Path, sampling: str) -> None:
    source = jpeg(tmp_path, 3, subsampling=sampling)
    geomedsr.write(deblocked(open_scene(source), MODEL).scene, tmp_path / "out.tif", progress=False)
    result = open_scene(tmp_path / "out.tif").data.values[0]
    again = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(result.transpose(1, 2, 0)))
    image.save(again, "JPEG", qtables=tables(source), subsampling=sampling)
    count = held(source, tmp_path / "out.tif")
    assert count.changed == 0
    assert count.holding > 0.9 * count.units
    before, after = (coefficients(data, "a").components for data in (source.read_bytes(), again.getvalue()))
    for one, other in zip(before, after, strict=True):
        same = (one.blocks == other.blocks).all((2, 3))
        assert same.mean() >= count.holding / count.units  # a unit holds only if all of its blocks do


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "YCBCR", "tiled": True, "blockxsize": 64, "blockysize": 64},
        {"photometric": "YCBCR"},
        {},
        {"blockysize": 115},
    ],
)
def test_tiles_and_strips_of_tiff(tmp_path: Path, options: dict[str, Any]) -> None:
    source = tiff(tmp_path, **options)
    geomedsr.write(deblocked(open_scene(source), MODEL, tile=40).scene, tmp_path / "out.tif", progress=False)
    count = held(source, tmp_path / "out.tif")
    assert count.changed == 0
    assert count.holding > 0.8 * count.units
    assert open_scene(tmp_path / "out.tif").grid.affine == open_scene(source).grid.affine


def test_slices(tmp_path: Path) -> None:
    source = dicom(tmp_path)
    geomedsr.write(deblocked(open_scene(source), MODEL).scene, tmp_path / "out", progress=False)
    count = held(source, tmp_path / "out")
    assert count.units == 2 * 8 * 9
    assert count.changed == 0
    assert count.holding > 0.95 * count.units
    header = pydicom.dcmread(next((tmp_path / "out").glob("*.dcm")))
    assert header.LossyImageCompression == "01"
    assert "JPEG" in str(header.get("DerivationDescription"))


def test_tiles_equal_the_whole_and_a_window_is_a_part_of_it(tmp_path: Path) -> None:
    scene = open_scene(jpeg(tmp_path, 3, subsampling="4:2:0"))
    whole = deblocked(scene, MODEL).scene.data.values
    np.testing.assert_array_equal(deblocked(scene, MODEL, tile=32).scene.data.values, whole)
    part = deblocked(scene, MODEL, tile=50).scene.crop(Window(13, 27, 60, 50))
    np.testing.assert_array_equal(part.data.values, whole[..., 27:77, 13:73])


def test_verify_counts_whole_units_of_a_window(tmp_path: Path) -> None:
    source = jpeg(tmp_path)
    words = ["repair", str(source), str(tmp_path / "o.tif"), "--what", "jpeg", "--window", "13,27,60,50"]
    deblocker(tmp_path)
    assert main([*words, "--model", str(tmp_path / "deblocker.safetensors"), "--quiet"]) == 0
    check = next(check for check in verify(source, tmp_path / "o.tif") if check.promise == PROMISE)
    assert check.kept
    assert check.detail.split(", ")[0].split(" of ")[1] == "35 units"


def test_a_killed_job_goes_on_to_the_same_pixels(tmp_path: Path) -> None:
    model = deblocker(tmp_path)
    Image.fromarray(np.tile(picture()[0], (6, 6))).save(tmp_path / "in.jpg", quality=40)
    scene = deblocked(open_scene(tmp_path / "in.jpg"), model, tile=128).scene
    ((resumed, regions),) = killed_and_resumed({tmp_path / "out.npy": scene}, "*0-1*")
    assert 0 < resumed < regions
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), scene.data.values)


def test_a_cluster_gives_the_same_pixels(tmp_path: Path) -> None:
    model = deblocker(tmp_path)
    source = tiff(tmp_path, photometric="YCBCR", tiled=True, blockxsize=64, blockysize=64)
    scene = deblocked(open_scene(source), model, tile=64).scene
    geomedsr.write(scene, tmp_path / "out.tif", cluster="local:2", progress=False)
    np.testing.assert_array_equal(open_scene(tmp_path / "out.tif").data.values, scene.data.values)


def test_tampering_is_caught(tmp_path: Path) -> None:
    source = jpeg(tmp_path)
    geomedsr.write(deblocked(open_scene(source), MODEL).scene, tmp_path / "out.tif", format="gtiff", progress=False)
    with rasterio.open(tmp_path / "out.tif", "r+") as file:
        values = file.read()
        values[0, 40:48, 64:72] = np.roll(values[0, 40:48, 64:72], 3, 1)
        file.write(values)
    check = next(check for check in verify(source, tmp_path / "out.tif") if check.promise == PROMISE)
    assert not check.kept
    assert ", 1 have neither" in check.detail


def test_an_earlier_and_coarser_compression_is_told(tmp_path: Path) -> None:
    values = open_scene(SAMPLE / "reference.tif").data.values[0, 0].astype(float)
    image = Image.fromarray((values / values.max() * 255).astype(np.uint8))
    image.save(tmp_path / "once.jpg", quality=30)
    Image.open(tmp_path / "once.jpg").save(tmp_path / "twice.jpg", quality=80)
    with pytest.warns(SceneWarning, match="compressed before with coarser steps"):
        assert deblocked(open_scene(tmp_path / "twice.jpg"), MODEL).earlier is not None
    assert deblocked(open_scene(tmp_path / "once.jpg"), MODEL).earlier is None


def refusals(folder: Path) -> dict[str, Path]:
    """Files that are refused, by words of the refusal."""
    made = {}
    image = Image.fromarray(np.ascontiguousarray(picture().transpose(1, 2, 0)))
    for words, name, converted, options in (
        ("progressive JPEG", "p.jpg", image, {"progressive": True}),
        ("JPEG of CMYK", "cmyk.jpg", image.convert("CMYK"), {}),
        ("JPEG 2000", "a.jp2", image, {}),
        ("holds no JPEG", "a.png", image, {}),
    ):
        converted.save(folder / name, **options)
        made[words] = folder / name
    for words, marker in (("arithmetic coding", 0xC9), ("lossless JPEG", 0xC3)):
        made[words] = folder / f"{marker}.tif"
        source = tiff(folder)
        data = source.read_bytes()
        made[words].write_bytes(data.replace(b"\xff\xc0\x00\x11", bytes([0xFF, marker, 0x00, 0x11])))
    return made


@pytest.mark.parametrize(
    "words", ["progressive JPEG", "JPEG of CMYK", "JPEG 2000", "holds no JPEG", "arithmetic coding", "lossless JPEG"]
)
def test_what_is_refused(tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = refusals(tmp_path)[words]
    deblocker(tmp_path)
    model = str(tmp_path / "deblocker.safetensors")
    assert main(["repair", str(source), str(tmp_path / "o.tif"), "--what", "jpeg", "--model", model]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "o.tif").exists()


def test_bands_windows_and_other_models_are_refused(tmp_path: Path) -> None:
    scene = open_scene(jpeg(tmp_path, 3))
    with pytest.raises(InputError, match=r"2 bands of in\.jpg, whose JPEG has 3"):
        deblocked(scene.select([1, 2]), MODEL)
    with pytest.raises(InputError, match=r"a window of in\.jpg"):
        deblocked(scene.crop(Window(0, 8, 32, 32)), MODEL)
    with pytest.raises(InputError, match="holds no JPEG"):
        deblocked(Scene.from_array(picture()), MODEL)
    with pytest.raises(ModelError, match="filler for JPEG"):
        deblocked(scene, filler())


def test_the_command_counts_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, result = jpeg(tmp_path), tmp_path / "o.tif"
    deblocker(tmp_path)
    words = ["repair", str(source), str(result), "--what", "jpeg", "--model", str(tmp_path / "deblocker.safetensors")]
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    count = held(source, result)
    assert (facts["units"], facts["holding"], facts["as_decoded"]) == (count.units, count.holding, count.decoded)
    assert facts["provenance"]["GEOMEDSR_OPERATOR"] == "jpeg-bins"
    assert main(["verify", str(source), str(result)]) == 0
    assert PROMISE in capsys.readouterr().out
    assert main([*words, "--overwrite"]) == 0
    assert f"{count.holding} of {count.units} units of blocks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--marks", "m.tif"], "--marks with --what jpeg"),
        (["--mask", "m.tif"], "--mask with --what jpeg"),
    ],
)
def test_options_without_use_are_refused(
    tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["repair", str(jpeg(tmp_path)), str(tmp_path / "o.tif"), "--what", "jpeg", *more]) == 2
    assert words in capsys.readouterr().err


def test_jpeg_is_taken_off_alone_and_not_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(jpeg(tmp_path))
    assert main(["repair", source, str(tmp_path / "o.jpg"), "--what", "jpeg"]) == 2
    assert "a format without loss" in capsys.readouterr().err
    assert main(["repair", source, str(tmp_path / "o.tif"), "--what", "jpeg,dead"]) == 2
    assert "jpeg alone" in capsys.readouterr().err
    assert main(["repair", source, str(tmp_path / "o.tif")]) == 2
    assert "neither --mask nor --find" in capsys.readouterr().err


def test_memory_is_planned_with_the_coefficients_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, at most so many, and one stream's at least."""
    whole = deblocked(open_scene(jpeg(tmp_path, 3, subsampling=0)), MODEL).scene.source
    tiles = deblocked(open_scene(tiff(tmp_path, tiled=True, blockxsize=32, blockysize=32)), MODEL).scene.source
    assert reader_cache([whole], 2) == reader_cache([tiles], 2) == 115 * 149 * 3 * 2
    monkeypatch.setattr(deblocking, "KEPT", 10_000)
    assert reader_cache([whole], 2) == 115 * 149 * 3 * 2
    assert reader_cache([tiles], 2) == 10_000 + 32 * 32 * 3 * 2  # a tile that another thread decodes meanwhile
