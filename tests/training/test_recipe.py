import re
from pathlib import Path

import pytest
import yaml
from conftest import CONFIGS, recipe_file

from geomedsr.errors import RecipeError
from geomedsr.training import load_recipe


def test_a_recipe_is_read_and_overridden(tmp_path: Path) -> None:
    path = recipe_file(tmp_path)
    recipe = load_recipe(
        path, ["content.steps=7", "generator.options.width=16", "data.root=/x", "content.optimiser.learning_rate=1e-3"]
    )
    assert recipe.content.steps == recipe.steps == 7
    assert recipe.generator.options == {"width": 16, "blocks": 1}
    assert recipe.data.root == "/x"
    assert recipe.content.optimiser.learning_rate == 1e-3
    assert load_recipe(path).steps == 3
    losses = ["content.losses=[{kind: l1}, {kind: mse}]", "content.losses.1.weight=0.5"]
    assert [loss.weight for loss in load_recipe(path, losses).content.losses] == [1, 0.5]
    with pytest.raises(RecipeError, match="dotted path"):
        load_recipe(path, [losses[0], "content.losses.2.weight=1"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stepz=3", "stepz"),
        ("content.steps=many", "steps"),
        ("content.steps=0", "no steps"),
        ("generator.channels=0", "channels"),
        ("content.batch=3.5", "batch"),
        ("generator={bands: [red, nir], channels: 3}", "as many as channels"),
        ("generator.bands=[red]", "2 or more"),
        ("generator.bands=[red, Red]", "each name once"),
        ("generator.neighbours=9", "neighbours"),
        ("content.accumulate=3", "does not divide"),
        ("content.losses=[{kind: l1}, {kind: l1}]", "each kind once"),
        ("content.losses=[{kind: lpips}]", "lpips"),
        ("content.losses=[{kind: perceptual, layers: {VGG99: 1}}]", "no layer 'VGG99'"),
        ("content.losses=[{kind: vanilla}]", "belongs to the stage"),
        ("adversarial={steps: 1, losses: [{kind: l1}]}", "hold 0 adversarial"),
        ("adversarial={steps: 1, losses: [{kind: vanilla}, {kind: relativistic}]}", "hold 2 adversarial"),
        ("adversarial={steps: 1, patch: 34, losses: [{kind: vanilla}]}", "adversarial.patch 34"),
        ("adversarial={steps: 1, losses: [{kind: wasserstein}], discriminator: {architecture: srgan}}", "batch norm"),
        ("adversarial={steps: 1, losses: [{kind: wasserstein}], discriminator: {architecture: dcgan}}", "batch norm"),
        ("adversarial={steps: 1, losses: [{kind: wasserstein}], discriminator: {architecture: nope}}", "'nope'"),
        ("content.losses=[{kind: spectral-angle}]", "at least 2"),
        ("content.losses=[{kind: charbonnier, epsilon: 0}]", "epsilon"),
        ("operator=cubic", "none of block-mean, jpeg-bins, keep-valid, k-space-crop"),
        ("degradation=[{kind: poisson-gaussian}]", "expected one that reduces"),
        ("degradation=[{kind: gaussian-psf}]", "must be the same"),
        ("degradation=[{kind: gaussian-psf, mtf: [0.4, 0.2]}]", "0.01 <= low"),
        ("realism=2", "realism"),
        ("content.optimiser.betas=[0.9, 1.0]", "0 <= beta < 1"),
        ("content.optimiser.learning_rate=1e39", "learning_rate"),
        ("values={scale: physical, range: [0, 1.0e-300]}", "within what float32 holds"),
        ("content={steps: 1, patch: 8, losses: [{kind: perceptual}]}", "patch 8 is too small"),
        ("content.losses=[{kind: perceptual, layers: {VGG22: -1}}]", "below 0"),
        ("adversarial={steps: 1, patch: 16, losses: [{kind: vanilla}]}", "patch"),
        ("seed=" + "9" * 5000, "override"),
        ("seed=99999999999999999999999", "seed"),
        ("augment.offset=.inf", "offset"),
        ("augment.gain=[1, .inf]", "gain"),
        ("generator.scale=5", "multiple of the scale 5"),
        ("steps", "key=value"),
        ("name.first=x", "dotted path"),
        ("augment.gain=[2, 1]", "0 < low <= high"),
        ("precision=float8", "precision"),
        ("content.steps=[", "YAML"),
    ],
)
def test_what_a_recipe_does_not_know_is_refused(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        load_recipe(recipe_file(tmp_path), [override])


def test_wasserstein_goes_with_what_judges_each_image_by_itself(tmp_path: Path) -> None:
    for judge in ("unet", "patchgan, options: {batch_norm: 0}", "dcgan, options: {batch_norm: 0}"):
        words = ["adversarial={steps: 1, losses: [{kind: wasserstein}]}"]
        words.append(f"adversarial.discriminator={{architecture: {judge}}}")
        assert load_recipe(recipe_file(tmp_path), words).adversarial is not None
    bands = ["generator.channels=2", "content.losses=[{kind: spectral-angle}]"]
    assert load_recipe(recipe_file(tmp_path), bands).content.losses[0].kind == "spectral-angle"


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="readable YAML"):
        load_recipe(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    with pytest.raises(RecipeError, match="not YAML"):
        load_recipe(bad)
    bad.write_text("- a list")
    with pytest.raises(RecipeError, match="holding list"):
        load_recipe(bad)


def test_what_the_guide_shows_is_known(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    shown = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)]
    assert len(shown) >= 4
    recipes = [load_recipe(recipe_file(tmp_path, **keys)) for keys in shown]
    chains = [[part.kind for part in recipe.degradation] for recipe in recipes if recipe.degradation]
    assert chains == [["gaussian-psf", "random"], ["block-mean", "dead-pixels"]]
    (pairs,) = [recipe for recipe in recipes if recipe.data.pairs]
    assert (pairs.operator, len(pairs.data.pairs), len(pairs.data.validation_pairs)) == ("none", 2, 1)


def test_there_are_shipped_recipes() -> None:
    assert CONFIGS
    coming = sorted((CONFIGS[0].parent / "next").glob("*.yaml"))
    for path in [*CONFIGS, *coming]:
        assert load_recipe(path).name == path.stem


def test_overrides_change_one_place_and_keys_come_once(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: a\nversion: '1'\ndata: {train: [{path: x, attribution: x}]}\n"
        "content: {steps: 1, optimiser: &o {learning_rate: 0.1}}\n"
        "adversarial: {steps: 1, losses: [{kind: vanilla}], optimiser: *o}\n"
    )
    recipe = load_recipe(path, ["content.optimiser.learning_rate=0.5"])
    assert recipe.adversarial is not None
    assert (recipe.content.optimiser.learning_rate, recipe.adversarial.optimiser.learning_rate) == (0.5, 0.1)
    for text, said in (
        ("seed: 1\nseed: 7", "the key 'seed' twice, line 1"),
        ("seed: " + "9" * 5000, "not YAML"),
        ("version: 2024-13-45", "not YAML"),
        ("x: " + "[" * 3000, "not YAML"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=said):
            load_recipe(path)


def test_a_file_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe("satellite-x4").name == "satellite-x4"
    recipe_file(tmp_path).rename(tmp_path / "satellite-x4")
    assert load_recipe("satellite-x4").name == "test-x4"
