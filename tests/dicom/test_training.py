"""Training on series: frames drawn, pairs in register, values on the recipe's scale, validation on foreground."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import geomedsr
from geomedsr import Window, operators
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.training import load_recipe, train
from geomedsr.training.patches import Draw, Patches, sharpen
from geomedsr.training.recipe import AugmentPart, ForegroundPart
from geomedsr.training.validation import Validation

Series = Callable[..., Path]
CROP, BLOCK = operators.get("k-space-crop"), operators.get("block-mean")


def test_every_frame_is_drawn(series: Series) -> None:
    patches = Patches([geomedsr.open(series(5))], 8, 2, BLOCK, AugmentPart())
    rng = np.random.default_rng(0)
    assert {patches.draw(rng).frame for _ in range(100)} == set(range(5))


def test_k_space_pairs_come_from_the_whole_slice(series: Series) -> None:
    scene = geomedsr.open(series(2, modality="MR")).with_range(0, 1000)
    patches = Patches([scene], 8, 2, CROP, AugmentPart())
    whole = scene.tensor(frames=slice(1, 2))
    window = Window(6, 4, 8, 8)
    pair = patches.cut(Draw(0, 1, 0, window, 0, False, 1.0, 0.0))
    assert pair is not None
    torch.testing.assert_close(pair[0], whole[0, :, 4:12, 6:14])
    torch.testing.assert_close(pair[1], CROP.down(whole, 2)[0, :, 2:6, 3:7])
    turned = patches.cut(Draw(0, 1, 0, window, 3, True, 2.0, 0.5))
    assert turned is not None
    for plain, moved in zip(pair, turned, strict=True):
        torch.testing.assert_close(moved, torch.rot90(plain, 3, (1, 2)).flip(2) * 2 + 0.5)
    for _ in range(50):  # coarse pixels lie where they lie
        drawn = patches.draw(np.random.default_rng(_)).window
        assert (drawn.col % 2, drawn.row % 2) == (0, 0)


def test_sharpness_changes_both_images_alike(series: Series) -> None:
    scene = geomedsr.open(series(1)).with_range(0, 1000)
    whole = scene.tensor(Window(-1, -1, 26, 22))
    for operator in (BLOCK, CROP):
        patches = Patches([scene], 8, 2, operator, AugmentPart(sharpness=(-0.6,)))
        pair = patches.cut(Draw(0, 0, 0, Window(6, 4, 8, 8), 0, False, 1.0, 0.0, -0.6))
        assert pair is not None
        smooth = sharpen(whole, -0.6)[..., 1:-1, 1:-1]
        torch.testing.assert_close(pair[0], smooth[0, :, 4:12, 6:14])
        torch.testing.assert_close(pair[1], operator.down(smooth, 2)[0, :, 2:6, 3:7])


def test_sharpening_is_the_binomial_formula() -> None:
    impulse = torch.zeros(1, 5, 5)
    impulse[0, 2, 2] = 16
    blur = sharpen(impulse, -1.0)[0, 1:4, 1:4]
    assert blur.tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert sharpen(impulse, 0.5)[0, 1:4, 1:4].tolist() == [[-0.5, -1, -0.5], [-1, 22, -1], [-0.5, -1, -0.5]]


def test_background_is_not_drawn_and_not_counted(series: Series) -> None:
    scene = geomedsr.open(series(1, size=(64, 64))).with_range(0, 1000)
    part = ForegroundPart(above=0.5, share=0.9)
    fine, _ = Patches([scene], 8, 2, BLOCK, AugmentPart(), part).batch(8, 0, 0)
    assert ((fine > 0.5).flatten(1).float().mean(1) >= 0.9).all()
    body = Validation([scene], 2, BLOCK, ForegroundPart(above=0.5))
    tensor = scene.tensor()
    guess = BicubicSkip(2)(BLOCK.down(tensor, 2))
    error = (guess - tensor).square()[tensor > 0.5].mean()
    assert body.psnr_bicubic == pytest.approx(float(-10 * error.log10()), abs=1e-4)


def test_a_recipe_on_physical_values_makes_a_model_that_says_so(series: Series, tmp_path: Path) -> None:
    folder = series(3, size=(32, 32))
    recipe = {
        "name": "test-ct",
        "version": "0.0.1",
        "domain": "CT",
        "generator": {"scale": 2, "options": {"width": 8, "blocks": 1}},
        "values": {"scale": "physical", "range": [-1000, 400]},
        "foreground": {"above": 0.07, "share": 0.1},
        "data": {
            "train": [{"path": str(folder), "attribution": "none"}],
            "validation": [{"path": str(folder), "attribution": "none"}],
        },
        "patch": 16,
        "batch": 2,
        "steps": 3,
    }
    path = tmp_path / "recipe.yaml"
    for operator in ("block-mean", "k-space-crop"):
        path.write_text(yaml.safe_dump({**recipe, "operator": operator}))
        model = geomedsr.load_model(train(load_recipe(path), tmp_path / operator, quiet=True))
        card = model.descriptor
        assert (card.domain, card.value_scale, card.value_range) == ("CT", "physical", (-1000, 400))
        assert card.operator == operator
        assert card.metrics["psnr"] > 10
