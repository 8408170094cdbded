"""From a raster to its two parts, and back: pixels, place, bands, masks and tags; and what is refused."""

import hashlib
import json
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from conftest import SAMPLE, texture
from making import pixels
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

import geomedsr
from geomedsr import Model
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError

Raster = Callable[..., Path]


def split(path: Path, **options: Any) -> tuple[Path, Path]:
    preview, detail = path.with_name("preview.tif"), path.with_name("detail.gdsr")
    geomedsr.split(path, preview, detail, progress=False, **options)
    return preview, detail


def back(path: Path, **options: Any) -> Path:
    """Split and join, and check that nothing is left beside; where the original came out."""
    preview, detail = split(path, **options)
    out = path.with_name("out.tif")
    before = set(os.listdir(path.parent))
    geomedsr.join(preview, detail, out, progress=False)
    assert set(os.listdir(path.parent)) == before | {"out.tif"}
    return out


def same(one: Path, other: Path) -> None:
    """All that a raster holds, and that geomedsr keeps."""
    with rasterio.open(one) as a, rasterio.open(other) as b:
        assert a.read().tobytes() == b.read().tobytes()
        assert (a.dataset_mask() == b.dataset_mask()).all()
        assert repr((a.dtypes, a.nodatavals)) == repr((b.dtypes, b.nodatavals))
        assert (a.crs, a.transform, a.shape) == (b.crs, b.transform, b.shape)
        assert (a.descriptions, a.units, a.scales, a.offsets) == (b.descriptions, b.units, b.scales, b.offsets)
        assert a.colorinterp == b.colorinterp
        assert a.gcps == b.gcps
        assert a.rpcs == b.rpcs
        assert a.tags() == b.tags()
        assert [a.tags(i) for i in a.indexes] == [b.tags(i) for i in b.indexes]


def test_a_real_scene(tmp_path: Path) -> None:
    source = tmp_path / "in.tif"
    source.write_bytes((SAMPLE / "reference.tif").read_bytes())
    preview, detail = split(source)
    assert cog_validate(preview, strict=True) == (True, [], [])
    with rasterio.open(source) as fine, rasterio.open(preview) as coarse:
        stored = fine.read().astype(np.int64)
        bands, height, width = stored.shape
        sums = stored.reshape(bands, height // 4, 4, width // 4, 4).sum((2, 4))
        assert (coarse.read() == (sums + 8) // 16).all()
        assert coarse.transform == fine.transform @ Affine.scale(4)
        assert coarse.bounds == fine.bounds
        assert coarse.overviews(1) == []
    out = tmp_path / "out.tif"
    geomedsr.join(preview, detail, out)
    same(source, out)
    with MemoryFile(ext=".tif") as memory:
        rasterio.shutil.copy(source, memory.name, driver="COG", COMPRESS="ZSTD", PREDICTOR="YES", OVERVIEWS="NONE")
        assert preview.stat().st_size + detail.stat().st_size < 0.9 * len(memory.getbuffer())


def test_the_preview_is_a_scene_like_any(raster: Raster, tiny: Model) -> None:
    path = raster(texture(2, 40, 48))
    preview, _ = split(path)
    fine = geomedsr.upscale(geomedsr.open(preview), tiny)
    assert fine.shape == (1, 2, 40, 48)
    assert fine.grid.affine == geomedsr.open(path).grid.affine


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 37, 50), (3, 45, 39)])
def test_types_and_sizes(raster: Raster, dtype: str, shape: tuple[int, int, int]) -> None:
    path = raster(texture(*shape, dtype, low=2, high=120))
    same(path, back(path))


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_factors(raster: Raster, factor: int) -> None:
    path = raster(texture(2, 61, 47))
    same(path, back(path, factor=factor))
    with rasterio.open(path.with_name("preview.tif")) as coarse:
        assert coarse.shape == (-(-61 // factor), -(-47 // factor))


def test_several_tiles_and_many_bands(raster: Raster) -> None:
    path = raster(np.tile(texture(20, 60, 60, "uint8", low=0, high=250), (1, 5, 9)))
    same(path, back(path))


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint16", 0), ("int16", -9999), ("float32", math.nan), ("float32", -99.0)]
)
def test_no_data(raster: Raster, dtype: str, nodata: float) -> None:
    values = texture(2, 50, 50, dtype)
    values[:, 10:, :23] = nodata
    path = raster(values, nodata=nodata)
    same(path, back(path))
    with rasterio.open(path.with_name("preview.tif")) as coarse:
        assert (coarse.read_masks(1) != 0).sum() == 13 * 13 - 10 * 5


def test_a_mask(raster: Raster) -> None:
    values = texture(2, 40, 40)
    mask = np.ones((40, 40), bool)
    mask[:17, 5:] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = raster(values, edit=lambda dataset: dataset.write_mask(mask))
    same(path, back(path))
    with rasterio.open(path.with_name("preview.tif")) as coarse:
        assert (coarse.dataset_mask()[:4, 2:] == 0).all()
        assert (coarse.dataset_mask()[4:] == 255).all()


@pytest.mark.filterwarnings("ignore:.*marked as alpha:geomedsr.errors.SceneWarning")
def test_alpha(raster: Raster) -> None:
    values = texture(4, 40, 40, "uint8", low=1, high=250)
    values[3] = 255
    values[3, :13, :18] = 0

    def edit(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]

    path = raster(values, edit=edit)
    same(path, back(path))


def test_what_is_told_of_a_raster(raster: Raster) -> None:
    def edit(dataset: Any) -> None:
        dataset.descriptions = ("B02é", "B8A")
        dataset.units = ("W", None)
        dataset.scales, dataset.offsets = (0.0001, 1.0), (-0.1, 0.0)
        dataset.update_tags(WHERE="here = é", AREA_OR_POINT="Point")
        dataset.update_tags(2, WAVELENGTH="865")
        dataset.update_tags(ns="MINE", a="b")

    path = raster(texture(2, 30, 30), edit=edit)
    out = back(path)
    same(path, out)
    with rasterio.open(out) as dataset:
        assert dataset.tags(ns="MINE") == {"a": "b"}


def test_points_on_the_ground(raster: Raster) -> None:
    points = [GroundControlPoint(r, c, 10.0 + c, 50.0 - r, 3.5, f"p{r}{c}") for r in (0, 30) for c in (0, 25.5)]
    path = raster(texture(1, 33, 26), gcps=points, transform=None)
    preview, detail = split(path)
    with rasterio.open(preview) as coarse:
        assert [(p.row, p.col) for p in coarse.gcps[0]] == [(p.row / 4, p.col / 4) for p in points]
    out = path.with_name("out.tif")
    geomedsr.join(preview, detail, out)
    with rasterio.open(path) as a, rasterio.open(out) as b:
        assert [p.asdict() for p in a.gcps[0]] == [p.asdict() for p in b.gcps[0]]


def test_a_palette(raster: Raster) -> None:
    values = (texture(1, 40, 40, "uint8", low=0, high=5)).astype("uint8")

    def edit(dataset: Any) -> None:
        dataset.write_colormap(1, {i: (i, 2 * i, 3 * i, 255) for i in range(256)})
        dataset.colorinterp = [ColorInterp.palette]

    path = raster(values, edit=edit)
    out = back(path)
    same(path, out)
    with rasterio.open(path) as a, rasterio.open(out) as b:
        assert a.colormap(1) == b.colormap(1)


def test_other_programs_may_copy_the_preview_without_loss(raster: Raster) -> None:
    path = raster(texture(2, 40, 40))
    preview, detail = split(path)
    copy = path.with_name("copy.tif")
    rasterio.shutil.copy(preview, copy, driver="GTiff", COMPRESS="LZW")
    geomedsr.join(copy, detail, path.with_name("out.tif"))
    same(path, path.with_name("out.tif"))


def refused(*words: Any) -> str:
    """What the command says, in one line; nothing may come of it."""
    with pytest.raises(InputError) as caught:
        geomedsr.join(*words)
    assert not Path(words[-1]).exists()
    return str(caught.value)


def test_a_preview_that_was_changed(raster: Raster) -> None:
    path = raster(texture(1, 64, 64))
    preview, detail = split(path)
    with rasterio.open(preview, "r+") as dataset:
        values = dataset.read()
        values[0, 15, 15] += 1
        dataset.write(values)
    assert "pixels are not those" in refused(preview, detail, path.with_name("out.tif"))


def test_parts_of_two_splits(raster: Raster) -> None:
    one = raster(texture(1, 64, 64), name="one.tif")
    other = raster(texture(1, 64, 64, seed=5), name="other.tif")
    small = raster(texture(1, 20, 64), name="small.tif")
    _, detail = split(one)
    for path in (other, small):
        preview = path.with_suffix(".preview.tif")
        geomedsr.split(path, preview, path.with_suffix(".gdsr"))
        told = refused(preview, detail, path.with_name("out.tif"))
        assert ("16 × 5 pixels" in told) == (path == small)


def test_a_detail_file_that_was_cut_off_or_changed(raster: Raster) -> None:
    path = raster(texture(1, 40, 40))
    preview, detail = split(path)
    whole = detail.read_bytes()
    for size in [0, 4, 11, 12, 13, 100, len(whole) // 2, len(whole) - 33, len(whole) - 1]:
        detail.write_bytes(whole[:size])
        told = refused(preview, detail, path.with_name("out.tif"))
        assert "no detail file" in told if size < 8 else "cut off or changed" in told
    for at in range(8, len(whole), 97):
        changed = bytearray(whole)
        changed[at] ^= 1
        detail.write_bytes(changed)
        told = refused(preview, detail, path.with_name("out.tif"))
        assert "of version" in told if at < 12 else "cut off or changed" in told
    detail.write_bytes(whole + b"\n")
    assert "cut off or changed" in refused(preview, detail, path.with_name("out.tif"))
    detail.write_bytes(b"\x89GDSR\n\x1a" + whole[8:])
    assert "no detail file" in refused(preview, detail, path.with_name("out.tif"))


def forged(whole: bytes, layout: dict[str, Any], scene: dict[str, Any], kept: tuple[int, bytes] | None = None) -> bytes:
    """A detail file that was made to hurt, its checksum being right; ``kept`` are a length and bytes."""
    facts_at, kept_at, index_at, _, kept_size, index_size = struct.unpack("<QQQQQQ", whole[-80:-32])
    told = json.loads(zlib.decompress(whole[facts_at:kept_at]))
    facts = {**told, "layout": {**told["layout"], **layout}, "scene": {**told["scene"], **scene}}
    text = json.dumps(facts).encode()
    size, packed = (kept_size, whole[kept_at:index_at]) if kept is None else kept
    parts = [zlib.compress(text, 9), packed]
    places = [facts_at, facts_at + len(parts[0]), facts_at + len(parts[0]) + len(parts[1])]
    made = whole[:facts_at] + b"".join(parts) + whole[index_at:-80]
    made += struct.pack("<QQQQQQ", *places, len(text), size, index_size)
    return made + hashlib.sha256(made).digest()


def test_a_detail_file_made_to_hurt(raster: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.transfer.detail._KEPT", 900)
    path = raster(texture(1, 40, 40), nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.zeros((1, 4, 4), np.uint16), window=((0, 4), (0, 4)))  # so that the nodata value is put back
    preview, detail = split(path)
    whole, out = detail.read_bytes(), path.with_name("out.tif")
    detail.write_bytes(forged(whole, {}, {}))
    geomedsr.join(preview, detail, out, progress=False)
    same(path, out)
    out.unlink()
    layouts: list[dict[str, Any]] = [
        {"shape": [1, 1, 10**9, 10**9]},
        {"factor": 0},
        {"side": 0},
        {"side": 1 << 16},  # a tile that would need gigabytes
        {"dtype": "object"},
        {"nodata": []},
        {"nodata": ["a"]},
        {"nodata": [10**30]},
        {"nodata": [{}]},
        {"masking": ["no"]},
    ]
    scenes: list[dict[str, Any]] = [{"bands": []}, {"tags": []}, {"rescale": [["a", 1]]}, {"provenance": 1}]
    grid = json.loads(zlib.decompress(whole[slice(*struct.unpack("<QQ", whole[-80:-64]))]))["scene"]["grid"]
    scenes += [{"grid": {}}, {"grid": {**grid, "shape": [40, 41]}}]
    bomb = zlib.compress(b"\0" * 1000)
    for made in [
        *(forged(whole, layout, {}) for layout in layouts),
        *(forged(whole, {}, scene) for scene in scenes),
        *(forged(whole, {}, {}, (size, bomb)) for size in (10, 1000, 1001, 1 << 63)),
    ]:
        detail.write_bytes(made)
        assert "cut off or changed" in refused(preview, detail, out)


def test_what_only_the_sum_over_the_file_tells(raster: Raster) -> None:
    preview, detail = split(raster(texture(1, 40, 40), nodata=0))
    made = forged(detail.read_bytes(), {}, {"crs": "EPSG:3857"})
    out = preview.with_name("out.tif")
    detail.write_bytes(made[:-32] + detail.read_bytes()[-32:])  # the facts of another, in order but for the sum
    with pytest.raises(InputError, match="cut off or changed"):
        geomedsr.join(preview, detail, out, progress=False)
    assert not out.exists()


def test_what_would_not_be_read_back_is_not_split(raster: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.transfer.detail._FACTS", 500)
    path = raster(texture(1, 40, 40))
    with pytest.raises(InputError, match="names, tags and places beside the pixels"):
        split(path)
    assert os.listdir(path.parent) == ["in.tif"]


def test_a_pipe_is_no_detail_file(raster: Raster) -> None:
    path = raster(texture(1, 40, 40))
    preview, detail = split(path)
    detail.unlink()
    os.mkfifo(detail)
    assert "a pipe or device" in refused(preview, detail, path.with_name("out.tif"))


def test_a_path_may_come_to_hold_another_detail_file(raster: Raster) -> None:
    """Within one process, which keeps tiles that it has decoded."""
    for seed in (1, 2):
        path = raster(texture(1, 40, 40, seed=seed))
        preview, detail = split(path, overwrite=True)
        out = path.with_name("out.tif")
        geomedsr.join(preview, detail, out, overwrite=True, progress=False)
        same(path, out)


def test_nothing_is_overwritten(raster: Raster) -> None:
    path = raster(texture(1, 40, 40))
    preview, detail = split(path)
    before = preview.read_bytes(), detail.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        split(path)
    detail.unlink()
    with pytest.raises(OutputError, match="exists"):
        split(path)
    assert not detail.exists()
    split(path, overwrite=True)
    assert (preview.read_bytes(), detail.read_bytes()) == before
    with pytest.raises(OutputError, match="exists"):
        geomedsr.join(preview, detail, path)
    with pytest.raises(OutputError, match="input itself"):
        geomedsr.join(preview, detail, preview, overwrite=True)


def test_a_source_that_fails_leaves_nothing(raster: Raster) -> None:
    path = raster(texture(1, 600, 600), compress="zstd", tiled=True, blockxsize=256, blockysize=256)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\0" * 2000)
    with pytest.raises(InputError):
        split(path)
    assert not any(p.name in ("preview.tif", "detail.gdsr") for p in path.parent.iterdir())


def test_the_commands(raster: Raster, capsys: pytest.CaptureFixture[str]) -> None:
    path = raster(texture(1, 40, 48))
    preview, detail, out = (str(path.with_name(name)) for name in ("p.tif", "d.gdsr", "out.tif"))
    assert main(["split", str(path), preview, detail, "--factor", "2", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["split", str(path), preview, detail, "--json", "--overwrite"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["preview_bytes"] == os.path.getsize(preview)
    assert told["size"] == [10, 12]
    assert main(["join", preview, detail, out]) == 0
    assert capsys.readouterr().out == f"{out}: 48 × 40 pixels, 1 × uint16, as they were\n"
    same(path, Path(out))
    for words in (
        ["join", detail, preview, out],
        ["join", preview, str(path), out],
        ["join", preview, preview + "no", out],
        ["split", str(path), preview, str(path.with_name("d.bin"))],
        ["split", str(path), str(path.with_name("q.tif")), str(path.with_name("d2.gdsr")), "--factor", "1"],
    ):
        assert main([*words, "--overwrite"]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: got")
        assert told.count("\n") == 1
    assert sorted(os.listdir(path.parent)) == ["d.gdsr", "in.tif", "out.tif", "p.tif"]


def test_a_stopped_call_goes_on(raster: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiles that were there are not made again, and the same file comes out."""
    from geomedsr.transfer import sink

    path = raster(np.tile(texture(1, 60, 60), (1, 10, 18)))
    made: list[str] = []
    encode = sink.encode

    def counted(*given: Any) -> bytes:
        made.append("")
        if len(made) == 3:
            raise KeyboardInterrupt
        return encode(*given)

    monkeypatch.setattr(sink, "encode", counted)
    with pytest.raises(KeyboardInterrupt):
        split(path, workers=1)
    assert not path.with_name("preview.tif").exists()
    split(path, workers=1)
    assert len(made) == 3 + 4
    whole = path.with_name("detail.gdsr").read_bytes()
    split(path, overwrite=True)
    assert path.with_name("detail.gdsr").read_bytes() == whole
    assert (
        pixels(geomedsr.open(path))
        == pixels(geomedsr.join(path.with_name("preview.tif"), path.with_name("detail.gdsr"), path.with_name("o.tif")))
    ).all()
