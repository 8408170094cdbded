"""Files put together from the blocks of regions: as GDAL itself would have written them, pixel for pixel."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import texture
from rasterio.enums import Resampling
from rio_cogeo.cogeo import cog_validate

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import OutputError
from geomedsr.geometry.grid import Window
from geomedsr.io import open_sink
from geomedsr.io.publishing import place
from geomedsr.scene.scene import Band, Scene
from geomedsr_geotiff import tiff
from geomedsr_geotiff.regions import BLOCK, BlockReader, Encoding, Tiling, open_level
from geomedsr_geotiff.sink import RasterSink

Raster = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def written(scene: Scene, path: Path, side: int, **options: Any) -> Path:
    """The scene itself (not upscaled) as a raster, by regions of about ``side`` pixels."""
    from dataclasses import replace

    class Sized(type(scene.source)):  # type: ignore[misc]
        block = (side, side)

    source = Sized(**{f: getattr(scene.source, f) for f in scene.source.__dataclass_fields__})
    geomedsr.write(replace(scene, source=source), path, **options)
    return path


def levels(path: Path) -> list[np.ndarray]:
    """The image and its overviews, masked."""
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
        found = [dataset.read(masked=True)]
    for level in range(count):
        with rasterio.open(path, overview_level=level) as dataset:
            found.append(dataset.read(masked=True))
    return found


CASES: dict[str, tuple[tuple[int, int, int], str, dict[str, Any]]] = {
    "one block": ((1, 300, 200), "uint8", {}),
    "odd sizes": ((3, 1301, 1777), "uint16", {}),
    "nodata": ((2, 1200, 2100), "int16", {"nodata": -1}),
    "floats": ((1, 1100, 1030), "float32", {"nodata": float("nan")}),
    "mask": ((2, 1500, 1100), "uint16", {"mask": True}),
    "wide": ((1, 520, 4300), "uint8", {}),
    "nodata in some regions": ((1, 520, 9300), "uint16", {"nodata": 0}),
}


@pytest.mark.parametrize("side", [512, 1024, 4096])
@pytest.mark.parametrize("case", CASES)
def test_the_same_pixels_and_overviews_as_gdals_own_of_whole_blocks(case: str, side: int, tmp_path: Path) -> None:
    shape, dtype, facts = CASES[case]
    array = texture(*shape, dtype, low=3, high=250)
    hole = np.zeros(shape[1:], bool)
    hole[: shape[1] // 3, : shape[2] // 2] = True
    hole[-40:, -300:-7] = True
    mask = None
    if "nodata" in facts:
        array[:, hole] = facts["nodata"]
    if "mask" in facts:
        mask = ~hole
    bands = [Band(str(i), nodata=facts.get("nodata")) for i in range(shape[0])]
    scene = Scene.from_array(array, valid=None if mask is None else mask[None], bands=bands)
    ours = written(scene, tmp_path / "ours.tif", side)
    assert cog_validate(str(ours), strict=True)[0]

    # GDAL's overviews stretch an odd number of pixels; of the image with its last pixels repeated they do not.
    count = int(np.ceil(np.log2(max(1, max(shape[1:]) / BLOCK))))
    more = [(0, -n % 2**count) for n in shape[1:]]
    plain = tmp_path / "plain.tif"
    array = np.pad(array, [(0, 0), *more], mode="edge")
    mask = None if mask is None else np.pad(mask, more, mode="edge")
    size = {"count": shape[0], "height": array.shape[1], "width": array.shape[2]}
    profile = {**size, "dtype": dtype, "nodata": facts.get("nodata")}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(plain, "w", driver="GTiff", **profile) as dataset:
            dataset.write(array)
            if mask is not None:
                dataset.write_mask(mask)
        with rasterio.open(ours) as one, rasterio.open(plain, "r+") as dataset:
            assert len(one.overviews(1)) == count
            if count:
                dataset.build_overviews([2**n for n in range(1, count + 1)], Resampling.average)
    with rasterio.open(ours) as one, rasterio.open(plain) as other:
        assert one.block_shapes == [(BLOCK, BLOCK)] * shape[0]
        assert [f.name for f in one.mask_flag_enums[0]] == [f.name for f in other.mask_flag_enums[0]]
    for level, (got, wanted) in enumerate(zip(levels(ours), levels(plain), strict=True)):
        assert got.shape == (shape[0], *(-(-n // 2**level) for n in shape[1:]))
        # All but the last row and column, which may stand for fewer pixels.
        whole = (slice(None), *(slice(n // 2**level) for n in shape[1:]))
        edges = got[:, :, -1].compressed(), got[:, -1].compressed()
        assert all(len(edge) and 3 <= edge.min() <= edge.max() <= 250 for edge in edges)
        got, wanted = got[whole], wanted[whole]
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(wanted))
        np.testing.assert_array_equal(got.filled(0), wanted.filled(0))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("nodata", [None, 0, 131])
def test_overviews_are_averaged_as_gdal_does(
    dtype: str, nodata: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(1, 131, (2, 2 * BLOCK, 4 * BLOCK)).astype(dtype)
    values[0, :BLOCK] = np.random.default_rng(1).integers(1, 3, (BLOCK, 4 * BLOCK))  # halves are rounded up
    encoding = Encoding(2, dtype, nodata, "average")
    quick, gdals = tmp_path / "quick.tif", tmp_path / "gdal.tif"
    encoding.store(quick, values, None, 2)
    monkeypatch.setattr(Encoding, "_halved", lambda *_: None)
    encoding.store(gdals, values, None, 2)
    for number in range(3):
        with open_level(quick, number) as one, open_level(gdals, number) as other:
            assert one.shape == (2 * BLOCK >> number, 4 * BLOCK >> number)
            assert (one.read() == other.read()).all()


def test_scratch_space_is_no_more_than_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published leaves the folder; what is then in it was there beside the result."""
    left = []

    def discard(sink: RasterSink) -> None:
        sizes = [path.stat() for path in sink.scratch.folder.iterdir()]
        left.append(sum(size.st_size for size in sizes if size.st_nlink == 1))  # the result has two names now
        sink.scratch.discard()

    monkeypatch.setattr(RasterSink, "discard", discard)
    noise = np.random.default_rng(0).integers(1, 60_000, (1, 4096, 4096)).astype("uint16")
    for side in (1024, 2048):  # two storeys and one above the regions; overviews of noise are as large for their pixels
        path = written(Scene.from_array(noise), tmp_path / f"{side}.tif", side)
        assert left.pop() < 1.001 * path.stat().st_size


def test_pixels_without_data_are_left_to_gdal() -> None:
    values = np.random.default_rng(0).integers(1, 131, (1, BLOCK, BLOCK)).astype(np.uint16)
    encoding = Encoding(1, "uint16", 0, "average")
    assert encoding._halved(values, 1) is not None
    values[0, 7, 9] = 0
    assert encoding._halved(values, 1) is None
    assert Encoding(1, "uint16", 66, "average")._halved(np.array([[[65, 67], [65, 67]]], np.uint16), 1) is None


def test_classes_are_not_averaged(tmp_path: Path) -> None:
    array = np.random.default_rng(0).choice([3, 200], (1, 1100, 1200)).astype("uint8")
    scene = Scene.from_array(array).with_nearest([1])
    for side in (512, 1024):
        found = levels(written(scene, tmp_path / f"{side}.tif", side))
        assert len(found) == 3
        assert all(set(np.unique(level)) == {3, 200} for level in found)


def test_a_plain_geotiff(tmp_path: Path) -> None:
    scene = Scene.from_array(texture(2, 700, 1300))
    path = written(scene, tmp_path / "plain.tif", 512, format="gtiff")
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1) == []
        assert dataset.profile["compress"] == "zstd"
        assert dataset.profile["tiled"]
        np.testing.assert_array_equal(dataset.read(), scene.data.values[0])
    assert b"LAYOUT" not in path.read_bytes()[:512]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sr.tif", "--format", "hdf"], "one of cog, gtiff, png, jpeg, or zarr"),
        (["sr.tif", "--format", "png"], "a name in .png"),
        (["sr.png", "--format", "cog"], "a name in .tif or .tiff"),
        (["sr.zarr", "--format", "cog"], "got the format cog"),
    ],
)
def test_formats_that_do_not_fit_the_name(
    words: list[str], message: str, raster: Raster, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = raster(texture(1, 40, 40))
    name, *options = words
    assert main(["upscale", str(path), str(path.with_name(name)), "--model", str(tiny_path), *options]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert [p.name for p in path.parent.iterdir()] == ["in.tif"]


def test_files_beyond_4_gib_are_laid_out_as_big_ones(tmp_path: Path) -> None:
    """A sparse file of 70 000 × 70 000 pixels, filled with blocks of one kind."""
    side = 70_000
    encoding = Encoding(1, "uint8", None, "average")
    path = tmp_path / "big.tif"
    with rasterio.open(path, "w", height=side, width=side, sparse_ok=True, BIGTIFF="YES", **encoding.profile):
        pass
    block = texture(1, BLOCK, BLOCK, "uint8", low=3, high=250)
    small = tmp_path / "small.tif"
    encoding.store(small, block, None, 0)
    reader = BlockReader()
    empty = reader.read(small, 0, False, 0, 0)
    wanted = {(0, 0), (136, 136), (70, 3)}
    size = tiff.fill(path, lambda level, mask, row, col: empty if (row, col) in wanted else b"")
    reader.close()
    assert path.stat().st_size == size
    with rasterio.open(path) as dataset:
        for row, col in wanted:
            place = rasterio.windows.Window(col * BLOCK, row * BLOCK, BLOCK, BLOCK)
            got = dataset.read(1, window=place)
            np.testing.assert_array_equal(got, block[0, : got.shape[0], : got.shape[1]])
        assert not dataset.read(1, window=rasterio.windows.Window(5000, 5000, 100, 100)).any()


def test_no_tiff_is_told() -> None:
    for data in (b"", b"MM\0*\0\0\0\x08" + bytes(20), b"II*\0\xff\xff\0\0" + bytes(20)):
        with pytest.raises(OSError, match=r"TIFF"):
            tiff.Tiff(io.BytesIO(data))


@pytest.mark.parametrize(
    ("shape", "block", "side", "levels"),
    [
        ((100, 100), (1024, 1024), 512, 0),
        ((3000, 3000), (2048, 2048), 2048, 2),
        ((3000, 2000), (4096, 4096), 4096, 3),
        ((9000, 9000), (768, 768), 1024, 1),
        ((9000, 9000), (1100, 1100), 2048, 2),
        ((9000, 9000), (1000, 1000), 1024, 1),
        ((9000, 9000), (64, 64), 512, 0),
    ],
)
def test_regions_end_where_blocks_do(shape: tuple[int, int], block: tuple[int, int], side: int, levels: int) -> None:
    tiling = Tiling.of(shape, block)
    assert (tiling.side, tiling.levels) == (side, levels)


def test_a_small_disk_that_fills_up_is_told_and_the_job_goes_on(raster: Raster, tmp_path: Path) -> None:
    """A real one: a file system of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        noise = np.random.default_rng(0).integers(1, 60_000, (1, 300, 300)).astype("uint16")
        source, out = raster(noise), disk / "sr.tif"
        command = [sys.executable, "-m", "geomedsr.cli", "upscale", str(source), str(out), "--tile", "128", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "No space left on device" in done.stderr
        assert "regions are kept: the same command goes on from there" in done.stderr
        assert not out.exists()
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        again = subprocess.run([*command, "--json"], capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert '"resumed": 0' not in again.stdout
        assert [p.name for p in disk.iterdir()] == ["sr.tif"]
        assert cog_validate(str(out), strict=True)[0]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_picture_that_does_not_fit_is_told_in_one_line(raster: Raster, tmp_path: Path, tiny_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        source = raster(np.random.default_rng(0).integers(0, 255, (3, 250, 250)).astype("uint8"))
        command = [sys.executable, "-m", "geomedsr.cli", "upscale", str(source), str(disk / "sr.png"), "--quiet"]
        done = subprocess.run([*command, "--model", str(tiny_path)], capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "No space left on device" in done.stderr
        assert "the same command goes on from there" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        assert subprocess.run([*command, "--model", str(tiny_path)]).returncode == 0
        assert [p.suffix for p in sorted(disk.iterdir())] == [".png", ".xml"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_images_come_from_regions_too(tmp_path: Path) -> None:
    array = texture(3, 700, 900, "uint8", low=3, high=250)
    path = written(Scene.from_array(array), tmp_path / "picture.png", 512)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), array)


def test_formats_refuse_what_they_cannot_hold(tmp_path: Path) -> None:
    scene = Scene.from_array(texture(1, 40, 40))
    with pytest.raises(OutputError, match="the option nonsense for a raster"):
        geomedsr.write(scene.crop(Window(0, 0, 20, 20)), tmp_path / "a.tif", nonsense=1)


def test_what_jpeg_cannot_hold_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"got 70000 pixels for JPEG, expected at most 65535"):
        open_sink(Scene.from_array(np.zeros((1, 8, 70000), np.uint8)), tmp_path / "wide.jpg")
    assert not any(tmp_path.iterdir())


def test_a_job_that_is_stopped_before_its_result_is_there_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*parts: object) -> None:
        raise KeyboardInterrupt

    array = texture(3, 40, 30, "uint8", low=3, high=250)
    for name in ("a.tif", "a.png"):
        old = {name: b"old", f"{name}.msk": b"its mask", f"{name}.aux.xml": b"its tags", f"{name}.ovr": b"overviews"}
        for part, content in old.items():
            (tmp_path / part).write_bytes(content)
        scene = Scene.from_array(array)
        with monkeypatch.context() as patch:
            patch.setattr("geomedsr.io.publishing.place", stopped)
            with pytest.raises(KeyboardInterrupt):
                geomedsr.write(scene, tmp_path / name, overwrite=True)
        assert {part: (tmp_path / part).read_bytes() for part in old} == old
        geomedsr.write(scene, tmp_path / name, overwrite=True)
        np.testing.assert_array_equal(geomedsr.open(tmp_path / name).data.values[0], array)
        left = [part for part in old if (tmp_path / part).exists() and (tmp_path / part).read_bytes() == old[part]]
        assert left == []


def test_a_file_that_appeared_meanwhile_gets_no_sidecar_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.png"

    def late(result: Path, target: Path, overwrite: bool) -> None:
        target.write_bytes(b"precious")
        place(result, target, overwrite)

    monkeypatch.setattr("geomedsr.io.publishing.place", late)
    scene = Scene.from_array(texture(3, 40, 30, "uint8"), tags={"": {"PLACE": "coast"}, "MAKER": {"LEVEL": "2A"}})
    with pytest.raises(OutputError, match="which exists"):
        geomedsr.write(scene, out)
    assert out.read_bytes() == b"precious"
    assert not out.with_name("a.png.aux.xml").exists()
