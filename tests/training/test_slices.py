"""Training of new slices: planes across volumes, thick along their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import texture
from making import volume

import geomedsr
from geomedsr import Scene
from geomedsr.errors import RecipeError
from geomedsr.geometry.profile import Profile
from geomedsr.models import load_model
from geomedsr.training import load_recipe, train
from geomedsr.training.augment import Augment
from geomedsr.training.recipe import SlicesPart
from geomedsr.training.slices import SlicePatches, across, agreed, rows_of

BOXES, BELLS = SlicesPart(boxes=1), SlicesPart(boxes=0, bells=(1, 1))


def test_planes_across_slices_are_those_of_rows_and_of_columns() -> None:
    scene = volume()
    planes = across(scene)
    assert planes.shape == (44 + 48, 1, 40, 48)
    values, valid, stored = planes.data.values, planes.valid.values, scene.data.values[:, 0]
    np.testing.assert_array_equal(values[7, 0], stored[:, 7, :])
    np.testing.assert_array_equal(values[44 + 9, 0][:, :44], stored[:, :, 9])
    assert valid[:44].all()
    assert not valid[44:, :, :, 44:].any()


@pytest.mark.parametrize("part", [BOXES, BELLS])
@pytest.mark.parametrize("crossing", [False, True])
def test_an_example_is_what_its_slices_see_of_its_target(part: SlicesPart, crossing: bool) -> None:
    scene = across(volume()) if crossing else volume()
    augment = Augment(gain=(0.8, 1.25), offset=0.1, sharpness=(-0.3, 0.3))
    patches = SlicePatches([scene], [crossing], 24, (3, 4), 2, part, augment=augment, batch=2, seed=5)
    factors = set()
    for index in range(12):
        example = patches[index]
        target, image, profile = (example[name] for name in ("target", "image", "profile"))
        factor = len(target)
        factors.add(factor)
        assert len(patches[index - index % 2]["target"]) == factor  # one factor in a batch
        assert target.shape == (factor, 24 // factor, 24)
        assert image.shape == (5, 24 // factor, 24)
        torch.testing.assert_close(image[2, 1:], image[3, :-1])  # neighbours are the next rows
        fine = target.transpose(0, 1).reshape(-1, 24)
        if part is BOXES:
            torch.testing.assert_close(image[2], fine.reshape(-1, factor, 24).mean(1), atol=1e-5, rtol=0)
            assert profile.item() == 0
        else:
            weights = torch.tensor(Profile(1.0).weights(factor), dtype=torch.float32)
            inner = torch.einsum("k,kx->x", weights, fine[factor : 4 * factor])  # the third slice
            torch.testing.assert_close(image[2, 2], inner, atol=1e-5, rtol=0)
    assert factors == {3, 4}


@pytest.mark.parametrize("width", [0.0, 0.9, 1.2])
def test_planes_are_made_to_agree_as_slices_are(width: float) -> None:
    generator = torch.Generator().manual_seed(2)
    made, coarse = torch.rand(2, 3, 12, 5, generator=generator), torch.rand(2, 12, 5, generator=generator)
    profile = Profile(width)
    fine = rows_of(agreed(made, coarse, torch.tensor([width, width]))).double()
    reach, weights = profile.reach(3), torch.from_numpy(profile.weights(3))
    for number in range(reach, 12 - reach):
        first = (number - reach) * 3
        seen = torch.einsum("k,bkx->bx", weights, fine[:, first : first + len(weights)])
        torch.testing.assert_close(seen, coarse[:, number].double(), atol=2e-3, rtol=0)
    if not width:  # each new slice moves as much as its slice
        torch.testing.assert_close(fine.float(), rows_of(made + (coarse - made.mean(1))[:, None]), atol=1e-6, rtol=0)


def test_an_example_is_a_function_of_seed_and_index() -> None:
    make = {"part": SlicesPart(stretch=(1, 1.5)), "augment": Augment(sharpness=(-0.3, 0.3))}
    one, two = (SlicePatches([volume()], [False], 24, (3,), 2, **make) for _ in range(2))  # type: ignore[arg-type]
    for index in (0, 7, 3):
        for name, part in one[index].items():
            assert torch.equal(part, two[index][name])


RECIPE: dict[str, Any] = {
    "name": "thin",
    "version": "1",
    "domain": "MR",
    "generator": {
        "architecture": "slices",
        "scale": 1,
        "neighbours": 2,
        "heads": [[3, 1, 1], [2, 1, 1]],
        "options": {"width": 8, "blocks": 1},
    },
    "operator": "slice-profile",
    "slices": {"boxes": 0.5, "bells": [0.8, 1.2], "stretch": [1.0, 1.5]},
    "data": {
        "train": [
            {"path": "train.nii", "across": True, "attribution": "made here"},
            {"path": "train.nii", "attribution": "made here"},
        ],
        "validation": [{"path": "held.nii", "across": True, "attribution": "made here"}],
    },
    "content": {"steps": 60, "batch": 4, "patch": 24, "losses": [{"kind": "l1"}]},
    "device": "cpu",
}
RECIPE["content"]["optimiser"] = {"learning_rate": 2e-3, "warmup_steps": 5}


def recipe(folder: Path, **more: Any) -> Path:
    for seed, name in ((0, "train"), (1, "held")):
        values = np.stack([texture(1, 44, 48, seed=7)[0] * (1 + 0.3 * np.sin(i + seed)) for i in range(40)])
        geomedsr.write(
            Scene(**{**volume().__dict__, "source": Scene.from_array(values[:, None].astype(np.int16)).source}),
            folder / f"{name}.nii",
            overwrite=True,
        )
    content = RECIPE | more
    content["data"] = content["data"] | {"root": str(folder)}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return folder / "recipe.yaml"


@pytest.mark.filterwarnings("ignore:.*slices are taken along")
def test_a_recipe_makes_a_model_that_makes_slices_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = recipe(tmp_path)
    path = train(load_recipe(file), tmp_path / "run", quiet=True)
    model = load_model(path)
    assert model.descriptor.heads == ((3, 1, 1), (2, 1, 1))
    metrics = model.descriptor.metrics
    assert metrics["psnr"] > metrics["psnr_bicubic"]
    assert 0.5 < metrics["grid"] < 2
    header, *rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert float(rows[-1].split(",")[header.split(",").index("grid")]) == pytest.approx(metrics["grid"], abs=1e-3)
    assert (tmp_path / "run" / "validation" / "step-0000060.png").stat().st_size > 1000
    train(load_recipe(file, ["content.steps=60", "checkpoint_every=20"]), tmp_path / "again", quiet=True)
    (tmp_path / "again" / "model.safetensors").unlink()
    (tmp_path / "again" / "checkpoint.pt").unlink()  # the one before remains
    again = load_model(train(load_recipe(file), tmp_path / "again", quiet=True))
    for name, weight in model.module.state_dict().items():
        assert torch.equal(weight, again.module.state_dict()[name]), name
    made = geomedsr.process(path, image=geomedsr.open(tmp_path / "held.nii"), precision="float32")["image"]
    assert made.shape == (120, 1, 44, 48)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"slices": None}, "generator.heads, slices, and data across slices"),
        ({"generator": RECIPE["generator"] | {"heads": [[3, 2, 2]]}}, "heads such as"),
        ({"augment": {"zoom": [0.8, 1.2]}}, "augment.zoom in a recipe of new slices"),
        ({"degradation": [{"kind": "bicubic"}], "operator": "none"}, "degradation in a recipe of new slices"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({k: v for k, v in (RECIPE | more).items() if v is not None}))
    with pytest.raises(RecipeError, match=said):
        load_recipe(tmp_path / "recipe.yaml")


def test_stationarity_brings_steps_across_old_faces_nearer_to_those_within(tmp_path: Path) -> None:
    grids = []
    for weight in (0, 0.3):
        losses = [{"kind": "l1"}, {"kind": "stationarity", "weight": weight}]
        file = recipe(tmp_path, content=RECIPE["content"] | {"losses": losses})
        model = load_model(train(load_recipe(file), tmp_path / f"run{weight}", quiet=True))
        grids.append(abs(model.descriptor.metrics["grid"] - 1))
    assert grids[1] < 0.7 * grids[0]


def test_a_patch_too_large_for_a_scene_is_refused() -> None:
    with pytest.raises(RecipeError, match="for patches of 80"):
        SlicePatches([volume()], [False], 80, (3,), 2, BOXES)
