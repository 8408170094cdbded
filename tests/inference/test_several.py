"""Several outputs in one call: computed once, each whole, all there or none."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import texture
from killing import contents, killed_naming
from toys import WIDTHS, saved_toy, scene, stack, toy

import geomedsr
from geomedsr import Scene
from geomedsr.errors import OutputError
from geomedsr.inference import process
from geomedsr.inference.passes import Job, common_block, passes
from geomedsr.inference.prediction import Prediction
from geomedsr.io import Sink, open_sink
from geomedsr.io.jobs import hold, take_back

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def made() -> dict[str, Scene]:
    return process(toy(ports=WIDTHS, scale=2), image=scene(700, 640), tile=128, precision="float32")


@pytest.mark.parametrize("endings", [(".tif", ".tif"), (".tif", ".zarr"), (".zarr", ".npy"), (".npy", ".npz")])
def test_outputs_of_one_model_are_computed_once(
    made: dict[str, Scene], endings: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {port: made[port].data.values for port in ("image", "halfwidth")}
    paths = {port: tmp_path / f"{port}{ending}" for port, ending in zip(wanted, endings, strict=True)}
    computed, own = [], Prediction._to_stored

    def counted(prediction: Prediction, *parts: Any) -> Any:
        computed.append(parts)
        return own(prediction, *parts)

    monkeypatch.setattr(Prediction, "_to_stored", counted)
    told = geomedsr.write({path: made[port] for port, path in paths.items()})
    assert [*told] == [*paths.values()]
    assert {each.regions for each in told.values()} == {len(computed)}
    assert {each.resumed for each in told.values()} == {0}
    for port, path in paths.items():
        np.testing.assert_array_equal(geomedsr.open(path).data.values, wanted[port])
        assert told[path].path == str(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths.values())


def test_volumes(tmp_path: Path) -> None:
    made = process(toy(ports=WIDTHS, scale=2), image=stack(4), precision="float32")
    geomedsr.write({tmp_path / "a.nii.gz": made["image"], tmp_path / "b.nii.gz": made["halfwidth"]})
    for name, port in (("a", "image"), ("b", "halfwidth")):
        again = geomedsr.io.open_scene(tmp_path / f"{name}.nii.gz", force=True)
        np.testing.assert_array_equal(again.data.values, made[port].data.values)


def test_scenes_that_share_nothing_and_parts_of_outputs(made: dict[str, Scene], tmp_path: Path) -> None:
    window = geomedsr.Window(100, 50, 300, 200)
    other = Scene.from_array(texture(1, 90, 70))
    scenes = {
        tmp_path / "a.tif": made["image"].crop(window),
        tmp_path / "b.tif": made["halfwidth"].crop(window),
        tmp_path / "c.tif": made["doubt"],
        str(tmp_path / "d.tif"): other,
    }
    jobs = [Job(each, open_sink(each, path)) for path, each in scenes.items()]
    assert [len(each.jobs) for each in passes(jobs, None)] == [2, 1, 1]
    for job in jobs:
        job.sink.discard()
    geomedsr.write(scenes)
    for path, each in scenes.items():
        np.testing.assert_array_equal(geomedsr.open(path).data.values, each.data.values)


def test_one_cannot_be_named_so_none_is(
    made: dict[str, Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program puts a file where the second is to be, while the work goes on."""
    one, two, own = tmp_path / "a.tif", tmp_path / "b.npy", Sink.check
    one.write_bytes(b"old")

    def late(sink: Sink) -> None:
        own(sink)
        two.mkdir(exist_ok=True)

    scenes = {one: made["image"], two: made["halfwidth"]}
    with monkeypatch.context() as patch:
        patch.setattr(Sink, "check", late)
        with pytest.raises(OutputError, match=r"b\.npy") as caught:
            geomedsr.write(scenes, overwrite=True)
    assert one.read_bytes() == b"old"
    count = len(list(tmp_path.glob(".a.tif.*/*/f*.tif")))
    assert caught.value.__notes__ == [f"{count} of {count} regions are kept: the same command goes on from there"]
    two.rmdir()
    told = geomedsr.write(scenes, overwrite=True)
    assert [(each.resumed, each.regions) for each in told.values()] == [(count, count)] * 2
    np.testing.assert_array_equal(geomedsr.open(one).data.values, made["image"].data.values)
    np.testing.assert_array_equal(geomedsr.open(two).data.values, made["halfwidth"].data.values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.npy"]


def test_a_region_that_only_one_sink_has_is_computed_again(made: dict[str, Scene], tmp_path: Path) -> None:
    scenes = {tmp_path / "a.tif": made["image"], tmp_path / "b.tif": made["halfwidth"]}
    jobs = [Job(each, open_sink(each, path)) for path, each in scenes.items()]
    (each,) = passes(jobs, 1)
    each.work(torch.get_num_threads())(each.boxes[0])  # in this thread
    source, box = made["image"].source, each.boxes[1]
    jobs[0].sink.put(box, source.read(box), source.valid(box))
    for job in jobs:
        job.sink.release()
    told = geomedsr.write(scenes)
    assert {of.resumed for of in told.values()} == {1}
    for path, of in scenes.items():
        np.testing.assert_array_equal(geomedsr.open(path).data.values, of.data.values)


def test_what_cannot_be_written_together_is_told(made: dict[str, Scene], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with pytest.raises(OutputError, match="one path for two scenes"):
        geomedsr.write({path: made["image"], f"{tmp_path}/./a.tif": made["halfwidth"]})
    with pytest.raises(OutputError, match=r"the output .*b\.tif, expected a folder that exists"):
        geomedsr.write({path: made["image"], tmp_path / "no" / "b.tif": made["halfwidth"]})
    with pytest.raises(OutputError, match="no path"):
        geomedsr.write(made["image"])  # type: ignore[call-overload]
    assert list(tmp_path.iterdir()) == []


class Regions:
    """A sink of which only the size of its regions is asked."""

    def __init__(self, *block: int) -> None:
        self.block = block or None


def test_boxes_fit_all_sinks(made: dict[str, Scene]) -> None:
    def of(*sinks: Regions) -> tuple[int, int]:
        return common_block([Job(made["image"], sink) for sink in sinks])  # type: ignore[arg-type]

    assert of(Regions()) == made["image"].source.block
    assert of(Regions(512, 512), Regions(256, 1024)) == (512, 1024)
    assert of(Regions(300, 2000), Regions(200, 1500)) == (600, 1280)
    assert of(Regions(4096, 4096), Regions(3072, 3072)) == (1400, 1280)
    with pytest.raises(OutputError, match="fit together in 1400 × 1280 alone"):
        of(Regions(301, 301), Regions(200, 200))


SCRIPT = """
import pickle, sys, geomedsr
scenes = pickle.load(open(sys.argv[1], "rb"))
geomedsr.write(scenes, workers=1, progress=False)
"""


@pytest.mark.parametrize("how", ["threads", "cluster", "killed"])
def test_equal_bits_by_all_ways(how: str, tiny_path: Path, tmp_path: Path) -> None:
    image = geomedsr.upscale(Scene.from_array(texture(2, 400, 400)), tiny_path, tile=128)
    expected = image.data.values
    paths = tmp_path / "a.tif", tmp_path / "b.zarr"
    scenes = {str(path): image for path in paths}
    if how == "cluster":
        pytest.importorskip("distributed")
        geomedsr.write(scenes, cluster="local:2")
    elif how == "threads":
        geomedsr.write(scenes, workers=3)
    else:
        (tmp_path / "job").write_bytes(pickle.dumps(scenes))
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "job")], env=dict(os.environ))
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(".b.zarr.*/*/*.done")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        for path in paths:
            assert process.returncode == 0 or not path.exists()
        if process.returncode != 0:
            with warnings.catch_warnings():
                warnings.simplefilter("error", geomedsr.errors.SceneWarning)
                told = geomedsr.write(scenes)
            assert {each.resumed for each in told.values()} > {0} or next(iter(told.values())).resumed > 0
    for path in paths:
        np.testing.assert_array_equal(geomedsr.open(path).data.values, expected)


MOMENTS = ["after 1", "before 2", "after 2"]


@pytest.fixture
def pair(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Scene]:
    """Two outputs of a small scene, a GeoTIFF and a Zarr store, by their paths."""
    model = saved_toy(tmp_path_factory.mktemp("model"), ports=WIDTHS, scale=2)
    made = process(model, image=scene(90, 80), tile=64, precision="float32")
    return {tmp_path / "b.tif": made["image"], tmp_path / "a.zarr": made["halfwidth"]}


def check_whole(scenes: dict[Path, Scene]) -> None:
    """That all outputs are there, and nothing else."""
    (folder,) = {path.parent for path in scenes}
    for path, each in scenes.items():
        np.testing.assert_array_equal(geomedsr.open(path).data.values, each.data.values)
    assert sorted(folder.iterdir()) == sorted(scenes)


@pytest.mark.parametrize("when", MOMENTS)
def test_a_call_that_was_killed_between_two_names_is_finished_by_the_same(pair: dict[Path, Scene], when: str) -> None:
    one, two = pair
    killed_naming(pair, when)
    assert (one.exists(), two.exists()) == (True, when == "after 2")
    with warnings.catch_warnings():
        warnings.simplefilter("error", geomedsr.errors.SceneWarning)
        told = geomedsr.write(dict(reversed(pair.items())))  # in whatever order
    assert all(of.resumed == of.regions for of in told.values())
    check_whole(pair)


@pytest.mark.parametrize("when", MOMENTS)
def test_what_a_killed_call_replaced_is_kept_until_all_have_their_names(
    pair: dict[Path, Scene], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    geomedsr.write({path: Scene.from_array(texture(1, 40, 40)) for path in pair})
    one.with_name("b.tif.aux.xml").write_text("<PAMDataset/>")  # describes the old one
    before = contents(one.parent)
    killed_naming(pair, when, overwrite=True)
    np.testing.assert_array_equal(geomedsr.open(one).data.values, pair[one].data.values)
    assert two.exists() == (when != "before 2")  # of folders there is a moment without

    def fault(sink: Sink) -> None:
        raise OutputError("nothing", "something", "wait")

    with monkeypatch.context() as patch:
        patch.setattr(Sink, "check", fault)
        with pytest.raises(OutputError, match="got nothing"):
            geomedsr.write(pair, overwrite=True)
    now = contents(one.parent)
    assert {name: now.get(name) for name in before} == before
    geomedsr.write(pair, overwrite=True)
    check_whole(pair)


@pytest.mark.parametrize("again", [False, True])
def test_another_call_takes_nothing_back(pair: dict[Path, Scene], again: bool) -> None:
    """Either output is then written by itself: again, or for the first time."""
    one, two = pair
    three = one.with_name("c.tif")
    killed_naming(pair, "after 1")
    named = contents(one)
    with pytest.raises(OutputError, match=r"b\.tif, which exists"):
        geomedsr.write({three: pair[two], one: pair[one]})
    with pytest.raises(OutputError, match=r"b\.tif, which exists"):
        geomedsr.write(pair[one], one)
    assert contents(one) == named
    alone = one if again else two
    geomedsr.write(pair[alone], alone, overwrite=again)
    named = contents(one)
    with pytest.raises(OutputError, match=r"b\.tif, which exists"):
        geomedsr.write(pair)
    assert contents(one) == named
    geomedsr.write(pair, overwrite=True)
    check_whole(pair)


def test_the_same_outputs_of_another_scene_begin_afresh(pair: dict[Path, Scene]) -> None:
    killed_naming(pair, "after 1")
    others = {path: Scene.from_array(texture(1, 40, 40)) for path in pair}
    with pytest.warns(geomedsr.errors.SceneWarning, match="was begun with .*: starting afresh"):
        geomedsr.write(others)
    check_whole(others)


def test_a_call_for_more_outputs_replaces_what_a_killed_one_named(pair: dict[Path, Scene]) -> None:
    killed_naming(pair, "after 1")
    more = {**pair, next(iter(pair)).with_name("c.tif"): pair[next(iter(pair))]}
    geomedsr.write(more, overwrite=True)
    check_whole(more)


def test_a_file_of_the_users_in_place_of_what_was_named_stays(pair: dict[Path, Scene]) -> None:
    one = next(iter(pair))
    killed_naming(pair, "after 1")
    one.unlink()
    one.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"b\.tif, which exists"):
        geomedsr.write(pair)
    assert one.read_bytes() == b"precious"
    one.unlink()
    geomedsr.write(pair)
    check_whole(pair)


def test_the_names_that_a_live_job_gives_are_left_to_it(pair: dict[Path, Scene]) -> None:
    one = next(iter(pair))
    killed_naming(pair, "after 1")
    (folder,) = one.parent.glob(".b.tif.*")
    handle = hold(folder)
    if handle is not None:
        take_back(pair)
        assert one.exists()
        os.close(handle)
    take_back(pair)
    assert not one.exists()
    geomedsr.write(pair)
    check_whole(pair)
