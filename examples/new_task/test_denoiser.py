"""What a task must keep: tiles equal the whole, a killed job and a cluster give equal bits, files keep the promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import denoiser
import numpy as np
import pytest

import geomedsr
from geomedsr import Model, Scene, verify
from geomedsr.inference import process
from geomedsr.io import open_scene
from geomedsr.models import load_model
from geomedsr.training import load_recipe, train

HERE = Path(__file__).parent
COAST, CT = HERE.parent / "sentinel2_coast" / "input.tif", HERE.parent / "ct_abdomen"
PROMISE = "no pixel moves by more than 3 times the noise"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Trained for a few steps by the recipe."""
    less = [
        "content.steps=80",
        "content.batch=4",
        "content.patch=24",
        f"data.root={HERE.parent}",
        "device=cpu",
        "generator.options={width: 8}",
    ]
    return load_model(train(load_recipe(HERE / "denoiser.yaml", less), tmp_path_factory.mktemp("run"), quiet=True))


def noisy(scale: int = 1) -> Scene:
    """The sample, so many times larger, with noise of 5 % of its value range."""
    scene = open_scene(COAST)
    values = scene.data.values.astype(np.float64).repeat(scale, 2).repeat(scale, 3)
    values += np.random.default_rng(0).normal(0, 0.05, values.shape) * scene.values.bounds()[1]
    return Scene.from_array(values.round().clip(1, 65535).astype(np.uint16))


def made(model: Model, image: Scene, tile: int = 100) -> Scene:
    """What it makes of an image."""
    return process(model, image=image, tile=tile, precision="float32")["image"]


def test_it_learns_and_keeps_its_promise(model: Model) -> None:
    """The error falls, and no pixel moves further than the noise."""
    image = noisy()
    clean = open_scene(COAST).data.values.astype(np.float64)
    before, after = image.data.values.astype(np.float64), made(model, image).data.values.astype(np.float64)
    assert np.square(after - clean).mean() < 0.95 * np.square(before - clean).mean()
    bound = np.array(denoiser.WithinNoise().bind({"image": image}).bound)[:, None, None]
    assert (np.abs(after - before) <= bound).all()


def test_a_scene_without_noise_is_left_as_it_is(model: Model) -> None:
    """What stands out alone in it, too."""
    values = np.full((1, 40, 50), 900, np.float32)
    values[0, ::7, ::9] = 2000
    image = Scene.from_array(values)
    np.testing.assert_array_equal(made(model, image).data.values, image.data.values)
    free = process(model, image=image, conserve=False)["image"].data.values
    assert (free != image.data.values).mean() > 0.5


def test_tiles_equal_the_untiled_result(model: Model) -> None:
    """Whatever the side of a tile."""
    whole, tiled = (made(model, noisy(), tile).data.values for tile in (512, 23))
    np.testing.assert_array_equal(tiled, whole)


def test_a_cluster_gives_the_same_bits(model: Model, tmp_path: Path) -> None:
    """Whose processes are told of the network and the operator."""
    pytest.importorskip("distributed")
    result = made(model, noisy(8))
    geomedsr.write(result, tmp_path / "threads.npy", workers=2)
    geomedsr.write(result, tmp_path / "cluster.npy", cluster="local:2")
    np.testing.assert_array_equal(np.load(tmp_path / "cluster.npy"), np.load(tmp_path / "threads.npy"))


SLOW = """
import sys, time, denoiser, geomedsr
from geomedsr.inference import process
own = denoiser.WithinNoise.agree
denoiser.WithinNoise.agree = lambda *args: (time.sleep(0.2), own(*args))[1]
image = geomedsr.open(sys.argv[1])
geomedsr.write(process(sys.argv[2], image=image, tile=100, precision="float32")["image"], sys.argv[3], workers=1)
"""


def test_a_killed_job_goes_on_to_the_same_bits(model: Model, tmp_path: Path) -> None:
    """Killed with some regions stored."""
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    geomedsr.write(noisy(8), source)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    job = subprocess.Popen([sys.executable, "-c", SLOW, str(source), model.path, str(out)], env=env)
    while not list(tmp_path.glob(".out*.part/*/f*.tif")) and job.poll() is None:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait(60)
    assert not out.exists()
    told = geomedsr.write(made(model, geomedsr.open(source)), out)
    assert 0 < told.resumed < told.regions
    np.testing.assert_array_equal(
        open_scene(out, force=True).data.values, made(model, geomedsr.open(source)).data.values
    )


@pytest.mark.parametrize(("source", "name"), [(COAST, "clean.tif"), (CT, "clean")])
def test_files_keep_the_promise(model: Model, source: Path, name: str, tmp_path: Path) -> None:
    """GeoTIFF and DICOM, written, read back and verified."""
    result, out = made(model, geomedsr.open(source)), tmp_path / name
    geomedsr.write(result, out)
    again = open_scene(out, force=True)
    np.testing.assert_array_equal(again.data.values, result.data.values)
    checks = verify(source, out)
    assert [check for check in checks if check.kept is False] == []
    assert next(check for check in checks if check.promise == PROMISE).kept
    if source == COAST:  # a pixel that was moved further is found
        values = again.data.values.copy()
        values[0, 0, 50, 50] += 3000
        bad = Scene.from_array(values, grid=again.grid, bands=again.bands, tags=again.tags)
        geomedsr.write(bad, tmp_path / "bad.tif")
        assert next(check for check in verify(source, tmp_path / "bad.tif") if check.promise == PROMISE).kept is False
