"""Training of networks with other inputs than the image: masks of what the degradation breaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import texture
from toys import holes, scene

import geomedsr
from geomedsr import Scene
from geomedsr.degradations import BlockMean, DeadPixels, PoissonGaussian
from geomedsr.errors import RecipeError
from geomedsr.geometry.grid import Window
from geomedsr.inference import process
from geomedsr.models import load_model
from geomedsr.models.ports import Port
from geomedsr.training import Patches, Recipe, load_recipe, train
from geomedsr.training.augment import Augment, Change
from geomedsr.training.patches import Draw
from geomedsr.training.run import identity
from geomedsr.training.step import step as one_step

OWN, ONE = Port(name="mask", meaning="mask"), Port(name="mask", meaning="mask", bands=("mask",))
DEAD = (BlockMean(), DeadPixels(fraction=(0.05, 0.05), stuck=("random",)))
MASK = {"inputs": [{"name": "mask", "meaning": "mask", "bands": ["mask"]}]}


def recipe(folder: Path, **changes: Any) -> Path:
    """Of a toy that fills dead pixels."""
    geomedsr.write(Scene.from_array(texture(1, 90, 80)), folder / "a.npy")
    content = {
        "name": "fill",
        "version": "0.1",
        "generator": {"architecture": "toy", "scale": 1, "ports": MASK},
        "operator": "keep-valid",
        "degradation": [{"kind": "block-mean"}, {"kind": "dead-pixels", "fraction": [0.05, 0.1]}],
        "data": {
            "root": str(folder),
            "train": [{"path": "a.npy", "attribution": "none", "window": [0, 40, 80, 50]}],
            "validation": [{"path": "a.npy", "attribution": "none", "window": [0, 0, 40, 40]}],
        },
        "content": {"steps": 6, "batch": 4, "patch": 16, "losses": [{"kind": "l1"}]},
        "device": "cpu",
        "checkpoint_every": 2,
        "validate_every": 3,
        **changes,
    }
    path = folder / "fill.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("port", [OWN, ONE])
def test_a_mask_marks_what_was_broken(port: Port) -> None:
    patches = Patches([Scene.from_array(texture(2, 60, 60))], 24, 1, DEAD, channels=2, ports=[port], seed=4)
    for index in range(4):
        example = patches[index]
        assert [*example] == ["target", "image", "mask"]
        broken = example["target"] != example["image"]
        marked = example["mask"] != 0
        assert set(example["mask"].unique().tolist()) == {0.0, 1.0}
        assert torch.equal(marked, broken if port is OWN else broken.any(0, keepdim=True))


def test_it_is_turned_with_the_image_and_keeps_its_values() -> None:
    patches = Patches([Scene.from_array(texture(1, 60, 60))], 12, 1, DEAD, ports=[OWN])
    window, drawn = Window(5, 9, 12, 12), patches.chain.draw(np.random.default_rng(3))
    plain = patches.cut(Draw(0, 0, slice(0, 1), window, degradation=drawn))
    turned = patches.cut(Draw(0, 0, slice(0, 1), window, Change(3, True, 2.0, 0.5), drawn))
    assert plain is not None
    assert turned is not None
    assert torch.equal(turned["mask"], torch.rot90(plain["mask"], 3, (1, 2)).flip(2))
    torch.testing.assert_close(turned["image"], torch.rot90(plain["image"], 3, (1, 2)).flip(2) * 2 + 0.5)


def test_draws_are_those_without_a_mask() -> None:
    source = [Scene.from_array(texture(1, 60, 60))]
    noisy, augment = (*DEAD, PoissonGaussian()), Augment(gain=(0.5, 2.0))
    alone, beside = (Patches(source, 16, 2, noisy, ports=ports, augment=augment) for ports in ((), (OWN,)))
    for index in range(4):
        assert all(torch.equal(alone[index][name], beside[index][name]) for name in ("target", "image"))


def test_several_disturbances_mark_together() -> None:
    patches = Patches([Scene.from_array(texture(1, 60, 60))], 48, 1, (*DEAD, DEAD[1]), ports=[OWN])
    assert 0.07 < float(patches[0]["mask"].mean()) < 0.13


def test_a_run_is_trained_stopped_and_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(tmp_path)
    whole = load_model(train(load_recipe(path), tmp_path / "whole", quiet=True))
    assert whole.descriptor.ports.inputs == (ONE,)
    scores = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert any("psnr" in key for line in scores for key in line)
    done: list[int] = []

    def stopped(*given: Any) -> dict[str, float]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return one_step(*given)

    with monkeypatch.context() as patch:
        patch.setattr("geomedsr.training.loop.step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(load_recipe(path), tmp_path / "parts", quiet=True)
    parts = load_model(train(load_recipe(path), tmp_path / "parts", quiet=True))
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, parts.module.state_dict()[key])
    made = process(whole, image=scene(), mask=holes(), precision="float32")["image"].data.values
    kept = np.broadcast_to(holes().data.values == 0, made.shape)
    np.testing.assert_array_equal(made[kept], scene().data.values[kept])
    assert (made[~kept] != scene().data.values[~kept]).mean() > 0.5


WRONG = {
    "nothing makes it": ({"degradation": [{"kind": "block-mean"}]}, r"input mask: .* \(none here\)"),
    "another": (
        {"generator": {"architecture": "toy", "scale": 1, "ports": {"inputs": [{"name": "guide"}]}}},
        r"the input guide: training has what the degradation makes, such as masks \(mask\)",
    ),
    "an output": (
        {"generator": {"architecture": "toy", "scale": 1, "ports": {**MASK, "outputs": [{"name": "width"}]}}},
        "the output width: no loss would teach it",
    ),
    "no mask": ({"generator": {"architecture": "toy", "scale": 1}}, "operator keep-valid needs an input mask"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_trained_is_refused(case: str, tmp_path: Path) -> None:
    changes, said = WRONG[case]
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe(tmp_path, **changes))


def test_runs_of_before_are_the_same_runs() -> None:
    """Their checkpoints know them by a text that has no ports."""
    quick: Recipe = load_recipe("quick")
    assert "ports" not in identity(quick)
    assert quick.generator.ports.inputs == ()
