import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from conftest import FLOAT32, save_tiny, texture
from toys import WIDTHS, scene, toy

import geomedsr
from geomedsr import Grid, Model, Scene, Window, load_model
from geomedsr.errors import SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Plane
from geomedsr.inference import process
from geomedsr.inference.memory import BASE, DEFAULT, Need
from geomedsr.inference.passes import Job, Pass, passes
from geomedsr.inference.prediction import Prediction
from geomedsr.io import open_sink

CODE = """
import sys, geomedsr
scene = geomedsr.open(sys.argv[1])
geomedsr.write(geomedsr.upscale(scene, sys.argv[2], tile=512), sys.argv[3])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

PLANES = (Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1)),)

#: Several slices, one after another by one worker, in tiles that take little.
FRAMES = CODE.replace("tile=512)", "tile=128, memory='4GiB')").replace("sys.argv[3])", "sys.argv[3], workers=1)")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_scene(raster: Callable[..., Path], tiny_path: Path, tmp_path: Path) -> None:
    peaks = {}
    for side in (1024, 2560):  # outputs of 128 and 800 MiB, by tiles of one size
        path = raster(texture(4, side, side), f"{side}.tif", tiled=True)
        command = [sys.executable, "-c", CODE, str(path), str(tiny_path), str(tmp_path / "out.tif")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[side] = int(done.stdout) / 1024
        (tmp_path / "out.tif").unlink()
    assert peaks[2560] < peaks[1024] + 150, peaks  # MiB


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_frames_that_are_projected_whole_take_what_is_planned(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "mr.safetensors", 2, size=0.1, domain="MR", operator="k-space-crop")
    peaks, planned = {}, {}
    for side in (512, 1536):
        source, out = tmp_path / f"{side}.mha", tmp_path / "out.mha"
        sitk.WriteImage(sitk.GetImageFromArray(texture(3, side, side, "int16")), str(source))
        command = [sys.executable, "-W", "error", "-c", FRAMES, str(source), str(model), str(out)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[side] = int(done.stdout) << 10
        assert geomedsr.open(out, force=True).shape == (3, 1, 2 * side, 2 * side)
        out.unlink()
        planned[side] = Need.of(load_model(model), FLOAT32, 1, 2, (side, side)).worker(128)
    pixels = 4 * (1536**2 - 512**2)
    grown, meant = ((most[1536] - most[512]) / pixels for most in (peaks, planned))
    assert meant / 2 < grown < 1.1 * meant, (grown, meant, peaks)


def test_a_series_is_planned_by_its_frames_whatever_the_tile(tiny_x2: Model) -> None:
    small, large = (Need.of(tiny_x2, FLOAT32, 1, 2, (side, side)) for side in (1024, 2048))
    grown = (4096**2 - 2048**2) * (8 + 4 * 2)  # a prediction, what conserving takes, copies of 16 bits
    assert large.worker(64) - small.worker(64) == grown
    assert large.network(2048) > 4096**2 * 8 > large.network(512)
    assert large.worker(2048) == large.network(2048) + 4096**2 * 4 * 2  # the prediction is in the network's
    wide = Need.of(tiny_x2, FLOAT32, 1, 2, (900, 1024))
    assert [wide.side(tile) for tile in (64, 500, 512, 600, 2048)] == [64, 342, 512, 512, 1024]
    assert wide.worker(1000) - wide.worker(1024) == (
        wide.network(1000) + 2048 * 1800 * 4 - wide.network(1024)  # two parts are put together
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_regions_are_no_larger_than_planned(scale: int, tmp_path: Path) -> None:
    model = load_model(save_tiny(tmp_path / "m.safetensors", scale))
    scene = Scene.from_array(np.zeros((1, 5000, 5000), "uint16")).with_range(0, 1)
    for tile in (64, 96, 128, 192, 256, 320, 512, 768):
        sr = geomedsr.upscale(scene, model, tile=tile, memory="4GiB")
        need = Need.of(model, FLOAT32, 1, 2)
        sides = {}
        for name in ("a.tif", "a.zarr"):
            sink = open_sink(sr, tmp_path / name)
            sides[name] = sink.block[0]  # type: ignore[attr-defined]
            sink.discard()
        planned = need._region(tile) * scale
        assert max(sides.values()) <= planned < max(sides.values()) + scale, (tile, sides)
        parts = [-(-side // scale) for side in sides.values()]
        assert need.side(tile) >= max(-(-part // -(-part // tile)) for part in parts)


def test_what_is_not_conserved_is_planned_with_its_rounding(tiny: Model) -> None:
    kept, free = (Need.of(tiny, FLOAT32, 1, 2, conserved=conserved) for conserved in (True, False))
    assert free.worker(512) == 2048**2 * (24 + 4 * 2)
    assert free.worker(512) > kept.worker(512)


def planned(scene: Scene, path: Path) -> Pass:
    """What writing a scene would be: nothing is computed."""
    sink = open_sink(scene, path)
    try:
        (each,) = passes([Job(scene, sink)], None)
    finally:
        sink.discard()
    return each


def test_too_little_memory_is_told(tiny: Model, tmp_path: Path) -> None:
    scene = Scene.from_array(texture(4, 3000, 3000))
    large = geomedsr.upscale(scene, tiny, tile=2048, memory="600MiB")
    told = planned(large, tmp_path / "a.npy").short or ""
    assert re.search(r"takes about \d+ MiB in tiles of 2048 pixels, .* the 600 MiB of --memory", told)
    assert planned(large.crop(Window(0, 0, 400, 400)), tmp_path / "a.npy").short is None  # it takes but a part
    assert planned(large, tmp_path / "a.tif").workers == 1
    model = load_model(save_tiny(tmp_path / "mr.safetensors", 2, domain="MR", operator="k-space-crop"))
    slices = Scene.from_array(np.zeros((1, 1, 2048, 2048), "int16"), grid=Grid((2048, 2048), planes=PLANES))
    whole = geomedsr.upscale(slices, model)
    for part in (whole, whole.crop(Window(0, 0, 64, 64))):  # frames are projected whole
        told = planned(part, tmp_path / "a.mha").short or ""
        assert re.search(r"about 3106 MiB in tiles of .* the 1536 MiB of --memory", told)


def test_memory_is_planned_when_a_result_is_written_and_not_before(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene.from_array(texture(1, 300, 300)).with_range(0, 9999)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(Need, "workers", None)  # looking asks for none
        sr = geomedsr.upscale(scene, tiny, tile=64, memory="600MiB")
        corner = sr.data[0, 0, :8, :8].compute()
        monkeypatch.undo()
    monkeypatch.setattr("geomedsr.inference.memory.BASE", 600 << 20)
    with pytest.warns(
        SceneWarning, match=r"takes about \d+ MiB in tiles of 64 pixels, .* 600 MiB of --memory"
    ) as found:
        geomedsr.write(sr, tmp_path / "a.npy")
    assert [Path(each.filename).name for each in found] == [Path(__file__).name]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[..., :8, :8].squeeze(), corner)


def test_workers_follow_from_the_regions_of_all_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GeoTIFF's regions of small tiles are a quarter of Zarr's; together they are Zarr's."""
    pytest.importorskip("zarr")
    monkeypatch.setattr("geomedsr.inference.memory.cores", lambda: 64)
    made = process(toy(ports=WIDTHS, scale=2), image=scene(3000, 3000), tile=128, precision="float32", memory="1GiB")
    sinks = {name: open_sink(made["image"], tmp_path / f"a.{name}") for name in ("tif", "zarr")}
    beside = open_sink(made["halfwidth"], tmp_path / "b.zarr")
    jobs = {name: Job(made["image"], sink) for name, sink in sinks.items()}
    counts = {name: passes([job], None)[0].workers for name, job in jobs.items()}
    together = passes([jobs["tif"], Job(made["halfwidth"], beside)], None)[0].workers
    for sink in (*sinks.values(), beside):
        sink.discard()
    prediction = made["image"].source
    assert isinstance(prediction, Prediction)
    for name, count in counts.items():
        rows, columns = sinks[name].block or (0, 0)
        need = prediction.need(Box((0, 0, 0), (1, rows, columns)))
        assert count == (prediction.memory - BASE) // need.worker(128)
    assert counts["tif"] > counts["zarr"] == together


def test_a_tile_is_planned_as_the_regions_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions are an even number of blocks of 512 pixels: one of 384 × 4 is cut in two parts of 256 in either axis."""
    four = Need.of(geomedsr.load_model("satellite-x4"), FLOAT32, 4, 2)
    assert [four.side(tile) for tile in (768, 512, 384, 256, 128, 64)] == [768, 512, 256, 256, 128, 64]
    assert four.network(384) == four.network(256)
    values, prediction = 2048**2 * 4 * 4 * 2, 2048**2 * 4
    assert four.worker(384) == four.network(256) + prediction + values
    assert four.worker(512) == four.network(512) + values
    monkeypatch.setattr("geomedsr.inference.memory.cores", lambda: 2)
    assert four.choose((2048, 2048), DEFAULT)[0] == 512
    two = Need.of(geomedsr.load_model("satellite-x2"), FLOAT32, 4, 2)
    assert [two.side(tile) for tile in (768, 512, 384, 256)] == [512, 512, 256, 256]


def test_fewer_workers_take_larger_frames(tiny_x2: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.inference.memory.cores", lambda: 8)
    plans = {}
    for side in (256, 2048):
        grid = Grid((side, side), planes=tuple(replace(PLANES[0], position=(0, 0, z)) for z in range(8)))
        scene = Scene.from_array(np.zeros((8, 1, side, side), "int16"), grid=grid).with_range(0, 1)
        sr = geomedsr.upscale(scene, tiny_x2, memory="1.5GiB", precision="float32")
        need, workers = Need.of(tiny_x2, FLOAT32, 1, 2, (side, side)), planned(sr, tmp_path / "a.mha").workers
        assert isinstance(sr.source, Prediction)
        assert BASE + workers * need.worker(sr.source.tile) <= 1536 << 20
        plans[side] = workers
    assert plans == {256: 8, 2048: 4}  # frames of 4096 × 4096 pixels take 256 MiB each
