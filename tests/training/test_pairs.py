"""Real pairs: placed by their grids, matched by a line, and refused in one line where they are no pair."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from affine import Affine
from conftest import recipe_file, texture
from rasterio.crs import CRS

import geomedsr
from geomedsr import Scene, Window
from geomedsr.errors import InputError, RecipeError, SceneWarning
from geomedsr.geometry.grid import Grid
from geomedsr.pairs.radiometry import fit_line
from geomedsr.training import load_recipe, train
from geomedsr.training.augment import Augment, Change
from geomedsr.training.pair_data import split_pairs, trained_on, training_pairs, validation_pairs
from geomedsr.training.pairs import PairPatches, ScenePair, paired, spread
from geomedsr.training.patches import Draw
from geomedsr.training.run import identity
from geomedsr.training.validation import Validation

WEST, NORTH = 435730.0, 4179460.0

Write = Callable[..., Path]


def grid(size: float, east: float = 0.0, south: float = 0.0) -> Affine:
    """A north-up grid of pixels of ``size`` metres, that begins so many metres from the corner."""
    return Affine(size, 0, WEST + east, 0, -size, NORTH - south)


def means(fine: np.ndarray, scale: int) -> np.ndarray:
    bands, height, width = fine.shape
    return fine.reshape(bands, height // scale, scale, width // scale, scale).mean((2, 4), dtype=np.float64)


def scene(array: np.ndarray, affine: Affine | None, crs: str | None = "EPSG", **more: Any) -> Scene:
    return Scene.from_array(array, grid=Grid(array.shape[-2:], affine, crs), **more)


def shifted(cols: int, rows: int, gain: float = 1.0, offset: float = 0.0) -> tuple[Scene, Scene]:
    """A coarse scene, fine block means through a line, that begins so many fine pixels inside the fine one."""
    fine = texture(2, 90, 100, "float32", low=0, high=1)
    coarse = means(fine[:, rows : rows + 80, cols : cols + 80].astype(np.float64), 2)
    return scene(fine, grid(10)), scene((coarse - offset) / gain, grid(20, 10 * cols, 10 * rows))


def write(raster: Write, fine: np.ndarray, coarse: np.ndarray, **profile: Any) -> dict[str, str]:
    raster(fine, "fine.tif", transform=grid(10))
    raster(coarse, "coarse.tif", **({"transform": grid(20)} | profile))
    return {"fine": "fine.tif", "coarse": "coarse.tif", "attribution": "Agency"}


def recipe_of(folder: Path, *entries: dict[str, Any], **changes: Any) -> geomedsr.training.Recipe:  # type: ignore[name-defined]
    data = {"root": str(folder), "pairs": list(entries), **changes.pop("data", {})}
    small = {"generator": {"scale": 2, "options": {"width": 8, "blocks": 1}}, "data": data, **changes}
    return load_recipe(recipe_file(folder, **small))


def test_patches_of_a_shifted_pair_agree_exactly() -> None:
    """With the fine scene's own block means as the coarse scene, every patch's means are its coarse patch."""
    pair = paired(*shifted(3, 5, gain=0.01, offset=0.2), 2)
    for line in pair.lines:
        assert (line.gain, line.offset) == (pytest.approx(0.01), pytest.approx(0.2))
        assert (line.r2, line.kept) == (pytest.approx(1), 1)
    patches = PairPatches([pair], 16, augment=Augment(gain=(0.5, 2.0), offset=0.3), seed=1)
    for index in range(20):
        fine, coarse = patches[index].values()
        assert (fine.shape, coarse.shape) == ((1, 16, 16), (1, 8, 8))
        torch.testing.assert_close(torch.from_numpy(means(fine.numpy(), 2)).float(), coarse, atol=2e-5, rtol=0)
    again = pickle.loads(pickle.dumps(patches))
    assert all(torch.equal(one, other) for one, other in zip(patches[7].values(), again[7].values(), strict=True))
    assert not torch.equal(patches[7]["target"], patches[8]["target"])
    both = PairPatches([pair], 16, channels=2)[0]
    assert (both["target"].shape, both["image"].shape) == ((2, 16, 16), (2, 8, 8))


def test_a_cut_is_the_window_of_both_turned_alike() -> None:
    fine, coarse = shifted(3, 5)
    pair = paired(fine.with_range(0, 2), coarse, 2)
    cut = PairPatches([pair], 8).cut(Draw(0, 0, slice(1, 2), Window(4, 6, 4, 4), Change(1, True, 2.0, 0.5)))
    assert cut is not None
    for image, values, place in ((cut["target"], fine, (17, 11, 8)), (cut["image"], coarse, (6, 4, 4))):
        row, col, side = place
        plain = values.data.values[0, 1, row : row + side, col : col + side] / 2
        np.testing.assert_allclose(image[0], np.rot90(plain)[:, ::-1] * 2 + 0.5, atol=1e-6)


def test_a_line_is_least_squares_and_r2_its_share_of_variance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(10, 3, 5000)
    y = 2.5 * x - 7 + rng.uniform(-2, 2, 5000)  # nothing lies three deviations away
    line = fit_line(x, y)
    gain, offset = np.polyfit(x, y, 1)
    assert (line.gain, line.offset) == (pytest.approx(gain), pytest.approx(offset))
    assert line.r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert line.kept == 1
    clouded = np.where(rng.random(5000) < 0.2, rng.uniform(200, 400, 5000), y)
    robust = fit_line(x, clouded)
    assert (robust.gain, robust.offset) == (pytest.approx(gain, rel=0.02), pytest.approx(offset, abs=0.4))
    assert robust.kept == pytest.approx(0.8, abs=0.02)
    under = rng.random(5000) < 0.12  # clouds in the coarse scene alone: a lever for any line through all points
    bright = fit_line(np.where(under, 100 + rng.normal(0, 1, 5000), x), y)
    assert (bright.gain, bright.offset) == (pytest.approx(gain, rel=0.02), pytest.approx(offset, abs=0.4))
    for nothing in ((x, np.full(5000, 3.0)), (np.full(5000, 3.0), y), (x[:1], y[:1]), (x[:0], y[:0])):
        assert (fit_line(*nothing).gain, fit_line(*nothing).r2) == (0, 0)


def test_the_line_between_rasters_is_recovered_under_clouds_and_nodata(raster: Write, tmp_path: Path) -> None:
    fine = texture(2, 160, 160, "uint16")
    coarse = np.rint((means(fine, 2) - np.array([500, -300])[:, None, None]) / np.array([0.5, 2.0])[:, None, None])
    coarse[:, :20, :40] = 60000  # a cloud over an eighth
    coarse[:, 60:, :10] = fine[:, :8, :8] = 0  # no data
    entry = write(raster, fine, coarse.astype("uint16"), nodata=0)
    raster(fine, "fine.tif", transform=grid(10), nodata=0)
    (pair,) = training_pairs(recipe_of(tmp_path, entry))
    assert [line.gain for line in pair.lines] == pytest.approx([0.5, 2.0], rel=2e-3)
    assert [line.offset for line in pair.lines] == pytest.approx([500, -300], abs=6)
    assert all(line.r2 > 0.999 and line.kept == pytest.approx(0.87, abs=0.02) for line in pair.lines)
    for index in range(40):
        fine_patch, coarse_patch = PairPatches([pair], 16)[index].values()
        assert float(fine_patch.min()) > -0.5
        assert float(coarse_patch.min()) > -0.5
    assert pair.cut(Window(0, 0, 8, 8)) is None
    assert pair.cut(Window(4, 58, 8, 8)) is None


@pytest.mark.parametrize(
    ("coarse", "said"),
    [
        (
            lambda m: np.random.default_rng(0).integers(1, 4000, m.shape),
            r"unequal radiometry: band 1's line has R² 0\.0",
        ),
        (lambda m: 5000 - m, r"unequal radiometry: .* a slope of -1"),
        (lambda m: np.full(m.shape, 7), r"unequal radiometry: .*R² 0\.00 and a slope of 0"),
        (lambda m: np.zeros(m.shape), "without data in common"),
    ],
)
def test_values_that_no_line_relates(raster: Write, tmp_path: Path, coarse: Any, said: str) -> None:
    fine = texture(1, 80, 80)
    entry = write(raster, fine, coarse(means(fine, 2)).astype("uint16"), nodata=0)
    with pytest.raises(RecipeError, match=said) as caught:
        training_pairs(recipe_of(tmp_path, entry))
    assert "\n" not in str(caught.value)


def test_a_poor_line_is_told() -> None:
    fine, coarse = shifted(0, 0)
    fine, coarse = fine.select([1]), coarse.select([1])
    values = coarse.data.values[0]
    noise = np.random.default_rng(0).normal(0, values.std() / 2, values.shape)  # R² = 1 / (1 + ¼)
    with pytest.warns(SceneWarning, match=r"band 1: a line explains (79|80|81|82)% of its variance"):
        paired(fine, scene(values + noise, grid(20)), 2)


def test_rasters_of_other_crss_and_no_overlap_are_told_through_a_recipe(raster: Write, tmp_path: Path) -> None:
    fine = texture(1, 80, 80)
    entry = write(raster, fine, means(fine, 2).astype("uint16"), crs=CRS.from_epsg(32617))
    with pytest.raises(InputError, match="of the CRSs EPSG:32618 and EPSG:32617"):
        training_pairs(recipe_of(tmp_path, entry))
    entry = write(raster, fine, means(fine, 2).astype("uint16"), transform=grid(20, 0, 5000))
    with pytest.raises(InputError, match="which do not overlap"):
        training_pairs(recipe_of(tmp_path, entry))


def test_bands_and_a_window_are_chosen(raster: Write, tmp_path: Path) -> None:
    fine = texture(1, 80, 80)
    coarse = np.concatenate([np.zeros((1, 40, 40)), means(fine, 2), 2 * means(fine, 2)]).astype("float32")
    entry = write(raster, fine, coarse)
    chosen = {"fine_bands": [1, 1], "coarse_bands": [3, 2], "window": [10, 20, 25, 15]}
    (pair,) = training_pairs(recipe_of(tmp_path, {**entry, **chosen}))
    assert [line.gain for line in pair.lines] == pytest.approx([0.5, 1.0])
    assert (pair.fine.shape, pair.coarse.shape) == ((1, 2, 30, 50), (1, 2, 15, 25))
    alone = Scene.from_array(fine[:, 40:70, 20:70])  # its value scale is the window's own
    assert pair.fine.values.low == (alone.values.low[0] * 2,)
    with pytest.raises(geomedsr.errors.InputError, match="the window 30,0,20,20"):
        training_pairs(recipe_of(tmp_path, {**entry, **chosen, "window": [30, 0, 20, 20]}))


def test_folders_are_matched_by_name_and_pairs_held_out(raster: Write, tmp_path: Path) -> None:
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate("abcd"):
        fine = texture(1, 60, 60, seed=seed)
        raster(fine, f"hr/{name}.tif", transform=grid(10))
        raster(means(fine, 2).astype("float32"), f"lr/{name}.tiff", transform=grid(20))
    (tmp_path / "hr" / "a.tfw").write_text("")
    (tmp_path / "lr" / ".hidden").write_text("")
    entry = {"fine": "hr", "coarse": "lr", "attribution": "Agency"}
    recipe = recipe_of(tmp_path, entry, data={"hold_out": 0.25})
    kept, held = split_pairs(recipe)
    assert (len(kept), len(held), len(training_pairs(recipe)), len(validation_pairs(recipe))) == (3, 1, 3, 1)
    assert all(Path(fine).stem == Path(coarse).stem for _, (fine, coarse) in kept + held)
    assert len(trained_on(recipe)) == 6
    assert held[0][1][0] not in trained_on(recipe)
    (tmp_path / "hr" / "d.tif").unlink()
    with pytest.warns(SceneWarning, match=r"1 of .*hr or .*lr without a partner: d"):
        assert len(split_pairs(recipe)[0]) == 2
    for name in "abc":
        (tmp_path / "hr" / f"{name}.tif").unlink()
    with pytest.raises(RecipeError, match="share no file name"):
        split_pairs(recipe)


def test_pairs_that_sizes_alone_place_are_counted_in_one_line(raster: Write, tmp_path: Path) -> None:
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate("abcd"):
        fine = texture(1, 60, 60, seed=seed)
        place: dict[str, Any] = {"transform": grid(20)} if name == "a" else {"crs": None, "transform": None}
        raster(fine, f"hr/{name}.tif", transform=grid(10))
        raster(means(fine, 2).astype("float32"), f"lr/{name}.tif", **place)
    recipe = recipe_of(tmp_path, {"fine": "hr", "coarse": "lr", "attribution": "Agency"})
    with pytest.warns(SceneWarning) as told:
        pairs = training_pairs(recipe)
    assert [str(w.message) for w in told if issubclass(w.category, SceneWarning)] == [
        "3 pairs, such as b.tif and b.tif, placed by sizes alone: the coarse one has no affine"
    ]
    assert [[line.gain for line in pair.lines] for pair in pairs] == [[pytest.approx(1)]] * 4


def test_pixels_on_both_sides_are_told(raster: Write, tmp_path: Path) -> None:
    fine = texture(1, 80, 80)
    entry = write(raster, fine, means(fine, 2).astype("float32"))
    above, below = {**entry, "window": [0, 0, 40, 20]}, {**entry, "window": [0, 20, 40, 20]}
    assert len(validation_pairs(recipe_of(tmp_path, above, data={"validation_pairs": [below]}))) == 1
    with pytest.warns(SceneWarning, match=r"fine\.tif is trained on and validated on"):
        validation_pairs(recipe_of(tmp_path, above, data={"validation_pairs": [entry]}))


def test_the_operator_of_pairs_is_none_unless_named_and_nothing_is_made(tmp_path: Path) -> None:
    entry = {"fine": "a", "coarse": "b", "attribution": ""}
    assert recipe_of(tmp_path, entry).operator == "none"
    assert recipe_of(tmp_path, entry, operator="block-mean").operator == "block-mean"
    for changes, said in (
        ({"degradation": [{"kind": "block-mean"}]}, "degradation would not change them"),
        ({"augment": {"zoom": [0.5, 1.0]}}, r"augment\.zoom would not change"),
        ({"augment": {"sharpness": [0.2]}}, r"augment\.sharpness would not"),
        ({"augment": {"padding": [0.0]}}, r"augment\.padding would not"),
        ({"data": {"train": [{"path": "x", "attribution": ""}]}}, "not both"),
        ({"data": {"pairs": []}}, "name what to train on"),
    ):
        with pytest.raises(RecipeError, match=said):
            recipe_of(tmp_path, entry, **changes)


def test_patches_need_room_and_data() -> None:
    pair = paired(*shifted(3, 5), 2)
    for size, channels in ((82, 1), (15, 1), (16, 3)):
        with pytest.raises(RecipeError, match="of 40 × 40 coarse pixels in 2 bands"):
            PairPatches([pair], size, channels=channels)
    with pytest.raises(IndexError):
        PairPatches([pair], 16, length=2)[2]
    dark = ScenePair(pair.fine.with_range(0, 1), pair.coarse, pair.placement, pair.lines)
    with pytest.raises(RecipeError, match="nearly all nodata or background"):
        PairPatches([dark], 16, above=5.0, share=0.5)[0]


def test_windows_tile_an_area_or_are_spread_over_it() -> None:
    tiles = spread(Window(2, 3, 10, 5), 4, 9)
    assert tiles == [Window(c, r, w, h) for r, h in ((3, 4), (7, 1)) for c, w in ((2, 4), (6, 4), (10, 2))]
    assert [w.col for w in spread(Window(0, 0, 100, 1), 10, 4)] == [0, 30, 60, 90]


def test_a_run_on_real_pairs_learns_their_blur_and_says_what_it_learnt_from(raster: Write, tmp_path: Path) -> None:
    fine = texture(1, 120, 160)
    wide = np.pad(means(fine, 2), ((0, 0), (1, 1), (1, 1)), mode="edge")
    coarse = (wide[:, 1:-1, 1:-1] + wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]) / 5
    entry = write(raster, fine, coarse.astype("float32"))
    upper, lower = {**entry, "window": [0, 0, 80, 40]}, {**entry, "window": [0, 40, 80, 20]}
    recipe = recipe_of(
        tmp_path,
        upper,
        data={"validation_pairs": [lower]},
        content={"steps": 60, "patch": 32, "batch": 4, "optimiser": {"learning_rate": 3e-3, "warmup_steps": 5}},
        validate_every=60,
    )
    with pytest.warns(SceneWarning, match=r"a line explains (89|90)% of its variance"):
        path = train(recipe, tmp_path / "run", quiet=True)
    card = geomedsr.load_model(path).descriptor
    assert (card.operator, card.training_data, card.attribution) == ("none", ("fine.tif", "coarse.tif"), ("Agency",))
    assert card.metrics["psnr"] > card.metrics["psnr_bicubic"] + 0.5
    other = recipe_of(tmp_path, {**upper, "window": [0, 0, 80, 39]})
    assert identity(other) != identity(recipe_of(tmp_path, upper))  # a run of the one does not go on with the other
    assert identity(recipe_of(tmp_path, {**upper, "attribution": "same"})) == identity(recipe_of(tmp_path, upper))


def test_validation_on_pairs_is_the_psnr_of_their_windows(tmp_path: Path) -> None:
    fine, coarse = shifted(3, 5)
    recipe = recipe_of(tmp_path, {"fine": "a", "coarse": "b", "attribution": ""})
    pair = paired(fine.with_range(0, 1), coarse, 2)
    hr = torch.from_numpy(fine.data.values[0, :, 5:85, 3:83])[None]
    lr = torch.from_numpy(coarse.data.values[0]).float()[None]
    prediction = F.interpolate(lr, scale_factor=2.0, mode="bicubic", align_corners=False)
    expected = -10 * (prediction - hr).square().mean((0, 2, 3)).log10().mean()
    scores = Validation(recipe, [], torch.device("cpu"), [pair]).bicubic
    assert scores == {"psnr": pytest.approx(float(expected), abs=1e-3)}
    empty = scene(np.full((2, 90, 100), np.nan, "float32"), grid(10))
    nothing = ScenePair(empty, coarse, pair.placement, pair.lines)
    with pytest.raises(RecipeError, match="no window of 192 pixels"):
        Validation(recipe, [], torch.device("cpu"), [nothing])


def test_pairs_have_the_bands_that_the_network_sees(raster: Write, tmp_path: Path) -> None:
    fine = texture(2, 80, 80)
    entry = write(raster, fine, means(fine, 2).astype("float32"))
    upper, lower = {**entry, "window": [0, 0, 40, 20]}, {**entry, "window": [0, 20, 40, 20]}
    alone = {**lower, "fine_bands": [1], "coarse_bands": [1]}
    generator = {"scale": 2, "channels": 2, "options": {"width": 8, "blocks": 1}}
    recipe = recipe_of(tmp_path, upper, data={"validation_pairs": [alone]}, generator=generator)
    assert training_pairs(recipe)[0].fine.shape == (1, 2, 40, 80)
    with pytest.raises(RecipeError, match=r"fine\.tif of 1 band .*, expected 2 in every scene.*`fine_bands`"):
        validation_pairs(recipe)
