import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, SAMPLE, recipe_file, texture
from safetensors.torch import load_file

import geomedsr
from geomedsr import Scene, operators
from geomedsr.cli import main
from geomedsr.errors import OutputError, RecipeError
from geomedsr.training import load_recipe, train
from geomedsr.training.loop import learning_rate
from geomedsr.training.patches import Draw, Patches
from geomedsr.training.recipe import AugmentPart, OptimiserPart
from geomedsr.training.validation import Validation

BLOCK = operators.get("block-mean")

SCENE = {"path": "reference.tif", "attribution": "Contains modified Copernicus Sentinel data"}
SMALL = {
    "data": {"root": str(SAMPLE), "train": [SCENE], "validation": [SCENE], "licence": "Apache-2.0"},
    "patch": 32,
    "batch": 4,
    "steps": 12,
    "log_every": 3,
    "validate_every": 6,
    "checkpoint_every": 4,
}


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_a_model_that_upscale_runs(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, **SMALL))
    path = train(recipe, tmp_path / "run", quiet=True)
    assert path == tmp_path / "run" / "model.safetensors"
    model = geomedsr.load_model(path)
    card = model.descriptor
    assert (card.name, card.scale, card.training["steps"]) == ("test-x4", 4, 12)
    assert card.training_data == ("reference.tif",)
    assert card.attribution == ("Contains modified Copernicus Sentinel data",)
    assert card.metrics["psnr"] != card.metrics["psnr_bicubic"]
    assert [r["step"] for r in rows(tmp_path / "run")] == ["3", "6", "9", "12"]
    scene = geomedsr.open(SAMPLE / "input.tif")
    assert geomedsr.upscale(scene, path).shape == (1, 4, 288, 384)


def test_training_improves_on_bicubic(tmp_path: Path) -> None:
    changes = {
        **SMALL,
        "steps": 150,
        "batch": 8,
        "validate_every": 150,
        "optimiser": {"learning_rate": 2e-3, "warmup_steps": 5},
    }
    path = train(load_recipe(recipe_file(tmp_path, **changes)), tmp_path / "run", quiet=True)
    metrics = geomedsr.load_model(path).descriptor.metrics
    assert metrics["psnr"] > metrics["psnr_bicubic"] + 0.3


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    whole = train(load_recipe(path), tmp_path / "whole", quiet=True)
    code = """
import os, sys
from geomedsr.training import loop, load_recipe
save = loop.Run.save
def save_and_die(self, path):
    save(self, path)
    if self.step == 8:
        os.kill(os.getpid(), 9)
loop.Run.save = save_and_die
loop.train(load_recipe(sys.argv[1]), sys.argv[2], quiet=True)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "killed")], timeout=300)
    assert killed.returncode == -9
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert main(["train", str(path), "--out", str(tmp_path / "killed"), "--quiet"]) == 0
    one, other = load_file(whole), load_file(tmp_path / "killed" / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert [r["step"] for r in rows(tmp_path / "killed")] == ["3", "6", "9", "12"]
    assert [r["content"] for r in rows(tmp_path / "whole")][:2] == [r["content"] for r in rows(tmp_path / "killed")][:2]


def test_a_finished_run_is_left_alone_and_another_recipe_is_refused(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    out = tmp_path / "run"
    model = train(load_recipe(path, ["steps=4"]), out, quiet=True)
    stamp = model.stat().st_mtime_ns
    train(load_recipe(path, ["steps=4"]), out, quiet=True)
    assert model.stat().st_mtime_ns == stamp
    with pytest.raises(RecipeError, match="another recipe"):
        train(load_recipe(path, ["steps=5"]), out, quiet=True)


def test_a_spoilt_checkpoint_and_a_bad_folder_are_named(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, **SMALL), ["steps=4"])
    train(recipe, tmp_path / "run", quiet=True)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(RecipeError, match="delete it to start over"):
        train(recipe, tmp_path / "run", quiet=True)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="one that can be made"):
        train(recipe, tmp_path / "file", quiet=True)


def test_a_validation_scene_smaller_than_the_scale_is_named(raster: Callable[..., Path]) -> None:
    scene = geomedsr.open(raster(texture(1, 3, 64)))
    with pytest.raises(RecipeError, match="at least 4 × 4"):
        Validation([scene], 4, operators.get("block-mean"))


def test_the_same_seed_gives_the_same_model_another_a_different_one(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    models = [
        load_file(train(load_recipe(path, ["steps=3", f"seed={seed}"]), tmp_path / name, quiet=True))
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])
    assert not torch.equal(models[0]["head.weight"], models[2]["head.weight"])


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    with pytest.raises(RecipeError, match=r"gradient of norm (nan|inf) at step \d"):
        train(
            load_recipe(path, ["optimiser.learning_rate=1e20", "optimiser.clip_norm=1e30", "optimiser.warmup_steps=0"]),
            tmp_path / "run",
            quiet=True,
        )
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_recipe_starts(config: Path, tmp_path: Path) -> None:
    """Through the command line, two steps, on the sample in place of each scene it names."""
    scene = '[{path: reference.tif, attribution: "x"}]'
    words = [f"data.root={SAMPLE}", f"data.train={scene}", f"data.validation={scene}", "steps=2", "batch=2"]
    assert main(["train", str(config), "--out", str(tmp_path / "run"), "--quiet", *words]) == 0
    assert geomedsr.load_model(tmp_path / "run" / "model.safetensors").descriptor.name == config.stem


def test_the_rate_warms_up_and_decays() -> None:
    part = OptimiserPart(learning_rate=1.0, final_learning_rate=0.1, warmup_steps=10)
    rates = [learning_rate(part, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)


def test_patches_are_a_function_of_seed_and_step() -> None:
    patches = Patches([Scene.from_array(texture(2, 80, 90))], 32, 4, BLOCK, AugmentPart(gain=(0.5, 2.0), offset=0.3))
    fine, coarse = patches.batch(5, 1, 7)
    again = patches.batch(5, 1, 7)
    assert torch.equal(fine, again[0])
    assert torch.equal(coarse, again[1])
    assert not torch.equal(fine, patches.batch(5, 1, 8)[0])
    assert fine.shape == (5, 1, 32, 32)
    torch.testing.assert_close(coarse, BLOCK.down(fine, 4))


def cut(patches: Patches, draw: Draw) -> np.ndarray:
    pair = patches.cut(draw)
    assert pair is not None
    return pair[0][0].numpy()


def test_a_cut_is_the_window_turned_and_moved() -> None:
    scene = Scene.from_array(texture(2, 40, 50)).with_range(0, 1000)
    patches = Patches([scene], 16, 4, BLOCK, AugmentPart())
    window = geomedsr.Window(7, 9, 16, 16)
    plain = scene.data.values[0, 1, 9:25, 7:23] / 1000
    got = cut(patches, Draw(0, 0, 1, window, 0, False, 1.0, 0.0))
    np.testing.assert_allclose(got, plain, rtol=1e-6)
    moved = cut(patches, Draw(0, 0, 1, window, 1, True, 2.0, 0.5))
    np.testing.assert_allclose(moved, np.rot90(plain)[:, ::-1] * 2 + 0.5, rtol=1e-5)


def test_windows_without_data_are_skipped() -> None:
    array = texture(1, 60, 60)
    valid = np.ones(array.shape, bool)
    valid[:, :, 30:] = False
    array[~valid] = 60_000
    scene = Scene.from_array(array, valid=valid)
    batch = Patches([scene], 24, 4, BLOCK, AugmentPart()).batch(16, 0, 0)[0]
    assert batch.max() < 1.5
    nothing = Scene.from_array(array, valid=np.zeros_like(valid))
    with pytest.raises(RecipeError, match="nearly all nodata"):
        Patches([nothing], 24, 4, BLOCK, AugmentPart()).batch(1, 0, 0)
    with pytest.raises(RecipeError, match="at least 64 × 64"):
        Patches([scene], 64, 4, BLOCK, AugmentPart())


def test_bad_input_to_train_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe_file(tmp_path)
    assert main(["train", str(path), "--out", str(tmp_path / "run"), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "a.tif, which does not exist" in err
