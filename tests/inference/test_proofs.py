"""Shapes that are to come, from inputs to files: equal bits by threads, by a cluster, and after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from killing import killed_and_resumed
from toys import DATES, MASKED, PANNED, saved_toy, scene

import geomedsr
from geomedsr import Grid, Scene, verify
from geomedsr.geometry import Factors
from geomedsr.inference import process

ROWS, COLS = 620, 560


def holes() -> Scene:
    """Lines and blobs across the borders of all regions."""
    mask = np.zeros((1, 1, ROWS, COLS), np.uint8)
    mask[..., 507:519, :] = 1
    mask[..., :, 510:514] = 1
    mask[..., ::37, ::23] = 1
    return Scene.from_array(mask)


SHAPES: dict[str, tuple[dict[str, Any], Callable[[], dict[str, Scene]]]] = {
    "the same size with a mask": ({"ports": MASKED, "operator": "keep-valid"}, lambda: {"mask": holes()}),
    "image and guide": (
        {"ports": PANNED, "scale": 2, "channels": 2, "operator": "toy-guided"},
        lambda: {"guide": scene(2 * ROWS, 2 * COLS, 1, 5)},
    ),
    "three images of one place": (
        {"ports": DATES},
        lambda: {"before": scene(ROWS, COLS, seed=7), "after": scene(ROWS, COLS, seed=9)},
    ),
}


@pytest.fixture(scope="module", params=SHAPES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene, np.ndarray]:
    """The source's file, the lazy result, and what it is as one tile."""
    card, others = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("shape")
    grid = Grid((ROWS, COLS), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633")
    geomedsr.write(scene(ROWS, COLS, grid=grid), folder / "in.tif")
    inputs = {"image": geomedsr.open(folder / "in.tif"), **others()}
    model = saved_toy(folder, **card)
    whole = process(model, **inputs, tile=1024, precision="float32")["image"].data.values
    return folder / "in.tif", process(model, **inputs, tile=200, precision="float32")["image"], whole


@pytest.mark.parametrize("ending", [".tif", ".zarr", ".npy"])
def test_files_hold_the_untiled_result(made: tuple[Path, Scene, np.ndarray], ending: str, tmp_path: Path) -> None:
    source, result, whole = made
    out = tmp_path / f"out{ending}"
    geomedsr.write(result, out, workers=3)
    np.testing.assert_array_equal(geomedsr.io.open_scene(out, force=True).data.values, whole)
    if ending != ".npy":
        assert [check for check in verify(source, out) if check.kept is False] == []
    assert Factors.between(geomedsr.open(source).shape, whole.shape) is not None


def test_a_cluster_gives_the_same_bits(made: tuple[Path, Scene, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    geomedsr.write(made[1], tmp_path / "out.zarr", cluster="local:2")
    np.testing.assert_array_equal(geomedsr.open(tmp_path / "out.zarr").data.values, made[2])


def test_a_killed_job_goes_on_to_the_same_bits(made: tuple[Path, Scene, np.ndarray], tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    ((resumed, regions),) = killed_and_resumed({out: made[1]}, "f*.tif", workers=2)
    assert 0 < resumed < regions
    np.testing.assert_array_equal(geomedsr.open(out).data.values, made[2])
