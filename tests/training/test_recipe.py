from pathlib import Path

import pytest
from conftest import CONFIGS, recipe_file

from geomedsr.errors import RecipeError
from geomedsr.training import load_recipe


def test_a_recipe_is_read_and_overridden(tmp_path: Path) -> None:
    path = recipe_file(tmp_path)
    recipe = load_recipe(
        path, ["steps=7", "generator.options.width=16", "data.root=/x", "optimiser.learning_rate=1e-3"]
    )
    assert recipe.steps == 7
    assert recipe.generator.options == {"width": 16, "blocks": 1}
    assert recipe.data.root == "/x"
    assert recipe.optimiser.learning_rate == 1e-3
    assert load_recipe(path).steps == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stepz=3", "stepz"),
        ("steps=many", "steps"),
        ("steps=0", "steps"),
        ("generator.channels=2", "channels"),
        ("seed=99999999999999999999999", "seed"),
        ("augment.offset=.inf", "offset"),
        ("augment.gain=[1, .inf]", "gain"),
        ("generator.scale=5", "multiple of the scale 5"),
        ("steps", "key=value"),
        ("name.first=x", "dotted path"),
        ("augment.gain=[2, 1]", "0 < low <= high"),
        ("precision=float16", "precision"),
        ("steps=[", "YAML"),
    ],
)
def test_what_a_recipe_does_not_know_is_refused(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        load_recipe(recipe_file(tmp_path), [override])


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


def test_there_are_shipped_recipes() -> None:
    assert CONFIGS
    for path in CONFIGS:
        assert load_recipe(path).name == path.stem
