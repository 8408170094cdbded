"""The command line: what it prints, how it exits, and that failures leave nothing behind."""

import fcntl
import gc
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from conftest import SAMPLE, save_tiny, texture

import geomedsr
from geomedsr.cli import main

Raster = Callable[..., Path]
INPUT = str(SAMPLE / "input.tif")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "sr.tif"


def fails(capsys: pytest.CaptureFixture[str], out: Path | None, *words: str | Path) -> str:
    """Run a command that must fail: exit 2, one line, no traceback, nothing left."""
    before = None if out is None else {p: p.read_bytes() for p in out.parent.rglob("*") if p.is_file()}
    assert main([str(w) for w in words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    if out is not None:
        assert {p: p.read_bytes() for p in out.parent.rglob("*") if p.is_file()} == before
        assert not list(out.parent.glob(".*"))
    return lines[0]


def test_upscale_writes_and_says_so(tiny_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upscale", INPUT, str(out), "--model", str(tiny_path)]) == 0
    captured = capsys.readouterr()
    assert "384 × 288 pixels, 4 × uint16, ×4 by tiny 0.0.1" in captured.out
    assert captured.err == ""
    assert [p.name for p in out.parent.iterdir()] == ["sr.tif"]
    with rasterio.open(out) as result:
        assert result.shape == (288, 384)
        assert result.descriptions == ("B02", "B03", "B04", "B08")


def test_quiet_is_quiet(tiny_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upscale", INPUT, str(out), "--model", str(tiny_path), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_quiet_leaves_errors_alone(
    tiny_path: Path, out: Path, raster: Raster, capsys: pytest.CaptureFixture[str]
) -> None:
    array = np.random.default_rng(0).integers(20, 220, (4, 40, 40)).astype(np.uint8)  # its fourth band is no alpha
    words = ["upscale", str(raster(array)), str(out), "--model", str(tiny_path), "--overwrite"]
    assert main(words) == 0
    assert "marked as alpha" in capsys.readouterr().err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([*words[:-1], "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: got the output ")


def test_bands_window_and_json(tiny_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", str(tiny_path), "--bands", "b08,2", "--window", "10,20,30,15", "--json", "--tile", "16"]
    assert main(["upscale", INPUT, str(out), *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"], report["bands"]) == (120, 60, ["B08", "B03"])
    assert report["provenance"]["GEOMEDSR_MODEL"] == "tiny"
    whole = geomedsr.upscale(geomedsr.open(INPUT), tiny_path).data.values[0]
    result = geomedsr.open(out)
    assert (result.data.values[0] == whole[[3, 1], 80:140, 40:160]).all()
    with rasterio.open(INPUT) as source:
        assert result.grid.affine @ (0, 0) == source.transform @ (10, 20)


def test_bbox_may_be_negative(tiny_path: Path, out: Path, raster: Raster) -> None:
    path = raster(texture(1, 20, 30), crs="EPSG:4326", transform=Affine(0.1, 0, -75, 0, -0.1, -10))
    assert main(["upscale", str(path), str(out), "--model", str(tiny_path), "--bbox", "-74.5,-11,-73,-10.2"]) == 0
    with rasterio.open(out) as result:
        assert result.shape == (8 * 4, 15 * 4)
        assert tuple(result.bounds) == pytest.approx((-74.5, -11, -73, -10.2))


def test_bbox_may_be_in_another_crs(
    tiny_path: Path, out: Path, raster: Raster, capsys: pytest.CaptureFixture[str]
) -> None:
    path = raster(texture(1, 60, 80))  # UTM 18N, from 435730, 4179460
    from pyproj import Transformer

    back = Transformer.from_crs(32618, 4326, always_xy=True)
    box = back.transform_bounds(435830, 4179160, 436030, 4179360)
    words = ["upscale", str(path), str(out), "--model", str(tiny_path), "--bbox", ",".join(map(str, box))]
    assert main([*words, "--bbox-crs", "EPSG:4326"]) == 0
    with rasterio.open(out) as result:
        west, south, east, north = result.bounds
    assert (435830 - west, south - 4179160, east - 436030, 4179360 - north) == pytest.approx((5, -5, 5, -5), abs=5.01)
    assert geomedsr.open(path).grid.window_of(*box, 4326).inside((60, 80))
    capsys.readouterr()
    assert "a box that meets the scene's" in fails(capsys, None, *words, "--overwrite")
    assert "got the CRS EPSG:9" in fails(capsys, None, *words, "--overwrite", "--bbox-crs", "EPSG:9")
    assert "without --bbox" in fails(capsys, None, *words[:5], "--overwrite", "--bbox-crs", "EPSG:4326")
    bare = raster(texture(1, 20, 30), "bare.tif", crs=None)
    words[1] = str(bare)
    assert "a scene without a CRS" in fails(capsys, None, *words, "--overwrite", "--bbox-crs", "EPSG:4326")


def test_range_and_no_conserve_change_the_result(tiny_path: Path, out: Path) -> None:
    results = []
    for words in ([], ["--range", "-100,9000"], ["--no-conserve"]):
        assert main(["upscale", INPUT, str(out), "--model", str(tiny_path), "--overwrite", "--quiet", *words]) == 0
        results.append(geomedsr.open(out).data.values)
    assert (results[0] != results[1]).any()
    assert (results[0] != results[2]).any()


def test_info_tells_what_a_file_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", INPUT]) == 0
    text = capsys.readouterr().out
    assert "96 × 72 pixels, 4 × uint16" in text
    assert "EPSG:32618" in text
    assert "B08" in text
    assert main(["info", "--json", INPUT]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"]) == (96, 72)
    assert facts["bounds"] == [436130, 4166500, 439970, 4169380]
    assert facts["bands"][3] == {
        "number": 4, "name": "B08", "kind": "continuous", "role": None, "nodata": 0, "scale": 1.0, "offset": 0.0,
        "units": None, "interpretation": "undefined", "wavelength_um": None,
    }  # fmt: skip


def test_a_raster_needs_no_library_of_other_formats() -> None:
    code = f"import sys, geomedsr; geomedsr.upscale(geomedsr.open({INPUT!r}), 'satellite-x4').source.tile; "
    code += "print({'SimpleITK', 'pydicom', 'xarray', 'zarr', 'sympy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_garbage_is_collected_again_only_where_the_command_put_it_off(capsys: pytest.CaptureFixture[str]) -> None:
    frozen = gc.get_freeze_count()
    gc.disable()
    try:
        assert main(["info", INPUT]) == 0
        assert not gc.isenabled()
        assert gc.get_freeze_count() == frozen
    finally:
        gc.enable()
    for before in ("enable", "disable"):
        code = f"import gc, sys; from geomedsr.cli import command; sys.argv[1:] = ['info', {INPUT!r}]; gc.{before}(); "
        code += "assert command() == 0; print(gc.isenabled(), gc.get_freeze_count() > 0)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == f"{before == 'enable'} True"


def test_models_lists_the_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "satellite-x4 1.2.0: ×4, any bands" in text
    assert "ct-x2 1.2.0: ×2" in text
    assert main(["models", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    found = {card["name"]: card["sha256"] for card in cards}
    assert found == {
        name: geomedsr.load_model(name).sha256
        for name in (
            "ct-slices",
            "ct-x2",
            "mr-slices",
            "mr-x2",
            "pan-x2",
            "pan-x4",
            "repair-gaps",
            "repair-jpeg",
            "satellite-x2",
            "satellite-x4",
            "sentinel2-20m-x2",
        )
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["enlarge"], "enlarge"),
        (["upscale", "a.tif"], "DST"),
        (["upscale", INPUT, "x.tif", "--window", "1,2,3"], "4 numbers COL,ROW,W,H"),
        (["upscale", INPUT, "x.tif", "--window", "a,b,c,d"], "4 numbers"),
        (["upscale", INPUT, "x.tif", "--range", "9,1"], "LO below HI"),
        (["upscale", INPUT, "x.tif", "--window", "0,0,1,1", "--bbox", "0,0,1,1"], "not allowed with"),
        (["upscale", INPUT, "x.tif", "--tile", "many"], "many"),
        (["upscale", INPUT, "x.tif", "--frobnicate"], "--frobnicate"),
    ],
)
def test_bad_usage(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert said in fails(capsys, None, *words)


def test_bad_sources(
    capsys: pytest.CaptureFixture[str], out: Path, tiny_path: Path, raster: Raster, tmp_path: Path
) -> None:
    whole = raster(texture(2, 200, 200), "whole.tif").read_bytes()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "head.tif").write_bytes(whole[:60])
    (tmp_path / "half.tif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tif").write_text("this is not a picture\n" * 20)
    (tmp_path / "link.tif").symlink_to(tmp_path / "gone.tif")
    complex_path = raster(np.ones((1, 5, 5), "complex64"), "complex.tif")
    palette = raster(np.ones((1, 5, 5), "uint8"), "palette.tif", photometric="palette")
    with rasterio.open(palette, "r+") as dataset:
        dataset.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255)})
    cases = {
        tmp_path / "nothing.tif": "does not exist",
        tmp_path: "directory",
        tmp_path / "empty.tif": "empty file",
        tmp_path / "head.tif": "GDAL cannot read",
        tmp_path / "half.tif": "fails at columns",
        tmp_path / "text.tif": "GDAL cannot read",
        tmp_path / "link.tif": "a link to nothing",
        complex_path: "complex64",
        palette: "gdal_translate -expand rgb",
        "/vsizip/nothing.zip/a.tif": "GDAL can read",
    }
    for path, said in cases.items():
        assert said in fails(capsys, out, "upscale", path, out, "--model", tiny_path), path


def test_a_container_without_bands_names_what_is_in_it(
    capsys: pytest.CaptureFixture[str], out: Path, raster: Raster, tmp_path: Path
) -> None:
    inner, box = raster(texture(1, 50, 50, "uint8", low=0, high=200)), tmp_path / "box.gpkg"
    for table in ("one", "two"):
        rasterio.shutil.copy(inner, box, driver="GPKG", RASTER_TABLE=table, APPEND_SUBDATASET="YES")
    assert f"such as GPKG:{box}:" in fails(capsys, out, "upscale", box, out)


def test_bad_options_for_a_good_source(
    capsys: pytest.CaptureFixture[str], out: Path, tiny_path: Path, tmp_path: Path
) -> None:
    joint = save_tiny(tmp_path / "rgb.safetensors", channels=3)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_path.read_bytes()[:-9])
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    cases: list[tuple[list[str | Path], str]] = [
        (["--bands", "B99"], "1 (B02), 2 (B03), 3 (B04), 4 (B08)"),
        (["--bands", ""], "name at least one"),
        (["--window", "90,0,50,50"], "96 × 72"),
        (["--window", "0,0,0,5"], "96 × 72"),
        (["--bbox", "0,0,1,1"], "436130"),
        (["--bbox", "-inf,-inf,inf,inf"], "finite"),
        (["--bands", "²"], "'²'"),
        (["--range", "0,1e308"], "within float32"),
        (["--range", "0,1e-320"], "within float32"),
        (["--tile", "0"], "tile of 0"),
        (["--device", "cuda:7"], "cuda:7"),
        (["--device", "quantum"], "quantum"),
        (["--nearest", "QA"], "'QA'"),
        (["--range", "nan,1"], "LO"),
        (["--model", "no-such"], "satellite-x4"),
        (["--model", joint], "4 bands for the model tiny of 3 channels"),
        (["--model", cut], "not readable as safetensors"),
        (["--model", text], "not readable as safetensors"),
        (["--model", tmp_path], "directory"),
    ]
    for words, said in cases:
        model = [] if "--model" in words else ["--model", tiny_path]
        assert said in fails(capsys, out, "upscale", INPUT, out, *model, *words), words


def test_bad_destinations(capsys: pytest.CaptureFixture[str], out: Path, tiny_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.tif"
    shutil.copy(INPUT, source)
    (tmp_path / "same.tif").symlink_to(source)
    os.link(source, tmp_path / "hard.tif")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "file").touch()
    out.write_bytes(b"precious")
    cases = [
        (source, "the input itself"),
        (tmp_path / "same.tif", "the input itself"),
        (tmp_path / "hard.tif", "the input itself"),
        (tmp_path / "folder.tif", "a directory"),
        (tmp_path / "missing" / "x.tif", "a folder that exists"),
        (tmp_path / "file" / "x.tif", "a folder that exists"),
        ("/proc/x.tif", "permission"),
        (tmp_path / "x.xyz", "result.tif for a raster"),
        (tmp_path / "none", "result.tif for a raster"),
        ("/vsimem/x.tif", "local disk"),
        (tmp_path / "x.png", None),
        (tmp_path / "x.jpg", "write a .tif"),
        (out, "--overwrite"),
    ]
    for target, said in cases:
        if said is not None:
            words = ["upscale", source, target, "--model", tiny_path, *(["--overwrite"] if target != out else [])]
            assert said in fails(capsys, out, *words), target
    assert out.read_bytes() == b"precious"
    assert source.read_bytes() == Path(INPUT).read_bytes()


def test_the_source_is_recognised_behind_other_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_path: Path
) -> None:
    source, view = tmp_path / "source.tif", tmp_path / "view.vrt"
    shutil.copy(INPUT, source)
    rasterio.shutil.copy(source, view, driver="VRT")
    for name in (view, f"vrt://{source}?bands=1", f"GTIFF_DIR:1:{source}", f"file://{source}"):
        words = ["upscale", name, source, "--model", tiny_path, "--overwrite"]
        assert "the input itself" in fails(capsys, source, *words), name


@pytest.mark.parametrize("limit", [50_000, 300_000, 1_000_000])
def test_a_full_disk_is_one_line(tiny_path: Path, out: Path, raster: Raster, limit: int) -> None:
    """GDAL does not report every failed write; a file-size limit fails them as a full disk does."""
    noise = np.random.default_rng(0).integers(1, 60_000, (1, 200, 200)).astype("uint16")
    words = ["upscale", str(raster(noise)), str(out), "--model", str(tiny_path), "--tile", "64", "--quiet"]
    code = f"""
import resource, signal, sys
from geomedsr.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(main({words!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: got the output")
    assert done.stderr.count("\n") == 1
    assert not out.exists()
    kept = len(list(out.parent.glob(".*/*/f*.tif")))
    assert kept == {50_000: 0, 300_000: kept, 1_000_000: 4}[limit]
    assert (f"{kept} of 4 regions are kept" in done.stderr) == bool(kept)
    assert kept or list(out.parent.iterdir()) == []


def test_too_little_disk_is_seen_before_the_work(
    capsys: pytest.CaptureFixture[str], out: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 19}))
    assert "0.5 MiB of free disk" in fails(capsys, out, "upscale", INPUT, out, "--model", tiny_path)


def test_a_file_that_appears_meanwhile_is_not_replaced(
    capsys: pytest.CaptureFixture[str], out: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomedsr_geotiff import tiff

    fill = tiff.fill

    def late(path: Path, blocks: tiff.Blocks) -> int:
        size = fill(path, blocks)
        monkeypatch.setattr(Path, "exists", lambda path: False)  # as seen a moment before it appears
        out.write_bytes(b"precious")
        return size

    monkeypatch.setattr(tiff, "fill", late)
    assert main(["upscale", INPUT, str(out), "--model", str(tiny_path)]) == 2
    assert "which exists" in capsys.readouterr().err
    assert out.read_bytes() == b"precious"
    assert [p.name for p in out.parent.iterdir() if not p.name.startswith(".")] == ["sr.tif"]


def test_overwriting_replaces_the_file_and_its_stale_companions(out: Path, tiny_path: Path) -> None:
    out.write_bytes(b"old")
    for suffix in (".aux.xml", ".ovr", ".msk"):
        out.with_name(out.name + suffix).write_bytes(b"about the old one")
    assert main(["upscale", INPUT, str(out), "--model", str(tiny_path), "--overwrite", "--quiet"]) == 0
    assert [p.name for p in out.parent.iterdir()] == ["sr.tif"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (3, 3)])
def test_tiny_scenes_without_crs(out: Path, raster: Raster, shape: tuple[int, int]) -> None:
    from rasterio.errors import NotGeoreferencedWarning

    with pytest.warns(NotGeoreferencedWarning):
        path = raster(texture(1, *shape, "uint8", low=3, high=250), crs=None, transform=None)
    assert main(["upscale", str(path), str(out), "--quiet"]) == 0
    result = geomedsr.open(out)
    assert result.shape == (1, 1, shape[0] * 4, shape[1] * 4)
    assert result.grid.affine is None
    assert result.grid.crs is None


def test_an_internal_fault_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("geomedsr.cli.info.open_scene", lambda path, **options: 1 / 0)
    assert main(["info", INPUT]) == 1
    assert "internal fault: ZeroDivisionError" in capsys.readouterr().err


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "geomedsr.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_as_a_process_it_is_silent_off_a_terminal_and_fails_in_one_line(tiny_path: Path, out: Path) -> None:
    good = run("upscale", INPUT, out, "--model", tiny_path)
    assert (good.returncode, good.stderr) == (0, "")
    bad = run("upscale", "nope.tif", out)
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1
    assert "Traceback" not in bad.stderr


def test_on_a_terminal_a_bar_tells_rate_and_time_left(tiny_path: Path, out: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    command = [
        sys.executable,
        "-m",
        "geomedsr.cli",
        "upscale",
        INPUT,
        str(out),
        "--model",
        str(tiny_path),
        "--tile",
        "16",
    ]
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert re.search(rb"100%.*\[\d\d:\d\d<\d\d:\d\d, +[\d.]+[kM]?px/s\]", seen), seen


def test_a_terminal_without_the_signs_we_print(tiny_path: Path, out: Path) -> None:
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "geomedsr.cli", "upscale", INPUT, str(out), "--model", str(tiny_path)]
    done = subprocess.run(command, capture_output=True, env=plain)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"384 ? 288 pixels" in done.stdout


def test_the_longest_name_there_is(tiny_path: Path, out: Path) -> None:
    longest = out.with_name("n" * 251 + ".tif")
    assert main(["upscale", INPUT, str(longest), "--model", str(tiny_path), "--quiet"]) == 0
    assert geomedsr.open(longest).shape == (1, 4, 288, 384)


def test_a_programs_signals_are_its_own_after_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["models"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
    with ThreadPoolExecutor(1) as pool:  # where no handler may be set
        assert pool.submit(main, ["models"]).result() == 0
    assert "satellite-x4" in capsys.readouterr().out
