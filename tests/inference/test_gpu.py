"""Networks on CUDA devices, where there is none: what is the same on CPUs. The rest is in test_on_a_device."""

import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FLOAT32, pixels, save_tiny, texture

import geomedsr
from geomedsr import Model, Scene, devices
from geomedsr.errors import DeviceError, SceneWarning
from geomedsr.inference import gpu
from geomedsr.inference.memory import BASE, DEFAULT, TILES, Need
from geomedsr.inference.output import predicted


def at_once(sr: Scene, bands: int) -> Scene:
    """A result whose bands are made so many at a time."""
    source = predicted(sr.source)
    assert source is not None
    return replace(sr, source=replace(source, runtime=replace(source.runtime, bands=bands)))


@pytest.mark.parametrize("bands", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_bands_made_together_have_the_same_bits(tiny: Model, bands: int, dtype: str) -> None:
    scene = Scene.from_array(texture(3, 90, 70, dtype)).with_range(0, 3000)
    for tile in (64, 128):  # several tiles, and one
        sr = geomedsr.upscale(scene, tiny, tile=tile, precision="float32")
        values = pixels(at_once(sr, bands))
        assert (values == pixels(sr)).all()
        assert not (values[0, 0] == values[0, 1]).all()


def test_slices_with_their_neighbours_too(tmp_path: Path) -> None:
    model = geomedsr.load_model(save_tiny(tmp_path / "m.safetensors", scale=2, neighbours=1))
    scene = Scene.from_array(np.stack([texture(2, 40, 50, seed=i) for i in range(3)])).with_range(0, 3000)
    sr = geomedsr.upscale(scene, model, precision="float32")
    assert (pixels(at_once(sr, 4)) == pixels(sr)).all()


def cudnn() -> tuple[bool, str, str, bool, bool]:
    flags = torch.backends.cudnn
    exact = flags.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    return flags.enabled, *exact, flags.deterministic, flags.benchmark


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
    assert seen == [(before[0], "ieee", "ieee", True, False)]
    assert before[0]
    assert cudnn() == before


def test_settings_take_the_old_and_the_new_names_of_tf32() -> None:
    """torch refuses to read the old ones where a program has set the new ones otherwise."""
    parts = torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul
    before = [part.fp32_precision for part in parts]
    try:
        parts[0].fp32_precision, parts[1].fp32_precision, parts[2].fp32_precision = "ieee", "tf32", "tf32"
        with gpu.exact:
            assert cudnn()[1:3] == ("ieee", "ieee")
        assert [part.fp32_precision for part in parts] == ["ieee", "tf32", "tf32"]
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        with gpu.exact:
            assert cudnn()[1:3] == ("ieee", "ieee")
        assert torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        for part, value in zip(parts, before, strict=True):
            part.fp32_precision = value


def test_settings_are_put_back_after_an_error() -> None:
    before = cudnn()
    with pytest.raises(ValueError, match="it"), gpu.exact:
        raise ValueError("it")
    assert cudnn() == before


@pytest.mark.parametrize(
    ("error", "free", "refusals"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate …\n…"), 1 << 40, [0, 0]),
        (RuntimeError("GET was unable to find an engine to execute this computation"), 1 << 40, [3, 4]),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), 1 << 20, [3, 3]),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"), 1 << 20, [0, 0]),
    ],
)
def test_a_batch_that_does_not_fit_is_told_in_one_line(
    error: RuntimeError, free: int, refusals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, told = torch.zeros(4, 1, 548, 548), iter(refusals)
    monkeypatch.setattr(gpu, "free", lambda place: free)
    monkeypatch.setattr(gpu, "refusals", lambda place: next(told))
    with pytest.raises(DeviceError) as caught, gpu.oom_as_error({"image": batch}, torch.device("cuda:0")):
        raise error
    assert str(caught.value) == (
        "got too little free memory on cuda:0 for a batch of 4 × 1 × 548 × 548, expected enough for it: "
        "end other programs there and run it again; or start afresh with a smaller --tile, or with --device cpu"
    )


@pytest.mark.parametrize("text", ["sizes do not match", "CUDNN_STATUS_NOT_INITIALIZED"])
def test_other_faults_stay_what_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they say, where the device has room."""
    monkeypatch.setattr(gpu, "free", lambda place: 1 << 40)
    with (
        pytest.raises(RuntimeError, match=text),
        gpu.oom_as_error({"image": torch.zeros(1)}, torch.device("cuda:0")),
    ):
        raise RuntimeError(text)


def test_what_did_not_fit_is_let_go() -> None:
    """A notebook keeps the last error, with its frames and what these hold."""
    held: list[weakref.ref[torch.Tensor]] = []

    def full() -> None:
        tile = torch.zeros(10)
        held.append(weakref.ref(tile))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceError) as caught, gpu.oom_as_error({"image": torch.zeros(1)}, torch.device("cuda:0")):
        full()
    assert caught.value.__cause__ is not None
    assert held[0]() is None


def test_threads_take_few_lanes_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch keeps the memory that was used in one stream for that stream."""
    made, busy, faults = [], set(), []

    class Lane:
        def __init__(self, place: torch.device) -> None:
            made.append(self)

    monkeypatch.setattr(gpu, "_Lane", Lane)
    place = torch.device("cuda:7")

    def work() -> None:
        for _ in range(50):
            with gpu._lane(place) as lane:
                if lane in busy or len(busy) >= gpu.AT_ONCE:
                    faults.append(lane)
                busy.add(lane)
                time.sleep(0.0002)
                busy.discard(lane)

    threads = [threading.Thread(target=work) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        gpu._lanes.pop(place)
    assert len(made) == gpu.AT_ONCE
    assert not faults


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> dict[int, str | None]:
    """Two CUDA devices that are not there, and what is wrong with each."""
    faults: dict[int, str | None] = {0: None, 1: None}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "_fault", faults.get)
    return faults


def test_devices_are_known_by_their_number(cards: dict[int, str | None]) -> None:
    """The one that CUDA calls current is another one in another thread."""
    names = {name: str(devices.choose_device(name)) for name in ("auto", "cpu", "cuda", "cuda:0", "cuda:1")}
    assert names == {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:0": "cuda:0", "cuda:1": "cuda:1"}
    with pytest.raises(DeviceError, match=r"got the device cuda:2, expected one of 2 CUDA devices"):
        devices.choose_device("cuda:2")


def test_a_card_that_torch_was_not_built_for_is_told(cards: dict[int, str | None]) -> None:
    cards[0] = "CUDA error: no kernel image is available for execution on the device"
    with pytest.warns(SceneWarning, match=r"^the GPU cannot be used \(CUDA error: no kernel.*: computing on the CPU$"):
        assert str(devices.choose_device("auto")) == "cpu"
    with pytest.raises(DeviceError, match=r"got the device cuda \(CUDA error: no kernel image"):
        devices.choose_device("cuda")
    assert str(devices.choose_device("cuda:1")) == "cuda:1"


def test_a_card_that_is_not_there_has_a_fault() -> None:
    assert devices._fault(97)


def test_a_plan_counts_what_lies_on_the_device_there() -> None:
    model = geomedsr.load_model("satellite-x4")
    here = Need.of(model, replace(FLOAT32, bands=4), 4, 2)
    there = replace(here, device=24 << 30)
    assert here.network(512) == pytest.approx(4 * Need.of(model, FLOAT32, 4, 2).network(512), rel=1e-6)
    assert here.worker(512) == here.network(512) + 2048**2 * 4 * 4 * 2
    assert there.worker(512) == 2048**2 * (4 * 8 + 4 * 4 * 2)  # predictions of four bands at once, copies of the values
    base = there.least(512) - there.worker(512) - BASE
    assert base == 3 * 4 * (2**21 + 2**24)  # three tiles, in and out, in pinned memory: powers of two
    assert 4 * (512 + 36) ** 2 <= 2**21
    assert there.choose((9000, 9000), 64 << 30)[0] == max(TILES)
    small = replace(there, device=gpu.AT_ONCE * here.network(256))
    assert small.choose((9000, 9000), 64 << 30)[0] == 256
    assert replace(there, device=1).choose((9000, 9000), DEFAULT) == (TILES[-1], 1)  # the least that can be tried


def test_many_cores_do_not_make_the_tiles_of_a_device_small(monkeypatch: pytest.MonkeyPatch) -> None:
    there = replace(Need.of(geomedsr.load_model("satellite-x4"), replace(FLOAT32, bands=4), 4, 2), device=24 << 30)
    plans = {}
    for count in (4, 16, 64):
        monkeypatch.setattr("geomedsr.inference.memory.cores", lambda count=count: count)
        plans[count] = there.choose((9000, 9000), 2 << 30)
    assert plans == {4: (512, 4), 16: (256, 16), 64: (256, 24)}
