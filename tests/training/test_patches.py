"""Pairs are a function of seed and index; the cut is what the draw says."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLE, recipe_file, texture
from torch.utils.data import DataLoader

import geomedsr
from geomedsr import Scene, operators
from geomedsr.degradations import BlockMean, GaussianPSF, KSpaceCrop, PoissonGaussian
from geomedsr.errors import RecipeError, SceneWarning
from geomedsr.scene.scene import Band
from geomedsr.training import Augment, Patches, Recipe, load_recipe
from geomedsr.training.augment import Change, Circle, padded, zoomed
from geomedsr.training.data import batches, split, stage_patches, training_scenes, validation_scenes
from geomedsr.training.patches import Draw
from geomedsr.training.validation import Validation

BLOCK = operators.get("block-mean")
FIRST, SECOND = slice(0, 1), slice(1, 2)


def test_items_are_a_function_of_seed_and_index() -> None:
    scene = Scene.from_array(texture(2, 80, 90))
    lines = Augment(gain=(0.5, 2.0), offset=0.3)
    patches = Patches([scene], 32, 4, augment=lines, seed=1, length=10)
    fine, coarse = patches[7].values()
    again = Patches([scene], 32, 4, augment=lines, seed=1)[7]
    assert torch.equal(fine, again["target"])
    assert torch.equal(coarse, again["image"])
    assert not torch.equal(fine, patches[8]["target"])
    assert not torch.equal(fine, Patches([scene], 32, 4, augment=lines, seed=2)[7]["target"])
    assert fine.shape == (1, 32, 32)
    torch.testing.assert_close(coarse, BLOCK.forward(fine[None], 4)[0])
    assert len(patches) == 10
    with pytest.raises(IndexError):
        patches[10]


def test_a_data_loader_takes_them_and_batches_are_the_same_items() -> None:
    patches = Patches([Scene.from_array(texture(1, 60, 60))], 16, 2, length=8)
    fine, coarse = next(iter(DataLoader(patches, batch_size=4))).values()
    assert (fine.shape, coarse.shape) == ((4, 1, 16, 16), (4, 1, 8, 8))
    ours = list(batches(patches, 4, 0))
    assert len(ours) == 2
    for one, other in zip(ours, batches(patches, 4, 0, ahead=False), strict=True):
        assert torch.equal(one["image"], other["image"])
    assert torch.equal(ours[0]["target"], fine)
    later = list(batches(patches, 4, 1))
    assert len(later) == 1
    assert torch.equal(later[0]["target"], ours[1]["target"])


def cut(patches: Patches, draw: Draw) -> np.ndarray:
    pair = patches.cut(draw)
    assert pair is not None
    return pair["target"][0].numpy()


def test_a_cut_is_the_window_turned_and_moved() -> None:
    scene = Scene.from_array(texture(2, 40, 50)).with_range(0, 1000)
    patches = Patches([scene], 16, 4)
    window = geomedsr.Window(7, 9, 16, 16)
    plain = scene.data.values[0, 1, 9:25, 7:23] / 1000
    np.testing.assert_allclose(cut(patches, Draw(0, 0, SECOND, window)), plain, rtol=1e-6)
    moved = cut(patches, Draw(0, 0, SECOND, window, Change(1, True, 2.0, 0.5)))
    np.testing.assert_allclose(moved, np.rot90(plain)[:, ::-1] * 2 + 0.5, rtol=1e-5)


def test_a_reduction_sees_what_lies_around_the_patch() -> None:
    scene = Scene.from_array(texture(1, 64, 64)).with_range(0, 1000)
    psf = GaussianPSF(mtf=(0.2, 0.2))
    patches = Patches([scene], 16, 4, (psf,))
    margin = psf.margin(4)
    window = geomedsr.Window(24, 20, 16, 16)
    pair = patches.cut(Draw(0, 0, FIRST, window, degradation=(0.2,)))
    assert pair is not None
    whole = psf.apply(scene.tensor(geomedsr.Window(0, 0, 64, 64).grown(margin)), 4, 0.2)
    torch.testing.assert_close(pair["image"], whole[0, :, 5:9, 6:10])
    torch.testing.assert_close(pair["target"], scene.tensor(window)[0])


def test_disturbances_touch_the_coarse_image_alone() -> None:
    scene = Scene.from_array(texture(1, 64, 64))
    clean = Patches([scene], 16, 2)
    noisy = Patches([scene], 16, 2, (BlockMean(), PoissonGaussian(gain=(0, 0), sigma=(0.1, 0.1))))
    draw = noisy.draw(np.random.default_rng(0), 0)
    plain, disturbed = clean.cut(replace(draw, degradation=(None,))), noisy.cut(draw)
    assert plain is not None
    assert disturbed is not None
    assert torch.equal(plain["target"], disturbed["target"])
    assert float((plain["image"] - disturbed["image"]).std()) == pytest.approx(0.1, rel=0.35)


def test_windows_without_data_are_skipped_and_scenes_without_any_named() -> None:
    array = texture(1, 60, 60)
    valid = np.ones(array.shape, bool)
    valid[:, :, 30:] = False
    array[~valid] = 60_000
    scene = Scene.from_array(array, valid=valid)
    patches = Patches([scene], 24, 4)
    assert max(float(patches[i]["target"].max()) for i in range(16)) < 1.5
    nothing = Scene.from_array(array, valid=np.zeros_like(valid), name="empty.tif")
    with pytest.raises(RecipeError, match=r"the scene empty.tif, which is nearly all nodata"):
        Patches([nothing], 24, 4)[0]
    with pytest.raises(RecipeError, match="at least 64 × 64"):
        Patches([scene], 64, 4)
    for scenes, size in (([], 32), ([scene], 30)):
        with pytest.raises(RecipeError, match="patches that the scale divides"):
            Patches(scenes, size, 4)


def test_classes_are_not_drawn_and_bands_stay_together() -> None:
    array = np.concatenate([np.full((1, 40, 40), 7, "uint16"), texture(2, 40, 40)])
    bands = (Band("SCL", kind="nearest"), Band("a"), Band("b"))
    scene = Scene.from_array(array, bands=bands)
    assert all(float(Patches([scene], 16, 4)[i]["target"].std()) > 0.01 for i in range(20))
    fine, coarse = Patches([scene], 16, 4, channels=2)[0].values()
    assert (fine.shape, coarse.shape) == ((2, 16, 16), (2, 4, 4))
    with pytest.raises(RecipeError, match=r"2 bands .*expected 3 in every scene"):
        Patches([scene], 16, 4, channels=3)
    with pytest.raises(RecipeError, match=r"0 bands .*expected at least one"):
        Patches([scene.select([1])], 16, 4)


def test_held_scenes_give_what_lazy_ones_give(tmp_path: Path) -> None:
    entry = {"path": "reference.tif", "window": [10, 20, 100, 90], "attribution": ""}
    recipe = load_recipe(recipe_file(tmp_path, data={"root": str(SAMPLE), "train": [entry]}))
    (held,) = training_scenes(recipe)
    lazy = geomedsr.open(SAMPLE / "reference.tif").crop(geomedsr.Window(10, 20, 100, 90))
    lazy = geomedsr.Scene(lazy.source, lazy.grid, lazy.bands)
    assert held.values == lazy.values
    for index in range(5):
        for one, other in zip(
            Patches([held], 32, 4)[index].values(), Patches([lazy], 32, 4)[index].values(), strict=True
        ):
            assert torch.equal(one, other)


def test_a_pattern_stands_for_its_matches(raster: Callable[..., Path], tmp_path: Path) -> None:
    for index in range(3):
        raster(texture(1, 40, 40, seed=index), f"s{index}.tif")
    data = {"root": str(tmp_path), "train": [{"path": "s[0-1].tif", "attribution": ""}]}
    recipe = load_recipe(recipe_file(tmp_path, data=data))
    assert [scene.name for scene in training_scenes(recipe)] == ["s0.tif", "s1.tif"]


def test_whole_scenes_are_held_out(raster: Callable[..., Path], tmp_path: Path) -> None:
    for index in range(5):
        raster(texture(1, 40, 40, seed=index), f"s{index}.tif")
    data = {"root": str(tmp_path), "train": [{"path": "s*.tif", "attribution": ""}], "hold_out": 0.4}
    sides = []
    for seed in (1, 1, 2, 3):
        train, held = split(load_recipe(recipe_file(tmp_path, data=data), [f"seed={seed}"]))
        assert (len(train), len(held)) == (3, 2)
        assert not {path for _, path in train} & {path for _, path in held}
        sides.append([path for _, path in held])
    assert sides[0] == sides[1]
    assert len({tuple(side) for side in sides}) > 1
    with pytest.raises(RecipeError, match=r"hold_out 0\.4 of 1 scene"):
        split(load_recipe(recipe_file(tmp_path, data={**data, "train": [{"path": "s1.tif", "attribution": ""}]})))


def test_pixels_on_both_sides_are_told(raster: Callable[..., Path], tmp_path: Path) -> None:
    raster(texture(1, 40, 40), "s.tif")

    def recipe(train: list[int] | None, held: list[int]) -> Recipe:
        entries = [{"path": "s.tif", "window": window, "attribution": ""} for window in (train, held)]
        data = {"root": str(tmp_path), "train": entries[:1], "validation": entries[1:]}
        return load_recipe(recipe_file(tmp_path, data=data))

    assert len(validation_scenes(recipe([0, 0, 40, 20], [0, 20, 40, 20]))) == 1
    for window in (None, [0, 0, 40, 21]):
        with pytest.warns(SceneWarning, match="s.tif is trained on and validated on"):
            validation_scenes(recipe(window, [0, 20, 40, 20]))


def test_they_travel_between_processes(tmp_path: Path) -> None:
    patches = Patches([Scene.from_array(texture(1, 40, 40))], 16, 2, (KSpaceCrop(),))
    first = patches[3]
    again = pickle.loads(pickle.dumps(patches))[3]
    assert all(torch.equal(one, other) for one, other in zip(first.values(), again.values(), strict=True))


def test_a_validation_scene_smaller_than_the_scale_is_named(raster: Callable[..., Path], tmp_path: Path) -> None:
    scene = geomedsr.open(raster(texture(1, 3, 64)))
    with pytest.raises(RecipeError, match="at least 4 × 4"):
        Validation(load_recipe(recipe_file(tmp_path)), [scene], torch.device("cpu"))


def test_zoom_resamples_half_of_the_patches_before_they_are_made_coarse() -> None:
    rows, cols = np.mgrid[0:160, 0:160].astype(np.float32)
    scene = Scene.from_array((3 * cols + rows)[None]).with_physical_range(0, 1)
    patches = Patches([scene], 32, 2, augment=Augment(zoom=(0.5, 0.5)), length=40)
    steps = []
    for fine, coarse in (patches[i].values() for i in range(40)):
        assert fine.shape == (1, 32, 32)
        torch.testing.assert_close(coarse, BLOCK.forward(fine[None], 2)[0])
        inner = fine[0, 8:24, 8:24]  # a plane stays one, steeper where it was made smaller
        steps.append(float((inner[1:] - inner[:-1]).abs().mean() + (inner[:, 1:] - inner[:, :-1]).abs().mean()))
    assert sorted({round(step, 3) for step in steps}) == [4.0, 8.0]
    assert 10 < sum(step > 6 for step in steps) < 30


def test_the_adversarial_stage_may_have_a_zoom_of_its_own(tmp_path: Path) -> None:
    adversarial = {"steps": 2, "losses": [{"kind": "vanilla"}], "zoom": [1.0, 1.0]}
    recipe = load_recipe(recipe_file(tmp_path, augment={"zoom": [0.5, 0.5]}, adversarial=adversarial))
    scene = Scene.from_array(texture(1, 512, 512)).with_physical_range(0, 1)
    drawn = [stage_patches(recipe, stage, [scene], i).augment.zoom for i, (_, stage) in enumerate(recipe.stages)]
    assert drawn == [(0.5, 0.5), (1.0, 1.0)]
    with pytest.raises(RecipeError, match="zoom needs two numbers"):
        load_recipe(recipe_file(tmp_path, adversarial=adversarial | {"zoom": [2.0, 0.5]}))


def test_zoom_makes_a_plane_steeper_by_its_factor_and_keeps_its_middle() -> None:
    plane = torch.arange(40.0).repeat(40, 1)[None, None]
    small, large = zoomed(plane, 0.5, 12), zoomed(plane, 2.0, 48)
    torch.testing.assert_close(small[0, 0, 0, 1:] - small[0, 0, 0, :-1], torch.full((11,), 2.0))
    torch.testing.assert_close(large[0, 0, 0, 1:] - large[0, 0, 0, :-1], torch.full((47,), 0.5))
    assert float(small.mean()) == pytest.approx(19.5, abs=1e-4)
    assert float(large.mean()) == pytest.approx(19.5, abs=1e-4)


def test_a_scene_too_small_for_a_zoom_is_drawn_as_it_is() -> None:
    scene = Scene.from_array(texture(1, 40, 40))
    zoomed_out = Patches([scene], 32, 2, augment=Augment(zoom=(0.5, 0.5)), seed=3)
    assert {zoomed_out.draw(np.random.default_rng(i), 0).change.zoom for i in range(20)} == {1.0}


def test_zoom_is_refused_where_frames_are_reduced_whole() -> None:
    with pytest.raises(RecipeError, match=r"augment\.zoom .*k-space-crop"):
        Patches([Scene.from_array(texture(1, 64, 64))], 32, 2, [KSpaceCrop()], augment=Augment(zoom=(0.5, 1)))


def test_padding_lies_outside_a_circle_with_its_value_in_a_quarter_of_the_patches() -> None:
    scene = Scene.from_array(texture(1, 160, 160))
    augment = Augment(padding=(-7.0,), gain=(0.5, 2.0), offset=0.3)
    patches = Patches([scene], 32, 2, augment=augment, length=200)
    steps = []
    for fine, coarse in (patches[i].values() for i in range(200)):
        torch.testing.assert_close(coarse, BLOCK.forward(fine[None], 2)[0])
        outside = fine[0] < -6
        if outside.any():
            torch.testing.assert_close(fine[0][outside], torch.full_like(fine[0][outside], -7.0))
            steps.append(bool(((coarse > -6.99) & (coarse < -0.5)).any()))  # mixed pixels on the edge
    assert 30 < len(steps) < 70
    assert 0.3 < sum(steps) / len(steps) < 0.7


def test_a_circle_is_where_it_says() -> None:
    circle = Circle(value=-1.0, row=10.0, col=0.0, radius=8.0, step=1)
    image = padded(torch.zeros(1, 1, 24, 24), Change(padding=circle), margin=4)[0, 0]
    inside = np.argwhere(image.numpy() == 0)
    centre = 11.5 + 10, 11.5  # of the 16 pixels within the margin, 10 pixels down
    assert (np.hypot(*(inside - centre).T) <= 8).all()
    assert len(inside) == sum(np.hypot(r - centre[0], c - centre[1]) <= 8 for r in range(24) for c in range(24))
    coarse = padded(torch.zeros(1, 1, 24, 24), Change(padding=replace(circle, step=4)), margin=4)[0, 0]
    assert torch.equal(coarse, coarse[::4, ::4].repeat_interleave(4, 0).repeat_interleave(4, 1))


def test_padding_is_refused_where_frames_are_reduced_whole() -> None:
    with pytest.raises(RecipeError, match=r"augment\.padding .*k-space-crop"):
        Patches([Scene.from_array(texture(1, 64, 64))], 32, 2, [KSpaceCrop()], augment=Augment(padding=(0.0,)))


def test_without_turns_patches_lie_as_they_lay() -> None:
    scene = Scene.from_array(texture(1, 64, 64))
    values = scene.values.normalise(scene.data.values, slice(0, 1))[0]
    patches = Patches([scene], 8, 1, augment=Augment(turns=False), length=20)
    for item in patches:
        cuts = (values[:, y : y + 8, x : x + 8] for y in range(57) for x in range(57))
        assert any(torch.equal(cut, item["target"]) for cut in cuts)
