"""Jobs that stop, die, or meet each other: what is done is kept, and the pixels are the same in the end."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BFLOAT16, FLOAT32, save_tiny, texture
from hypothesis import given, settings
from hypothesis import strategies as st

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError, SceneWarning
from geomedsr.inference import memory
from geomedsr.inference.passes import boxes_of
from geomedsr.inference.stopping import Flight, Stopped, check
from geomedsr.io import open_sink

Raster = Callable[..., Path]

#: Sixteen regions of 512 × 512 pixels, each long enough (some 0.2 s) to be stopped among.
OPTIONS = ["--model", "satellite-x4", "--tile", "128", "--quiet"]


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "in.tif"
    import rasterio
    from rasterio.transform import from_origin

    array = texture(1, 500, 480)
    array[:, :90, :200] = 0
    profile = {"count": 1, "height": 500, "width": 480, "dtype": "uint16", "nodata": 0, "crs": "EPSG:32618"}
    with rasterio.open(path, "w", driver="GTiff", transform=from_origin(4e5, 4e6, 10, 10), **profile) as dataset:
        dataset.write(array)
    return path


@pytest.fixture(scope="module")
def expected(scene_path: Path) -> np.ndarray:
    return geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128).data.values


def stored(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob(".*.part/*/f*.tif"))


def started(scene: Path, out: Path, count: int, *more: str) -> subprocess.Popen[str]:
    """The command line at work, with so many regions stored."""
    command = [sys.executable, "-m", "geomedsr.cli", "upscale", str(scene), str(out), *OPTIONS, *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding_interrupts
    )
    deadline = time.monotonic() + 120
    while len(stored(out.parent)) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def heeding_interrupts() -> None:
    """A shell starts background jobs, and so a suite that is one, with Ctrl-C ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def killed_and_resumed(scene: Path, folder: Path, expected: np.ndarray, moments: list[int]) -> tuple[int, int]:
    """How many regions the last job went on from, and how many the killed ones had stored."""
    out = folder / "sr.tif"
    kept = 0
    for moment in sorted(moments):
        process = started(scene, out, moment)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        if out.exists():  # it was faster; its folder may be there yet
            kept = len(stored(folder))
            break
        assert len(stored(folder)) >= kept
        kept = len(stored(folder))
        assert not [p for p in folder.iterdir() if not p.name.startswith(".")]
    out.unlink(missing_ok=True)
    sr = geomedsr.upscale(geomedsr.open(scene), "satellite-x4", tile=128)
    written = geomedsr.write(sr, out)
    assert written.regions == 16
    np.testing.assert_array_equal(geomedsr.open(out).data.values, expected)
    assert [p.name for p in folder.iterdir()] == ["sr.tif"]
    out.unlink()
    return written.resumed, kept


@settings(max_examples=2)
@given(moments=st.lists(st.integers(0, 16), min_size=1, max_size=2))
def test_killed_at_any_moment_it_goes_on_to_the_same_pixels(
    scene_path: Path, expected: np.ndarray, tmp_path_factory: pytest.TempPathFactory, moments: list[int]
) -> None:
    resumed, kept = killed_and_resumed(scene_path, tmp_path_factory.mktemp("job"), expected, moments)
    assert resumed == kept


@pytest.mark.slow
@settings(max_examples=15, derandomize=False)
@given(moments=st.lists(st.integers(0, 16), min_size=1, max_size=3))
def test_killed_at_many_moments(
    scene_path: Path, expected: np.ndarray, tmp_path_factory: pytest.TempPathFactory, moments: list[int]
) -> None:
    resumed, kept = killed_and_resumed(scene_path, tmp_path_factory.mktemp("job"), expected, moments)
    assert resumed == kept


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_it_says_how_to_go_on(scene_path: Path, tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "sr.tif"
    for _ in range(5):  # on a busy machine the signal may come too late
        process = started(scene_path, out, 2)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        if process.returncode != 0:
            break
        out.unlink()
    assert process.returncode == 130
    kept = len(stored(tmp_path))
    assert 2 <= kept < 16
    assert err == f"stopped; {kept} of 16 regions are kept: the same command goes on from there\n"
    assert not out.exists()
    words = ["upscale", str(scene_path), str(out), *OPTIONS[:-1], "--json"]
    done = subprocess.run([sys.executable, "-m", "geomedsr.cli", *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["resumed"] == kept


def begun(scene_path: Path, out: Path, model: Any = "satellite-x4", count: int = 3, **options: Any) -> None:
    """A job that was left after some regions, in this process."""
    sr = geomedsr.upscale(geomedsr.open(scene_path), model, **({"tile": 128} | options))
    sink = open_sink(sr, out)
    for region in list(boxes_of(sr.source, sink.block))[:count]:  # type: ignore[attr-defined]
        values = sr.source.read(region)
        sink.put(region, values, sr.source.valid(region))
    sink.release()


def test_nothing_stale_is_used(scene_path: Path, tiny: geomedsr.Model, tmp_path: Path) -> None:
    out = tmp_path / "sr.tif"
    changes: list[tuple[str, Any, dict[str, Any]]] = [
        ("another model", tiny, {}),
        ("another model", "satellite-x2", {}),
        ("other options", "satellite-x4", {"conserve": False}),
        ("other options", "satellite-x4", {"tile": 64}),
        ("another model", "satellite-x4", {"realism": 0.5}),
    ]
    for why, model, options in changes:
        begun(scene_path, out)
        sr = geomedsr.upscale(geomedsr.open(scene_path), model, **({"tile": 128} | options))
        with pytest.warns(SceneWarning, match=f"sr.tif was begun with {why}: starting afresh"):
            assert geomedsr.write(sr, out).resumed == 0
        np.testing.assert_array_equal(geomedsr.open(out).data.values, sr.data.values)
        out.unlink()


def test_what_changes_no_pixel_starts_nothing_afresh(scene_path: Path, tmp_path: Path) -> None:
    begun(scene_path, tmp_path / "sr.tif", memory="700MiB")
    sr = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128, memory="4GiB")
    assert geomedsr.write(sr, tmp_path / "sr.tif", workers=1).resumed == 3


def test_a_worker_of_a_stopped_job_cannot_write_into_the_next_one(scene_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sr.tif"
    before = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128)
    straggler = open_sink(before, out)
    straggler.release()
    with pytest.warns(SceneWarning, match="other options"):
        sink = open_sink(geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128, conserve=False), out)
    region = next(boxes_of(before.source, straggler.block))  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="No such file"):
        straggler.put(region, *(np.ones((1, 1, 512, 512), kind) for kind in ("uint16", "bool")))
    assert sink.done() == set()
    sink.discard()


def test_a_disk_that_goes_away_costs_no_region(
    scene_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sr.tif"
    begun(scene_path, out)

    def gone(self: Path) -> Any:
        raise OSError(116, "Stale file handle")

    sr = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", gone)
        with pytest.raises(OutputError, match="Stale file handle"):
            geomedsr.write(sr, out)
    assert len(stored(tmp_path)) == 3


def test_another_window_is_another_job(raster: Raster, tiny: geomedsr.Model, tmp_path: Path) -> None:
    scene, out = geomedsr.open(raster(texture(1, 300, 300))), tmp_path / "sr.tif"
    windows = [geomedsr.Window(place, place, 250, 250) for place in (0, 50)]
    whole = geomedsr.upscale(scene, tiny, tile=128)
    for first, second in (
        [geomedsr.upscale(scene.crop(window), tiny, tile=128) for window in windows],
        [whole.crop(window.scaled(4)) for window in windows],
    ):
        sink = open_sink(first, out)
        region = next(boxes_of(first.source, sink.block))
        sink.put(region, first.source.read(region), np.ones((1, 1, 512, 512), bool))
        sink.release()
        with pytest.warns(SceneWarning, match="sr.tif was begun with other options: starting afresh"):
            assert geomedsr.write(second, out).resumed == 0
        np.testing.assert_array_equal(geomedsr.open(out).data.values, second.data.values)
        out.unlink()


def test_a_changed_input_starts_afresh(raster: Raster, tiny: geomedsr.Model, tmp_path: Path) -> None:
    out = tmp_path / "sr.tif"
    path = raster(texture(1, 300, 300))
    begun(path, out, tiny, count=2)
    path = raster(texture(1, 300, 300, seed=1))
    with pytest.warns(SceneWarning, match="a changed input"):
        assert geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny, tile=128), out).resumed == 0
    begun(path, out.with_name("two.tif"), tiny, count=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sr = geomedsr.upscale(geomedsr.open(path), tiny, tile=128)
        assert geomedsr.write(sr, out.with_name("two.tif")).resumed == 2


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_arrays_in_memory_go_on_too(tiny: geomedsr.Model, tmp_path: Path) -> None:
    array = texture(1, 300, 300)
    sr = geomedsr.upscale(geomedsr.Scene.from_array(array), tiny, tile=128)
    sink = open_sink(sr, tmp_path / "sr.tif")
    region = next(boxes_of(sr.source, sink.block))
    sink.put(region, sr.source.read(region), np.ones((1, 1, 512, 512), bool))
    sink.release()
    again = geomedsr.upscale(geomedsr.Scene.from_array(array.copy()), tiny, tile=128)
    assert geomedsr.write(again, tmp_path / "sr.tif").resumed == 1
    np.testing.assert_array_equal(geomedsr.open(tmp_path / "sr.tif").data.values, sr.data.values)


def test_two_jobs_for_one_destination(
    scene_path: Path, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sr.tif"
    sink = open_sink(geomedsr.upscale(geomedsr.open(scene_path), tiny_path), out)
    assert main(["upscale", str(scene_path), str(out), "--model", str(tiny_path)]) == 2
    assert "which another job is writing" in capsys.readouterr().err
    sink.discard()
    assert main(["upscale", str(scene_path), str(out), "--model", str(tiny_path), "--quiet"]) == 0


def test_a_window_that_fails_is_named_and_the_others_are_kept(raster: Raster, tiny: geomedsr.Model) -> None:
    path = raster(texture(1, 512, 512), tiled=True, blockxsize=128, blockysize=128)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])  # as a download that broke off
    out = path.with_name("sr.tif")
    sr = geomedsr.upscale(geomedsr.open(path).with_range(0, 5000), tiny, tile=128)
    with pytest.raises(InputError, match=r"in\.tif, which fails at columns \d+–\d+, rows \d+–\d+") as caught:
        geomedsr.write(sr, out, workers=1)
    kept = len(stored(path.parent))
    assert 0 < kept < 16
    assert caught.value.__notes__ == [f"{kept} of 16 regions are kept: the same command goes on from there"]
    assert not out.exists()


def test_a_thread_whose_job_was_stopped_ends_at_its_next_tile() -> None:
    flight, begun, seen = Flight(), threading.Event(), []

    def work() -> None:
        try:
            with flight():
                begun.set()
                while True:
                    check()
                    time.sleep(0.001)
        except Stopped:
            seen.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    flight.stop()
    thread.join(10)
    assert seen == ["stopped"]
    with pytest.raises(Stopped), flight():
        pass
    check()  # outside of a job: nothing


# --- clusters -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def environment() -> Iterator[None]:
    """Nannies leave OMP_NUM_THREADS set, which other tests' processes would inherit."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


def test_every_scheduler_gives_the_same_pixels(
    scene_path: Path, expected: np.ndarray, cluster: Any, tmp_path: Path
) -> None:
    from distributed import Client

    sr = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128)
    ways: dict[str, dict[str, Any]] = {
        "one": {"workers": 1},
        "threads": {"workers": 3},
        "address": {"cluster": cluster.scheduler_address},
        "cluster": {"cluster": cluster},
    }
    for name, options in ways.items():
        assert geomedsr.write(sr, tmp_path / f"{name}.tif", **options).resumed == 0
        np.testing.assert_array_equal(geomedsr.open(tmp_path / f"{name}.tif").data.values, expected, err_msg=name)
    with Client(cluster) as client:  # now the active one
        before = sum(client.run(tasks).values())
        geomedsr.write(sr, tmp_path / "active.tif")
        assert sum(client.run(tasks).values()) - before >= 16
    np.testing.assert_array_equal(geomedsr.open(tmp_path / "active.tif").data.values, expected)


def tasks(dask_worker: Any) -> int:
    return sum(1 for entry in dask_worker.state.log if "executing" in map(str, entry))


def test_only_small_messages_go_through_the_scheduler(scene_path: Path) -> None:
    """The work as it travels: paths, options and the model's name, not its weights."""
    from distributed.protocol import dumps

    from geomedsr.inference.passes import PassWork

    sr = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4")
    assert sum(len(frame) for frame in dumps(PassWork((sr.source,), (), 1))) < 20_000


def test_a_worker_that_dies_is_replaced(scene_path: Path, expected: np.ndarray, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    sr = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128)
    out = tmp_path / "sr.tif"
    killed = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):

        def kill() -> None:
            while len(stored(tmp_path)) < 2:
                time.sleep(0.01)
            pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

        thread = threading.Thread(target=kill)
        thread.start()
        geomedsr.write(sr, out, cluster=client)
        thread.join(60)
    assert killed
    np.testing.assert_array_equal(geomedsr.open(out).data.values, expected)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory by itself")
@pytest.mark.parametrize(
    ("name", "value", "modules", "kept"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "65536", "distributed", True),  # as Dask starts its workers
        ("MALLOC_TRIM_THRESHOLD_", "70000", "distributed", False),
        ("MALLOC_TRIM_THRESHOLD_", "65536", "geomedsr", False),
        ("MALLOC_ARENA_MAX", "2", "distributed", False),
    ],
)
def test_workers_keep_the_memory_of_activations_too(name: str, value: str, modules: str, kept: bool) -> None:
    """Dask has its workers give memory back early: a quarter of the time of a job went there."""
    code = f"import {modules}; from geomedsr.devices import keep_memory; print(keep_memory())"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | {name: value}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(kept)]


def test_a_local_cluster_leaves_the_environment_as_it_was(
    raster: Raster, tiny: geomedsr.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    sr = geomedsr.upscale(geomedsr.open(raster(texture(1, 40, 40))), tiny)
    geomedsr.write(sr, tmp_path / "sr.tif", cluster="local:1")
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "MKL_NUM_THREADS" not in os.environ


def test_the_command_line_starts_processes(scene_path: Path, expected: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    out = tmp_path / "sr.tif"
    command = [sys.executable, "-m", "geomedsr.cli", "upscale", str(scene_path), str(out), *OPTIONS]
    done = subprocess.run([*command, "--cluster", "local:2"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(geomedsr.open(out).data.values, expected)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("local:none", "expected local:N with a number of processes"),
        ("local:0", "expected local:N with a number of processes"),
        ("tcp://127.0.0.1:9", "expected the address of a Dask scheduler"),
        ("no address", "expected the address of a Dask scheduler"),
    ],
)
def test_bad_clusters(
    scene_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, message: str
) -> None:
    pytest.importorskip("distributed")
    words = [
        "upscale",
        str(scene_path),
        str(tmp_path / "sr.tif"),
        "--model",
        "satellite-x4",
        "--cluster",
        address,
        "--quiet",
    ]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: got the cluster")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_does_not_see_the_destination(scene_path: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    alone = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no right to make a mount namespace here")
    from distributed import Client, LocalCluster

    dask = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    with LocalCluster(n_workers=0, processes=True, dashboard_address=None) as cluster:
        worker = subprocess.Popen(
            [*alone, *dask, "--local-directory", str(tmp_path), cluster.scheduler_address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with Client(cluster) as client:
                client.wait_for_workers(1, timeout=60)
                sr = geomedsr.upscale(geomedsr.open(scene_path), "satellite-x4", tile=128)
                with pytest.raises(
                    OutputError, match=r"which the worker tcp://.* does not see, expected a destination"
                ):
                    geomedsr.write(sr, hidden / "out.tif", cluster=client)
        finally:
            worker.terminate()
            worker.wait(30)
    assert list(hidden.iterdir()) == []


def test_memory_chooses_tile_and_workers(tiny: geomedsr.Model, tmp_path: Path) -> None:
    need = memory.Need.of(geomedsr.load_model("satellite-x4"), FLOAT32, 4, 2)
    plans = [need.choose((9000, 9000), memory.size(text)) for text in ("600MiB", "1GiB", "1.5GiB", "16GiB")]
    assert plans == sorted(plans)
    assert plans[-1][0] == max(memory.TILES)
    tile, workers = need.choose((9000, 9000), memory.DEFAULT)
    assert memory.BASE + workers * need.worker(tile) <= memory.DEFAULT
    assert need.choose((700, 700), 2**34)[0] < max(memory.TILES)  # so that all workers have something to do
    assert memory.Need.of(need.model, BFLOAT16, 4, 2).worker(512) < need.worker(512)
    rrdb = geomedsr.load_model(
        save_tiny(tmp_path / "r.safetensors", architecture="rrdb", options={"width": 64, "growth": 32, "blocks": 1})
    )
    assert memory.Need.of(rrdb, FLOAT32, 4, 2).worker(256) > 3 * need.worker(256)


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "10MiB", "1e9", "nan"])
def test_bad_memory(text: str) -> None:
    with pytest.raises(InputError, match=r"--memory .* expected at least 514MiB, such as 2GiB"):
        memory.size(text)


@pytest.mark.parametrize(
    ("text", "count"), [("2GiB", 2**31), ("1.5 gib", 3 * 2**29), ("900MB", 9 * 10**8), ("1073741824", 2**30)]
)
def test_sizes(text: str, count: int) -> None:
    assert memory.size(text) == count


def test_a_corner_of_a_huge_scene(tiny: geomedsr.Model, raster: Raster, tmp_path: Path) -> None:
    """200 000 × 200 000 pixels, of which one small file exists: the lazy result reads what it shows."""
    array = texture(1, 400, 400)
    tile = raster(array, "tile.tif", nodata=0)
    vrt = tmp_path / "huge.vrt"
    vrt.write_text(
        f"""<VRTDataset rasterXSize="200000" rasterYSize="200000"><VRTRasterBand dataType="UInt16" band="1">
        <NoDataValue>0</NoDataValue><SimpleSource><SourceFilename>{tile}</SourceFilename><SourceBand>1</SourceBand>
        <SrcRect xOff="0" yOff="0" xSize="400" ySize="400"/>
        <DstRect xOff="199600" yOff="199600" xSize="400" ySize="400"/></SimpleSource></VRTRasterBand></VRTDataset>"""
    )
    scene = geomedsr.open(vrt).with_range(300, 4000)
    sr = geomedsr.upscale(scene, tiny)
    assert sr.shape == (1, 1, 800_000, 800_000)
    corner = sr.data[0, 0, -64:, -64:].compute().values
    np.testing.assert_array_equal(corner.reshape(16, 4, 16, 4).mean((1, 3)), array[0, -16:, -16:])


def test_slices_are_not_cut_into_small_tiles() -> None:
    series = geomedsr.open(Path(__file__).parents[2] / "examples/ct_abdomen")
    source: Any = geomedsr.upscale(series, "ct-x2").source
    assert source.tile >= 256
