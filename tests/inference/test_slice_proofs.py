"""New slices, from a file to files: equal bits by threads, by a cluster and after a kill, each computed once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import killed_and_resumed
from toys import saved_toy, scene, stack, toy

import geomedsr
from geomedsr import Grid, Scene, verify
from geomedsr.errors import OutputError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Plane
from geomedsr.inference import process
from geomedsr.inference.passes import boxes_of
from geomedsr.inference.prediction import Prediction
from geomedsr.io import open_scene

SLICES, ROWS, COLS = 5, 150, 130


@pytest.fixture(scope="module", params=[Factors(2, 1, 1), Factors(2, 2, 2)], ids=["slices", "slices and pixels"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene, np.ndarray]:
    """The source's file, the lazy result, and what it is as one tile."""
    folder = tmp_path_factory.mktemp("slices")
    planes = tuple(Plane((3, 4, 5 + 2.5 * i), (1, 0, 0), (0, 1, 0), (0.5, 0.5)) for i in range(SLICES))
    image = scene(ROWS, COLS, 1, frames=SLICES, grid=Grid((ROWS, COLS), planes=planes), domain="MR")
    geomedsr.write(image, folder / "in.nii")
    image = geomedsr.open(folder / "in.nii")
    factors: Factors = request.param
    model = saved_toy(folder, frame_factor=factors.frame, scale=factors.x, neighbours=1)
    whole = process(model, image=image, tile=1024, precision="float32")["image"].data.values
    return folder / "in.nii", process(model, image=image, tile=48, precision="float32")["image"], whole


def stored(path: Path) -> np.ndarray:
    return open_scene(path, force=True).data.values


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_the_untiled_result(made: tuple[Path, Scene, np.ndarray], workers: int, tmp_path: Path) -> None:
    source, result, whole = made
    for name in ("out.nii", "out.nrrd", "out.npy"):
        geomedsr.write(result, tmp_path / name, workers=workers)
        np.testing.assert_array_equal(stored(tmp_path / name), whole)
    assert [check for check in verify(source, tmp_path / "out.nii") if check.kept is False] == []


def test_a_cluster_gives_the_same_bits(made: tuple[Path, Scene, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    geomedsr.write(made[1], tmp_path / "out.nii", cluster="local:2")
    np.testing.assert_array_equal(stored(tmp_path / "out.nii"), made[2])


def test_a_killed_job_goes_on_to_the_same_bits(made: tuple[Path, Scene, np.ndarray], tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    ((resumed, regions),) = killed_and_resumed({out: made[1]}, "*.done", workers=2)
    assert 0 < resumed < regions == SLICES
    np.testing.assert_array_equal(stored(out), made[2])


def test_a_volume_packed_and_unpacked_in_one_call(
    made: tuple[Path, Scene, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slice is computed once, with all that are made of it."""
    _, result, whole = made
    computed, own = [], Prediction._to_stored

    def counted(prediction: Prediction, *parts: Any) -> Any:
        computed.append(parts[-1])
        return own(prediction, *parts)

    monkeypatch.setattr(Prediction, "_to_stored", counted)
    told = geomedsr.write({tmp_path / "out.nii": result, tmp_path / "packed.nii.gz": result})
    assert len(computed) == SLICES
    assert {each.regions for each in told.values()} == {SLICES}
    for path in told:
        np.testing.assert_array_equal(stored(path), whole)


MEMORY = """
import sys, geomedsr, toys
from pathlib import Path
from geomedsr.inference import process
model = geomedsr.load_model(Path(sys.argv[2]))
made = process(model, image=geomedsr.open(sys.argv[1]), tile=128, memory="4GiB", precision="float32")["image"]
geomedsr.write(made, sys.argv[3], workers=1, progress=False)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_many_slices_take_what_few_take_and_what_is_planned(tmp_path: Path) -> None:
    model = saved_toy(tmp_path, frame_factor=5, scale=2)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    peaks = {}
    for count in (4, 40):  # results of 40 and 400 MiB
        values = np.random.default_rng(1).integers(0, 99, (count, 1, 512, 512)).astype("int16")
        planes = tuple(Plane((0, 0, 3.0 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(count))
        source, out = tmp_path / f"{count}.nii", tmp_path / "out.nii"
        geomedsr.write(Scene.from_array(values, grid=Grid((512, 512), planes=planes), domain="MR"), source)
        files = [str(source), str(tmp_path / "toy.safetensors"), str(out)]
        command = [sys.executable, "-W", "ignore", "-c", MEMORY, *files]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        peaks[count] = int(done.stdout) / 1024
        out.unlink()
    made = process(model, image=geomedsr.open(source), tile=128, precision="float32")["image"]
    assert isinstance(made.source, Prediction)
    planned = made.source.need(Box((0, 0, 0), (5, 1024, 1024))).least(128) / 2**20
    assert peaks[40] < peaks[4] + 60, peaks  # MiB
    assert peaks[40] < 1.1 * planned, (peaks, planned)


def test_a_volume_beside_itself_is_refused_before_any_work(
    made: tuple[Path, Scene, np.ndarray], tmp_path: Path
) -> None:
    for pair in (("a.nii", "a.nii.gz"), ("a.nii.gz", "a.nii")):
        with pytest.raises(OutputError, match=r"one NIfTI file of a name in a folder"):
            geomedsr.write({tmp_path / name: made[1] for name in pair})
        assert list(tmp_path.iterdir()) == []


def test_frames_that_come_together_are_one_region() -> None:
    once = process(toy(frame_factor=3), image=stack(4), precision="float32")["image"]
    both = process(toy(scale=2), image=once, precision="float32")["image"]
    for made, size in ((once, (26, 30)), (both, (52, 60))):
        boxes = list(boxes_of(made.source))
        assert boxes == [Box((3 * i, 0, 0), (3 * i + 3, *size)) for i in range(4)]
        assert made.data.chunks is not None
        assert made.data.chunks[0] == (3,) * 4
    assert isinstance(both.source, Prediction)
    one, three = (both.source.need(Box((0, 0, 0), (depth, 52, 60))) for depth in (1, 3))
    assert (one.depth, three.depth) == (1, 3)
    assert three.worker(16) > one.worker(16)
