"""The head of half-widths is trained beside weights that stay, and only where it fits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, recipe_file, save_tiny, texture

from geomedsr.cli import main
from geomedsr.errors import ModelError, RecipeError
from geomedsr.training import load_recipe
from geomedsr.training.interval import pinball, train_interval
from geomedsr.training.run import identity


def test_the_loss_is_least_at_the_quantile() -> None:
    error = torch.from_numpy(np.abs(np.random.default_rng(0).normal(size=200_000)))
    levels = {0.5: 0.6745, 0.9: 1.6449}
    for level, quantile in levels.items():
        tried = np.linspace(0.3, 3, 271)
        losses = [float(pinball(torch.full_like(error, width), error, level)) for width in tried]
        assert tried[int(np.argmin(losses))] == pytest.approx(quantile, abs=0.03)


def _recipe(folder: Path, **more: object) -> Path:
    np.save(folder / "a.npy", texture(1, 100, 100)[0])
    content = {
        "name": "tiny",
        "generator": {"options": {"width": 8, "blocks": 2}},
        "data": {"root": str(folder), "train": [{"path": "a.npy", "attribution": "none"}]},
        "content": {"steps": 1, "patch": 32},
    }
    return recipe_file(folder, **(content | more))


def test_it_is_a_section_of_recipes_and_changes_nothing_else(tmp_path: Path) -> None:
    plain, wide = (load_recipe(_recipe(tmp_path, **more)) for more in ({}, {"interval": {"steps": 2, "patch": 32}}))
    assert wide.interval is not None
    assert wide.interval.stage.steps == 2
    assert identity(plain) == identity(wide)
    with pytest.raises(RecipeError, match=r"interval\.patch 30 is not a multiple of the scale 4"):
        load_recipe(_recipe(tmp_path, interval={"patch": 30}))


def test_what_does_not_fit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_tiny(tmp_path / "tiny.safetensors")
    recipe = load_recipe(_recipe(tmp_path))
    with pytest.raises(RecipeError, match="the recipe tiny without a section `interval`"):
        train_interval(recipe, model, tmp_path / "out")
    part = {"interval": {"steps": 2, "patch": 32}}
    with pytest.raises(RecipeError, match="the recipe other for a head of the model tiny"):
        train_interval(load_recipe(_recipe(tmp_path, name="other", **part)), model, tmp_path / "out")
    generator = {"architecture": "srresnet", "options": {"width": 8, "blocks": 1}}
    plain = save_tiny(tmp_path / "srresnet.safetensors", **generator)
    with pytest.raises(ModelError, match="a head of half-widths for tiny of the architecture srresnet"):
        train_interval(load_recipe(_recipe(tmp_path, generator=generator, **part)), plain, tmp_path / "out")
    path = _recipe(tmp_path, **part)
    assert main(["train", str(path), "--interval-of", str(model), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert main(["train", str(path), "--interval-of", "nothing", "--out", str(tmp_path / "run")]) == 2
    assert "the model 'nothing', which is no file" in capsys.readouterr().err


def test_shipped_recipes_have_one_where_models_may() -> None:
    having = {path.stem for path in CONFIGS if load_recipe(path).interval is not None}
    assert {"satellite-x2", "satellite-x4", "ct-x2", "mr-x2"} <= having
