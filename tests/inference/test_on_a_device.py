"""What only a GPU can show. Elsewhere it is skipped, unless GEOMEDSR_TEST_DEVICE=cpu asks for a rehearsal."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from conftest import pixels, recipe_file, texture

import geomedsr
from geomedsr import Scene
from geomedsr.devices import choose_device
from geomedsr.errors import DeviceError
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.inference import gpu
from geomedsr.inference.memory import Need
from geomedsr.inference.passes import boxes_of
from geomedsr.inference.runtime import Runtime
from geomedsr.io import open_sink
from geomedsr.scene.sources import Array
from geomedsr.training import load_recipe, loop, train

DEVICE = os.environ.get("GEOMEDSR_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "")

pytestmark = pytest.mark.skipif(not DEVICE, reason="no CUDA device")
cuda = pytest.mark.skipif(not torch.cuda.is_available() or DEVICE == "cpu", reason="no CUDA device")

#: A rehearsal makes images so many times smaller.
LESS = 4 if DEVICE == "cpu" else 1


def off(one: Array, other: Array) -> Array:
    return np.abs(one.astype(int) - other.astype(int))


def series(frames: int = 3, side: int = 128 // LESS, domain: str = "CT") -> Scene:
    """Slices of stored values like a scanner's, rescaled to HU for CT."""
    planes = tuple(Plane((0.0, 0.0, 5.0 * i), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.7, 0.7)) for i in range(frames))
    stack = np.stack([texture(1, side, side - 8, "int16", seed=i, low=24, high=1424) for i in range(frames)])
    scene = Scene.from_array(stack, grid=Grid((side, side - 8), planes=planes), domain=domain)
    return replace(scene, rescale=((1.0, -1024.0),) * frames) if domain == "CT" else scene


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pixels_are_the_cpus(precision: str) -> None:
    height, width = 160 // LESS, 144 // LESS
    scene = Scene.from_array(texture(3, height, width)).with_range(0, 3000)
    there, here = (geomedsr.upscale(scene, "satellite-x4", device=d, precision=precision) for d in (DEVICE, "cpu"))
    made = pixels(there)
    apart = off(made, pixels(here))
    assert apart.max() <= (1 if precision == "float32" else 30)  # counts of 3000
    assert precision == "bfloat16" or (apart > 0).mean() < 1e-3
    assert (made.reshape(3, height, 4, width, 4).mean((2, 4)) == pixels(scene)[0]).all()


@pytest.mark.parametrize(("model", "domain"), [("ct-x2", "CT"), ("mr-x2", "MR")])
def test_slices_are_the_cpus(model: str, domain: str) -> None:
    scene = series(domain=domain)
    there, here = (geomedsr.upscale(scene, model, device=d, precision="float32") for d in (DEVICE, "cpu"))
    apart = off(pixels(there), pixels(here))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_tiles_and_threads_give_equal_pixels(tmp_path: Path) -> None:
    scene = Scene.from_array(texture(4 // LESS, 336 // LESS, 304 // LESS))
    tile = 64 // LESS
    sr = geomedsr.upscale(scene, "satellite-x4", device=DEVICE, tile=tile)
    results = []
    for workers in (1, 6):
        geomedsr.write(sr, tmp_path / f"{workers}.npy", workers=workers)
        results.append(np.load(tmp_path / f"{workers}.npy"))
    assert (results[0] == results[1]).all()
    whole, tiled = (
        pixels(geomedsr.upscale(scene, "satellite-x4", device=DEVICE, tile=side, precision="float32"))
        for side in (512, tile)
    )
    assert off(whole, tiled).max() <= 1
    assert (whole != tiled).mean() < 1e-3


def test_a_job_that_was_stopped_goes_on_to_the_same_pixels(tmp_path: Path) -> None:
    sr = geomedsr.upscale(
        Scene.from_array(texture(2, 192 // LESS, 192 // LESS)), "satellite-x4", device=DEVICE, tile=16
    )
    regions = list(boxes_of(sr.source))
    sink = open_sink(sr, tmp_path / "sr.npy")
    for region in regions[:5]:
        sink.put(region, sr.source.read(region), sr.source.valid(region))
    sink.release()
    assert geomedsr.write(sr, tmp_path / "sr.npy", workers=3).resumed == 5
    assert (np.load(tmp_path / "sr.npy") == pixels(sr)).all()


def test_settings_are_put_back() -> None:
    before = gpu._settings(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    pixels(geomedsr.upscale(series(1), "ct-x2", device=DEVICE))
    assert before == (gpu._settings(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)


@cuda
def test_too_little_memory_is_told_and_over() -> None:
    scene = Scene.from_array(texture(4, 512, 512))
    place = choose_device(DEVICE)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2**26 / torch.cuda.get_device_properties(place).total_memory, place)
    try:
        with pytest.raises(DeviceError, match=r"^got too little free memory on cuda:0 for a batch of 4 × 1 × "):
            pixels(geomedsr.upscale(scene, "satellite-x4", device=DEVICE, tile=512))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, place)
    assert pixels(geomedsr.upscale(scene, "satellite-x4", device=DEVICE, tile=512)).shape == (1, 4, 2048, 2048)


@cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_memory_stays_within_the_plan(precision: str, tmp_path: Path) -> None:
    scene, place = Scene.from_array(texture(4, 1024, 1024)), choose_device(DEVICE)
    model = geomedsr.load_model("satellite-x4")
    need = Need.of(model, Runtime.choose(model, DEVICE, precision, 2), 4, 2)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(place)
    before = torch.cuda.memory_allocated(place)
    geomedsr.write(geomedsr.upscale(scene, model, device=DEVICE, precision=precision, tile=512), tmp_path / "sr.npy")
    used = torch.cuda.max_memory_allocated(place) - before
    assert used <= gpu.AT_ONCE * need.network(512) <= gpu.memory(place)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    np.save(tmp_path / "a.npy", texture(2, 96, 96))
    return {"root": str(tmp_path), "train": [{"path": "a.npy", "attribution": "none"}]}


ADVERSARIAL = {
    "steps": 3,
    "batch": 2,
    "patch": 32,
    "losses": [{"kind": "l1"}, {"kind": "relativistic", "weight": 0.01}],
    "discriminator": {"options": {"width": 8}},
}
CONTENT = {"steps": 4, "batch": 4, "patch": 32}


def losses(out: Path) -> Array:
    rows = [line.split(",") for line in (out / "log.csv").read_text().splitlines()]
    place = rows[0].index("l1")
    return np.array([float(row[place]) for row in rows[1:]])


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_is_the_cpus(data: dict[str, Any], tmp_path: Path, precision: str) -> None:
    if precision == "float16" and DEVICE == "cpu":
        pytest.skip("CPUs train in float32 and bfloat16")
    path = recipe_file(tmp_path, data=data, content=CONTENT, adversarial=ADVERSARIAL, precision=precision, log_every=1)
    found = {}
    for device in {DEVICE, "cpu"} if precision != "float16" else {DEVICE}:
        made = train(load_recipe(path, [f"device={device}"]), tmp_path / device, quiet=True)
        model = geomedsr.load_model(made)
        assert model.descriptor.adversarial
        assert pixels(geomedsr.upscale(Scene.from_array(texture(1, 20, 20)), model, device="cpu")).shape[3] == 80
        found[device] = losses(tmp_path / device)
        assert len(found[device]) == 7
    wanted = found.get("cpu", found[DEVICE])
    np.testing.assert_allclose(found[DEVICE], wanted, rtol=1e-3 if precision == "float32" else 5e-2)


def test_training_that_was_stopped_goes_on(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(tmp_path, data=data, content=CONTENT, adversarial=ADVERSARIAL)
    recipe = load_recipe(path, [f"device={DEVICE}", "checkpoint_every=1", "log_every=1"])
    train(recipe, tmp_path / "whole", quiet=True)
    real = loop.step

    def stopping(run: Any, *batch: Any) -> Any:
        if run.step == 5:
            raise KeyboardInterrupt
        return real(run, *batch)

    monkeypatch.setattr(loop, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", quiet=True)
    monkeypatch.setattr(loop, "step", real)
    train(recipe, tmp_path / "parts", quiet=True)
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(tmp_path / "whole"), rtol=1e-3)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[torch.device]:
    """A process group's connections, of one process: NCCL on a GPU."""
    device = choose_device(DEVICE)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield device
    dist.destroy_process_group()


def test_what_a_process_group_tells_each_other_is_carried(group: torch.device) -> None:
    sums = torch.tensor([1.5, 2.5], dtype=torch.float64, device=group)
    dist.all_reduce(sums)
    assert sums.tolist() == [1.5, 2.5]
    logits = torch.arange(6.0, device=group).view(2, 1, 3)
    parts = [torch.empty_like(logits)]
    dist.all_gather(parts, logits)
    assert (parts[0] == logits).all()
    box = [b"a checkpoint"]
    dist.broadcast_object_list(box)
    assert box == [b"a checkpoint"]
    dist.barrier()
