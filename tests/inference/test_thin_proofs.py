"""New slices that agree through bells, from a file to files: equal bits by threads, by a cluster, and after a kill."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from killing import killed_and_resumed
from toys import saved_toy, scene

import geomedsr
from geomedsr import Grid, Scene
from geomedsr.geometry.grid import Plane
from geomedsr.geometry.profile import Profile
from geomedsr.inference import process
from geomedsr.inference.kept import KeptFrames
from geomedsr.inference.prediction import Prediction
from geomedsr.io import open_scene

SLICES, ROWS, COLS = 40, 60, 50


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, np.ndarray]:
    """The lazy result, and what it is at once."""
    folder = tmp_path_factory.mktemp("bells")
    planes = tuple(Plane((3, 4, 5 + 2.5 * i), (1, 0, 0), (0, 1, 0), (0.5, 0.5)) for i in range(SLICES))
    image = scene(ROWS, COLS, 1, frames=SLICES, grid=Grid((ROWS, COLS), planes=planes), domain="MR")
    geomedsr.write(image, folder / "in.nii")
    image = replace(geomedsr.open(folder / "in.nii"), profile=Profile(1.0))
    model = saved_toy(folder, frame_factor=3, neighbours=1, operator="slice-profile")
    result = process(model, image=image, tile=32, precision="float32")["image"]
    return result, result.data.values


def stored(path: Path) -> np.ndarray:
    return open_scene(path, force=True).data.values


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_a_slice_names_all_that_it_depends_on(width: float, tmp_path: Path) -> None:
    planes = tuple(Plane((3, 4, 5 + 2.5 * i), (1, 0, 0), (0, 1, 0), (0.5, 0.5)) for i in range(SLICES))
    image = scene(8, 9, 1, frames=SLICES, grid=Grid((8, 9), planes=planes), domain="MR").with_range(0, 3000)
    values = image.data.values.astype(np.float64)
    model = saved_toy(tmp_path, frame_factor=3, neighbours=1, operator="slice-profile")

    def made_of(values: np.ndarray) -> Scene:
        given = replace(image, source=Scene.from_array(values).source, profile=Profile(width))
        return process(model, image=given, precision="float32")["image"]

    before = made_of(values)
    sources = [set(of) for of in before.lineage]
    for changed in (0, 20):
        other = values.copy()
        other[changed] += 500
        moved = np.abs(made_of(other).data.values - before.data.values).max((1, 2, 3)) > 0
        naming = np.array([changed in of for of in sources])
        np.testing.assert_array_equal(moved & ~naming, False)
        assert naming.sum() <= 3 * (3 if not width else 21)
        assert moved.sum() > 0.6 * naming.sum()  # and hardly any besides


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_the_same_bits(made: tuple[Scene, np.ndarray], workers: int, tmp_path: Path) -> None:
    written = geomedsr.write(made[0], tmp_path / "out.nii", workers=workers)
    np.testing.assert_array_equal(stored(tmp_path / "out.nii"), made[1])
    assert written.deviation is not None
    assert 0 < written.deviation < 60  # what a toy makes is often clipped


def test_a_cluster_gives_the_same_bits(made: tuple[Scene, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    geomedsr.write(made[0], tmp_path / "out.nii", cluster="local:2")
    np.testing.assert_array_equal(stored(tmp_path / "out.nii"), made[1])


def test_a_killed_job_goes_on_to_the_same_bits(made: tuple[Scene, np.ndarray], tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    ((resumed, regions),) = killed_and_resumed({out: made[0]}, "f30-*.done", workers=2)  # in the second slab
    assert 0 < resumed < regions
    np.testing.assert_array_equal(stored(out), made[1])


def test_no_slice_goes_through_the_network_twice(
    made: tuple[Scene, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made[0].source
    assert isinstance(source, Prediction)
    fresh = replace(made[0], source=replace(source, kept=source.kept.empty))
    counted = []
    real = Prediction._frame_planes

    def counting(self: Prediction, *args: object) -> object:
        counted.append(args[3])
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Prediction, "_frame_planes", counting)
    geomedsr.write(fresh, tmp_path / "out.nii", workers=1)
    tiles = 4  # of 32 in 60 × 50
    assert len(counted) == SLICES * tiles


def test_what_is_kept_is_bounded_and_starts_empty_elsewhere() -> None:
    kept = KeptFrames(100)
    for number in range(5):
        kept.get(number, lambda: {"image": np.zeros(10, np.float32)})
    assert kept._held == 80
    assert list(kept._frames) == [3, 4]
    again = pickle.loads(pickle.dumps(kept))
    assert (again.most, again._held) == (100, 0)
