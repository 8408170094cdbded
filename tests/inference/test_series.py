"""Series and frame operators through the engine: windows, tiles and the default model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_tiny, texture

import geomedsr
from geomedsr import Band, Grid, Scene, Window, operators
from geomedsr.errors import ModelError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Plane
from geomedsr.inference.passes import boxes_of
from geomedsr.models import Model, default_model, load_model
from geomedsr.operators.k_space import central


@pytest.fixture(scope="module")
def crop(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "crop.safetensors"
    return load_model(save_tiny(path, 2, name="crop", operator="k-space-crop"))


def slices(count: int, height: int, width: int, limits: tuple[int, int] | None = None) -> Scene:
    plane = Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    values = np.stack([texture(1, height, width, seed=i, low=20000, high=24000) for i in range(count)])
    bands = [Band("1", limits=limits)]
    return Scene.from_array(values, grid=Grid((height, width), planes=(plane,) * count), bands=bands)


def test_a_window_of_a_k_space_result_is_that_part_of_the_whole(crop: Model) -> None:
    sr = geomedsr.upscale(slices(2, 30, 41), crop)
    whole = sr.data.values
    part = sr.source.read(Box.of(1, Window(7, 11, 20, 31)))
    np.testing.assert_array_equal(part[0], whole[1, :, 11:42, 7:27])


@pytest.mark.parametrize("name", ["crop", "tiny_x2"])
def test_the_tile_changes_no_bit(name: str, request: pytest.FixtureRequest) -> None:
    model, scene = request.getfixturevalue(name), slices(1, 70, 53)
    whole = geomedsr.upscale(scene, model).data.values
    for tile in (16, 29, 64):
        np.testing.assert_array_equal(geomedsr.upscale(scene, model, tile=tile).data.values, whole)


def test_a_slice_is_one_region(crop: Model) -> None:
    regions = list(boxes_of(geomedsr.upscale(slices(3, 30, 40), crop, tile=8).source))
    assert [(r.start[0], r.window) for r in regions] == [(i, Window(0, 0, 80, 60)) for i in range(3)]


@pytest.mark.parametrize("size", [(30, 40), (31, 33), (22, 17)])
def test_the_result_agrees_with_its_input_in_k_space(crop: Model, size: tuple[int, int]) -> None:
    scene = slices(1, *size)
    made, deviation = geomedsr.upscale(scene, crop).source.compute(Box.of(0, Window(0, 0, size[1] * 2, size[0] * 2)))
    values = made["image"]
    down = operators.get("k-space-crop").forward(torch.from_numpy(values.astype(np.float64)), 2)
    apart = central(down - torch.from_numpy(scene.data.values.astype(np.float64))).abs().max()
    assert deviation == pytest.approx(float(apart), abs=1e-3)
    assert 0 < deviation < 1  # nothing is clipped here: rounding alone
    free = geomedsr.upscale(scene, crop, conserve=False).source
    assert free.compute(Box.of(0, Window(0, 0, 4, 4)))[1] is None
    assert np.abs(free.read(Box.of(0, Window(0, 0, 4, 4))).astype(int) - values[..., :4, :4]).max() > 1


def test_limits_hold_and_block_means_too(tiny_x2: Model, crop: Model) -> None:
    scene = slices(1, 20, 24, limits=(0, 4095))
    clipped = np.clip((scene.data.values - 20000) * 2, 0, 4095).astype("uint16")
    scene = Scene.from_array(clipped, grid=scene.grid, bands=scene.bands)
    for model in (tiny_x2, crop):
        assert geomedsr.upscale(scene, model).data.values.max() <= 4095
    sr = geomedsr.upscale(scene, tiny_x2).data.values.astype(int)
    np.testing.assert_array_equal(sr.reshape(1, 1, 20, 2, 24, 2).sum((3, 5)), 4 * clipped.astype(int))


def test_a_model_is_found_for_each_domain_it_is_shipped_for() -> None:
    assert default_model("satellite") == "satellite-x4"
    with pytest.raises(ModelError, match="does not say what it shows"):
        default_model("")
    with pytest.raises(ModelError, match="a scene of the domain PT"):
        default_model("PT")


def test_a_physical_range_must_be_in_order(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "a.safetensors", 2, value_scale="physical", value_range=(400, -1000))
    with pytest.raises(ModelError, match="not in order"):
        load_model(path)
