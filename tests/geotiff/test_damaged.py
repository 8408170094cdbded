"""Pictures that are cut or damaged: refused, though GDAL goes on; one line on standard error, and nothing of GDAL's."""

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import texture

import geomedsr
from geomedsr.cli import main
from geomedsr_geotiff.reader import _check

Raster = Callable[..., Path]


def picture(raster: Raster, driver: str, suffix: str, side: int = 300, **options: object) -> Path:
    """A square picture of noise, in a format that GDAL only copies to."""
    path = raster(np.random.default_rng(0).integers(0, 256, (3, side, side), "uint8"), "base.tif")
    rasterio.shutil.copy(path, path.with_suffix(suffix), driver=driver, **options)
    return path.with_suffix(suffix)


def refused(path: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """What is said of a file that cannot be upscaled, nothing being left."""
    out = path.with_name("out") / "sr.tif"
    out.parent.mkdir(exist_ok=True)
    assert main(["upscale", str(path), str(out), "--model", str(model)]) == 2
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1), said.err
    assert not list(out.parent.iterdir())
    return said.err


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize(("driver", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("JP2OpenJPEG", ".jp2")])
def test_a_cut_picture_is_refused(
    driver: str, suffix: str, share: float, raster: Raster, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = picture(raster, driver, suffix, side=100)  # read at once, where GDAL takes a shortcut
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "expected a whole file: copy or download it again" in refused(path, tiny_path, capfd)


def test_a_whole_picture_is_read_as_it_is(raster: Raster) -> None:
    path = picture(raster, "PNG", ".png")
    with rasterio.open(path) as dataset:
        assert np.array_equal(geomedsr.open(path).data.values[0], dataset.read())


def test_what_gdal_takes_for_a_warning_is_an_error(
    raster: Raster, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = picture(raster, "GTiff", ".tiff", compress="jpeg", photometric="ycbcr", tiled=True)
    data = bytearray(path.read_bytes())
    start = data.rfind(b"\xff\xda") + 200  # within a block's code
    data[start : start + 2] = b"\xff\xd9"  # here it says that it ends
    path.write_bytes(data)
    with rasterio.open(path) as dataset:
        dataset.read()  # which GDAL takes as read
    assert "Corrupt JPEG data" in refused(path, tiny_path, capfd)


def test_what_a_thread_of_gdal_says_stays_off_standard_error(
    raster: Raster, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = picture(raster, "JP2OpenJPEG", ".jp2", QUALITY=100, REVERSIBLE="YES", BLOCKXSIZE=128, BLOCKYSIZE=128)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 4000 :])
    assert "which fails at" in refused(path, tiny_path, capfd)


def test_a_raster_of_no_rows_is_told() -> None:
    empty = {"count": 1, "dtypes": ("uint8",), "shape": (0, 50), "subdatasets": []}
    with pytest.raises(geomedsr.GeomedsrError, match="of 50 × 0 pixels, expected at least one"):
        _check("no.nc", SimpleNamespace(**empty))


def with_thumbnail(picture: bytes, thumbnail: bytes) -> bytes:
    """A JPEG with another in its EXIF, as cameras write it: in the second directory, the first being empty."""
    place = 14
    start = place + 2 + 5 * 12 + 4
    fields = [(0x0103, 3, 6), (0x0100, 4, 48), (0x0101, 4, 48), (0x0201, 4, start), (0x0202, 4, len(thumbnail))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    second = struct.pack("<H", len(fields)) + entries
    exif = b"Exif\0\0II*\0" + struct.pack("<IHI", 8, 0, place) + second + bytes(4) + thumbnail
    return picture[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + picture[2:]


def test_a_thumbnail_that_was_cut_off_leaves_the_picture(raster: Raster, tmp_path: Path) -> None:
    pixels = texture(1, 96, 96, "uint8").repeat(8, 1).repeat(8, 2)
    whole = raster(pixels, "a.jpg", driver="JPEG").read_bytes()
    small = raster(pixels[:, ::16, ::16], "b.jpg", driver="JPEG").read_bytes()
    found = []
    for name, thumbnail in (("whole.jpg", small), ("cut.jpg", small[:-40])):
        path = tmp_path / name
        path.write_bytes(with_thumbnail(whole, thumbnail))
        scene = geomedsr.open(path)
        found.append(scene.source.overview(48 * 48))
        np.testing.assert_array_equal(scene.data.values, geomedsr.open(tmp_path / "a.jpg").data.values)
        assert scene.values.bounds()[1].item() > 0  # the value scale is found without it
    assert found[0] is not None
    assert found[0][0].shape == (1, 1, 48, 48)
    assert found[1] is None
