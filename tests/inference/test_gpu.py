"""Networks on CUDA devices. What needs one is skipped elsewhere; the rest is the same on CPUs."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FLOAT32, save_tiny, texture

import geomedsr
from geomedsr import Model, Scene, Window
from geomedsr.errors import DeviceError
from geomedsr.inference import gpu
from geomedsr.inference.memory import DEFAULT, TILES, Need
from geomedsr.inference.source import upscaled

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def at_once(sr: Scene, bands: int) -> Scene:
    """A result whose bands are made so many at a time."""
    source = upscaled(sr.source)
    assert source is not None
    return replace(sr, source=replace(source, runtime=replace(source.runtime, bands=bands)))


@pytest.mark.parametrize("bands", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_bands_made_together_have_the_same_bits(tiny: Model, bands: int, dtype: str) -> None:
    scene = Scene.from_array(texture(3, 90, 70, dtype)).with_range(0, 3000)
    for tile in (64, 128):  # several tiles, and one
        sr = geomedsr.upscale(scene, tiny, tile=tile, precision="float32")
        values = at_once(sr, bands).data.values
        assert (values == sr.data.values).all()
        assert not (values[0, 0] == values[0, 1]).all()


def test_slices_with_their_neighbours_too(tmp_path: Path) -> None:
    model = geomedsr.load_model(save_tiny(tmp_path / "m.safetensors", scale=2, neighbours=1))
    scene = Scene.from_array(np.stack([texture(2, 40, 50, seed=i) for i in range(3)])).with_range(0, 3000)
    sr = geomedsr.upscale(scene, model, precision="float32")
    assert (at_once(sr, 4).data.values == sr.data.values).all()


def cudnn() -> tuple[bool, bool, bool, bool]:
    flags = torch.backends.cudnn
    return flags.enabled, flags.allow_tf32, flags.deterministic, flags.benchmark


def test_settings_hold_until_the_last_thread_has_left() -> None:
    """With settings kept for each thread by itself, the second would work in TF32 once the first has left."""
    before, seen = cudnn(), []
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with gpu.exact:
            first_in.set()
            assert second_in.wait(10)
        first_out.set()

    def second() -> None:
        assert first_in.wait(10)
        with gpu.exact:
            second_in.set()
            assert first_out.wait(10)
            seen.append(cudnn())

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [(before[0], False, True, False)]
    assert before[0]
    assert cudnn() == before


def test_settings_are_put_back_after_an_error() -> None:
    before = cudnn()
    with pytest.raises(ValueError, match="it"), gpu.exact:
        raise ValueError("it")
    assert cudnn() == before


def test_a_batch_that_does_not_fit_is_told_in_one_line() -> None:
    batch = torch.zeros(4, 1, 548, 548)
    with pytest.raises(DeviceError) as caught, gpu.told(batch, torch.device("cuda:0")):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …\n…")
    assert str(caught.value) == (
        "got too little free memory on cuda:0 for a batch of 4 × 1 × 548 × 548, expected enough, beside what else runs "
        "there: give a smaller --tile, or use --device cpu"
    )


def test_a_plan_counts_what_lies_on_the_device_there() -> None:
    model = geomedsr.load_model("satellite-x4")
    here = Need.of(model, replace(FLOAT32, bands=4), 4, 2)
    there = replace(here, device=24 << 30)
    assert here.network(512) == pytest.approx(4 * Need.of(model, FLOAT32, 4, 2).network(512), rel=1e-6)
    assert here.worker(512) == here.network(512) + 2048**2 * 4 * 4 * 2
    assert there.worker(512) == 2048**2 * (4 * 8 + 4 * 4 * 2)  # guesses of four bands at once, copies of the values
    assert there.choose((9000, 9000), 64 << 30)[0] == max(TILES)
    small = replace(there, device=gpu.AT_ONCE * here.network(256))
    assert small.choose((9000, 9000), 64 << 30)[0] == 256
    assert replace(there, device=1).choose((9000, 9000), DEFAULT) == (TILES[-1], 1)  # the least that can be tried


@cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_device_as_on_the_cpu(precision: str) -> None:
    scene = Scene.from_array(texture(3, 300, 280)).with_range(0, 3000)
    there, here = (geomedsr.upscale(scene, "satellite-x4", device=d, precision=precision) for d in ("cuda", "cpu"))
    off = np.abs(there.data.values.astype(int) - here.data.values.astype(int))
    assert off.max() <= (1 if precision == "float32" else 30)  # counts of 3000
    means = there.data.values.reshape(3, 300, 4, 280, 4).mean((2, 4))
    assert (means == scene.data.values[0]).all()


@cuda
def test_on_a_device_tiles_and_threads_give_equal_pixels(raster: Callable[..., Path], tmp_path: Path) -> None:
    scene = geomedsr.open(raster(texture(4, 700, 600)))
    sr = geomedsr.upscale(scene, "satellite-x4", device="cuda", tile=128)
    results = []
    for workers in (1, 6):
        geomedsr.write(sr, tmp_path / f"{workers}.tif", workers=workers)
        results.append(geomedsr.open(tmp_path / f"{workers}.tif").data.values)
    assert (results[0] == results[1]).all()
    whole = geomedsr.upscale(scene, "satellite-x4", device="cuda", tile=1024, precision="float32").data.values
    tiled = geomedsr.upscale(scene, "satellite-x4", device="cuda", tile=128, precision="float32")
    part = tiled.crop(Window(400, 400, 1200, 1200)).data.values
    off = np.abs(part.astype(int) - whole[..., 400:1600, 400:1600].astype(int))
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3
