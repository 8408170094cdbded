"""Training on series: frames drawn, pairs in register, values on the recipe's scale, validation on foreground."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import recipe_file

import geomedsr
from geomedsr import Window, operators
from geomedsr.degradations import BlockMean, KSpaceCrop
from geomedsr.training import load_recipe, train
from geomedsr.training.augment import Change, sharpen
from geomedsr.training.patches import Draw, Patches
from geomedsr.training.validation import Validation

Series = Callable[..., Path]
CROP, BLOCK = operators.get("k-space-crop"), operators.get("block-mean")


def test_every_frame_is_drawn(series: Series) -> None:
    patches = Patches([geomedsr.open(series(5))], 8, 2)
    rng = np.random.default_rng(0)
    assert {patches.draw(rng, 0).frame for _ in range(100)} == set(range(5))


def test_k_space_pairs_come_from_the_whole_slice(series: Series) -> None:
    scene = geomedsr.open(series(2, modality="MR")).with_range(0, 1000)
    patches = Patches([scene], 8, 2, (KSpaceCrop(),))
    whole = scene.tensor(frames=slice(1, 2))
    window = Window(6, 4, 8, 8)
    pair = patches.cut(Draw(0, 1, slice(0, 1), window))
    assert pair is not None
    torch.testing.assert_close(pair["target"], whole[0, :, 4:12, 6:14])
    torch.testing.assert_close(pair["image"], CROP.forward(whole, 2)[0, :, 2:6, 3:7])
    turned = patches.cut(Draw(0, 1, slice(0, 1), window, Change(3, True, 2.0, 0.5)))
    assert turned is not None
    for plain, moved in zip(pair.values(), turned.values(), strict=True):
        torch.testing.assert_close(moved, torch.rot90(plain, 3, (1, 2)).flip(2) * 2 + 0.5)
    for _ in range(50):  # coarse pixels lie where they lie
        drawn = patches.draw(np.random.default_rng(_), 0).window
        assert (drawn.col % 2, drawn.row % 2) == (0, 0)


def test_sharpness_changes_both_images_alike(series: Series) -> None:
    scene = geomedsr.open(series(1)).with_range(0, 1000)
    whole = scene.tensor(Window(-1, -1, 26, 22))
    for part, operator in ((BlockMean(), BLOCK), (KSpaceCrop(), CROP)):
        patches = Patches([scene], 8, 2, (part,))
        pair = patches.cut(Draw(0, 0, slice(0, 1), Window(6, 4, 8, 8), Change(sharpness=-0.6)))
        assert pair is not None
        smooth = sharpen(whole, -0.6)[..., 1:-1, 1:-1]
        torch.testing.assert_close(pair["target"], smooth[0, :, 4:12, 6:14])
        torch.testing.assert_close(pair["image"], operator.forward(smooth, 2)[0, :, 2:6, 3:7])


def test_sharpening_is_the_binomial_formula() -> None:
    impulse = torch.zeros(1, 5, 5)
    impulse[0, 2, 2] = 16
    blur = sharpen(impulse, -1.0)[0, 1:4, 1:4]
    assert blur.tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert sharpen(impulse, 0.5)[0, 1:4, 1:4].tolist() == [[-0.5, -1, -0.5], [-1, 22, -1], [-0.5, -1, -0.5]]


def test_background_is_not_drawn_and_not_counted(series: Series, tmp_path: Path) -> None:
    scene = geomedsr.open(series(1, size=(64, 64))).with_range(0, 1000)
    patches = Patches([scene], 8, 2, above=0.5, share=0.9)
    assert all(float((patches[i]["target"] > 0.5).float().mean()) >= 0.9 for i in range(8))
    recipe = load_recipe(recipe_file(tmp_path), ["generator.scale=2", "foreground={above: 0.5}"])
    body = Validation(recipe, [scene], torch.device("cpu"))
    tensor = scene.tensor()
    guess = F.interpolate(BLOCK.forward(tensor, 2), scale_factor=2, mode="bicubic")
    error = (guess - tensor).square()[tensor > 0.5].mean()
    assert body.bicubic["psnr"] == pytest.approx(float(-10 * error.log10()), abs=1e-4)


def test_a_recipe_on_physical_values_makes_a_model_that_says_so(series: Series, tmp_path: Path) -> None:
    folder, other = (series(3, name=name, size=(32, 32)) for name in ("one", "two"))
    scenes, held = ([{"path": str(path), "attribution": "none"}] for path in (folder, other))
    path = recipe_file(
        tmp_path,
        domain="CT",
        generator={"scale": 2, "options": {"width": 8, "blocks": 1}},
        values={"scale": "physical", "range": [-1000, 400]},
        foreground={"above": 0.07, "share": 0.1},
        data={"train": scenes, "validation": held},
        content={"steps": 3, "patch": 16, "batch": 2},
    )
    for operator in ("block-mean", "k-space-crop"):
        recipe = load_recipe(path, [f"operator={operator}"])
        card = geomedsr.load_model(train(recipe, tmp_path / operator, quiet=True)).descriptor
        assert (card.domain, card.value_scale, card.value_range) == ("CT", "physical", (-1000, 400))
        assert card.operator == operator
        assert card.metrics["psnr"] > 10
