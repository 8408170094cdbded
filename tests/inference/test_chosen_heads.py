"""One network with a head for each of several factors: what each makes, from a file to a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import texture
from toys import saved_toy, scene, stack, toy

import geomedsr
from geomedsr import Grid, Model, Scene, upscale, verify
from geomedsr.errors import InputError
from geomedsr.geometry import Factors
from geomedsr.geometry.grid import Plane
from geomedsr.inference import process
from geomedsr.io import open_scene

SETS = ((2, 1, 1), (3, 1, 1), (2, 2, 2))
SLICES, ROWS, COLS = 4, 70, 61


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return saved_toy(tmp_path_factory.mktemp("model"), architecture="toy-heads", frame_factor=2, heads=SETS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "in.nii"
    planes = tuple(Plane((3, 4, 5 + 2.5 * i), (1, 0, 0), (0, 1, 0), (0.5, 0.5)) for i in range(SLICES))
    geomedsr.write(scene(ROWS, COLS, 1, frames=SLICES, grid=Grid((ROWS, COLS), planes=planes), domain="MR"), path)
    return path


def alone(model: Model, factors: Factors) -> Model:
    """A network of that head and no other, with the same weights."""
    own = toy(architecture="toy-heads", frame_factor=factors.frame, scale=factors.y, heads=(tuple(factors),))
    weights = own.module.state_dict().keys()
    own.module.load_state_dict({key: value for key, value in model.module.state_dict().items() if key in weights})
    return own


@pytest.mark.parametrize("factors", [Factors(*head) for head in SETS], ids=str)
def test_each_is_written_and_read(model: Model, source: Path, factors: Factors, tmp_path: Path) -> None:
    image = geomedsr.open(source)
    made = process(model, image=image, factors=factors, precision="float32", tile=32)["image"]
    geomedsr.write(made, tmp_path / "out.nii")
    again = open_scene(tmp_path / "out.nii", force=True)
    values = again.data.values
    whole = process(alone(model, factors), image=image, precision="float32", tile=1024)["image"]
    np.testing.assert_array_equal(values, whole.data.values)  # tiled, chosen of several, as its head alone
    blocks = values.astype(np.int64).reshape(SLICES, factors.frame, 1, ROWS, factors.y, COLS, factors.x)
    np.testing.assert_array_equal(blocks.sum((1, 4, 6)), image.data.values.astype(np.int64) * factors.volume)
    assert blocks.std((1, 4, 6)).mean() > 1
    depths = [5 + 2.5 * (i + (k + 0.5) / factors.frame - 0.5) for i in range(SLICES) for k in range(factors.frame)]
    np.testing.assert_allclose([plane.position[2] for plane in again.grid.planes], depths, atol=1e-5)
    np.testing.assert_allclose(again.grid.planes[0].spacing, (0.5 / factors.y, 0.5 / factors.x), atol=1e-6)
    assert made.lineage == tuple((i,) for i in range(SLICES) for _ in range(factors.frame))
    assert again.provenance.model.factors == factors
    assert made.provenance["GEOMEDSR_FRAME_FACTOR"] == str(factors.frame)
    assert made.provenance["GEOMEDSR_FACTOR"] == str(factors.y)
    assert [check for check in verify(source, tmp_path / "out.nii") if check.kept is False] == []


def test_workers_keep_the_choice(model: Model, source: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    made = process(model, image=geomedsr.open(source), factors=(3, 1, 1), precision="float32")["image"]
    geomedsr.write(made, tmp_path / "out.nii", cluster="local:2")
    np.testing.assert_array_equal(open_scene(tmp_path / "out.nii", force=True).data.values, made.data.values)


def test_the_first_is_used_unless_another_is_chosen(model: Model) -> None:
    image = stack(4)
    first = process(model, image=image, precision="float32")["image"]
    assert first.shape[0] == 8
    np.testing.assert_array_equal(
        process(model, image=image, factors=[2, 1, 1], precision="float32")["image"].data.values, first.data.values
    )
    assert process(model.path, image=image, factors=(3, 1, 1))["image"].shape[0] == 12
    chosen = model.with_factors((3, 1, 1))
    assert upscale(image, chosen).shape[0] == 12
    assert process(chosen, image=image, factors=(2, 2, 2))["image"].shape == (8, 1, 52, 60)
    assert process(model, image=image)["image"].shape[0] == 8  # which is as it was


def test_pictures_have_several_scales(tmp_path: Path) -> None:
    heads = ((1, 2, 2), (1, 4, 4))
    model = saved_toy(tmp_path, architecture="toy-heads", scale=2, heads=heads)
    geomedsr.write(Scene.from_array(texture(2, 50, 41)), tmp_path / "in.tif")
    image = geomedsr.open(tmp_path / "in.tif")
    for _, y, x in heads:
        made = process(model, image=image, factors=(1, y, x), tile=17, precision="float32")["image"]
        geomedsr.write(made, tmp_path / f"{y}.tif")
        values = geomedsr.open(tmp_path / f"{y}.tif").data.values.astype(np.int64)
        sums = values.reshape(1, 2, 50, y, 41, x).sum((3, 5))
        np.testing.assert_array_equal(sums, image.data.values.astype(np.int64) * y * x)
        assert [check for check in verify(tmp_path / "in.tif", tmp_path / f"{y}.tif") if check.kept is False] == []


def test_factors_that_are_not_offered_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match=r"got factors \(5, 1, 1\) .* one of \(2, 1, 1\), \(3, 1, 1\), \(2, 2, 2\)"):
        process(model, image=stack(4), factors=(5, 1, 1))
    with pytest.raises(InputError, match=r"got factors \(3, 1, 1\) for the model toy 0, expected its own, \(1, 2, 2\)"):
        process(toy(scale=2), image=scene(), factors=(3, 1, 1))
    assert process(toy(scale=2), image=scene(), factors=(1, 2, 2))["image"].shape[-1] == 66


def test_memory_follows_the_choice(model: Model) -> None:
    sizes = torch.rand(1, 1, 8, 8)
    few, many = (model.with_factors(head) for head in ((2, 1, 1), (2, 2, 2)))
    assert few.module(sizes).numel() * 4 == many.module(sizes).numel()
    assert few.module.held(few.descriptor.shapes) < many.module.held(many.descriptor.shapes)
