"""Guides of a repair: the local linear prediction, what other bands and another date add, and what stays as it was."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from conftest import texture
from dask.base import tokenize
from toys import filler

import geomedsr
from geomedsr import Band, Grid, Scene, verify
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.io import open_scene
from geomedsr.repairing.guides import RADIUS, Covered, Guide, Told, predicted
from geomedsr.repairing.marks import Marks
from geomedsr.scene.provenance import provenance_of

MODEL = filler()
SIZE = 90, 80


def truth(bands: int = 1) -> np.ndarray:
    return texture(bands, *SIZE)


def gap() -> np.ndarray:
    mask = np.zeros((1, 1, *SIZE), np.uint8)
    mask[..., 30:40, :] = 1
    mask[..., 70, 15] = 1
    return mask


def later(values: np.ndarray) -> np.ndarray:
    """Another date of one band: brighter, as a line tells."""
    return (0.6 * values[:1].astype(float) + 700).astype(np.uint16)


def error(made: np.ndarray, true: np.ndarray, mask: np.ndarray) -> float:
    holes = np.broadcast_to(mask != 0, made.shape)
    return float(np.sqrt(np.square(made.astype(float) - true)[holes].mean()))


def read(scene: Scene) -> np.ndarray:
    return scene.data.values


def test_a_prediction_is_the_weighted_regression_around_a_pixel() -> None:
    rng = np.random.default_rng(3)
    image, guide = rng.random((50, 52)), rng.random((2, 50, 52))
    known = rng.random((50, 52)) < 0.9
    made = predicted(np.where(known, image, 9.0), known, guide, slice(20, 30), slice(21, 31))
    y, x = 24, 27
    rows, columns = np.mgrid[:50, :52]
    near = (np.abs(rows - y) <= 5) & (np.abs(columns - x) <= 5) & known  # the narrowest window, of 2 pixels
    weights = np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / 4)[near]
    weights /= weights.sum()
    seen, shown = guide[:, near], image[near]
    means, mean = seen @ weights, shown @ weights
    apart = seen - means[:, None]
    slopes = np.linalg.solve((apart * weights) @ apart.T + 3e-3 * np.eye(2), (apart * weights) @ (shown - mean))
    assert made[y - 20, x - 21] == pytest.approx(mean + slopes @ (guide[:, y, x] - means), abs=1e-6)


def test_a_wild_guide_is_held_back() -> None:
    rng = np.random.default_rng(3)
    image = rng.random((50, 50))
    guide, known = image[None] * 1.0, np.ones((50, 50), bool)
    known[25, 25], guide[0, 25, 25] = False, 1e4  # a cloud
    made = predicted(image, known, guide, slice(25, 26), slice(25, 26))
    assert abs(made[0, 0] - 0.5) < 4 * 0.5


def test_another_date_fills_better_and_all_else_stays() -> None:
    true, mask = truth(2), gap()
    source = Scene.from_array(np.where(mask[0] != 0, 0, true).astype(np.uint16))
    other = Scene.from_array(later(true))
    alone = read(geomedsr.repair(source, Scene.from_array(mask), MODEL))
    made = read(geomedsr.repair(source, Scene.from_array(mask), MODEL, other=other))
    assert error(made[:, :1], true[:1], mask) < 0.3 * error(alone[:, :1], true[:1], mask)
    right = np.broadcast_to(mask == 0, made.shape)
    np.testing.assert_array_equal(made[right], read(source)[right])
    # what lies under the mask has no say
    wild = Scene.from_array(np.where(mask[0] != 0, 40000, true).astype(np.uint16))
    np.testing.assert_array_equal(read(geomedsr.repair(wild, Scene.from_array(mask), MODEL, other=other)), made)


def test_what_the_other_date_lacks_is_filled_as_without_it() -> None:
    true, mask = truth(), gap()
    source = Scene.from_array(np.where(mask[0] != 0, 0, true).astype(np.uint16))
    values = later(true)
    values[:, :, 50:] = 0
    other = Scene.from_array(values, bands=[Band("b", nodata=0)])
    alone = read(geomedsr.repair(source, Scene.from_array(mask), MODEL))
    made = read(geomedsr.repair(source, Scene.from_array(mask), MODEL, other=other))
    np.testing.assert_array_equal(made[..., 50:], alone[..., 50:])
    assert (made[..., 30:40, :50] != alone[..., 30:40, :50]).mean() > 0.9
    empty = Scene.from_array(np.zeros_like(values), bands=[Band("b", nodata=0)])
    np.testing.assert_array_equal(read(geomedsr.repair(source, Scene.from_array(mask), MODEL, other=empty)), alone)


@pytest.mark.parametrize("tile", [17, 40])
def test_tiles_equal_the_untiled_result(tile: int) -> None:
    true, mask = truth(2), gap()
    source, other = Scene.from_array(true), Scene.from_array(later(true))
    whole, tiled = (
        read(geomedsr.repair(source, Scene.from_array(mask), MODEL, other=other, tile=side)).astype(int)
        for side in (200, tile)
    )
    assert np.abs(whole - tiled).max() <= 1
    assert (whole != tiled).mean() < 1e-3


def test_predictions_do_not_depend_on_the_box_that_is_read() -> None:
    true = texture(2, 200, 190)
    mask = np.zeros((1, 1, 200, 190), np.uint8)
    mask[..., 60:70, :] = 1
    source, other = Scene.from_array(true), Scene.from_array(later(true))
    marks = Marks(source.source, Scene.from_array(mask).source)
    guide = Guide(source.source, marks, source.values, other.source, other.values, RADIUS)
    for kind in (Told, Covered):
        said = kind(guide, (0, 1))
        whole = said.read(Box.whole(said.shape))
        box = Box((0, 45, 31), (1, 85, 150))
        np.testing.assert_array_equal(said.read(box), whole[box.index])
        np.testing.assert_array_equal(said.select([1]).read(box), whole[box.index][:, 1:])


def test_a_dead_pixel_is_told_by_the_other_bands() -> None:
    base = truth()[0].astype(float)
    true = np.stack([base, 0.5 * base + 300, 30000 - 0.8 * base]).astype(np.uint16)
    mask = (np.random.default_rng(2).random((1, 3, *SIZE)) < 0.01).astype(np.uint8)
    source = Scene.from_array(np.where(mask[0] != 0, 0, true).astype(np.uint16))
    made = read(geomedsr.repair(source, Scene.from_array(mask), MODEL))
    all_of_them = np.broadcast_to(mask.max(1, keepdims=True), mask.shape)
    alone = read(geomedsr.repair(source, Scene.from_array(all_of_them[:, :1].copy()), MODEL))
    assert error(made, true, mask) < 0.5 * error(alone, true, mask)
    right = mask == 0
    np.testing.assert_array_equal(made[right], read(source)[right])


def test_a_repair_with_guides_travels_to_other_processes(tmp_path: Path) -> None:
    true, mask = truth(2), gap()
    other = Scene.from_array(later(true))
    made = geomedsr.repair(Scene.from_array(true), Scene.from_array(mask), filler(tmp_path), other=other)
    again = pickle.loads(pickle.dumps(made.source))
    np.testing.assert_array_equal(again.read(Box.whole(again.shape)), read(made))
    assert tokenize(again) == tokenize(made.source)  # by which a job that was stopped is known again
    brighter = Scene.from_array(later(true) + 1)
    model = geomedsr.load_model(tmp_path / "filler.safetensors")
    moved = geomedsr.repair(Scene.from_array(true), Scene.from_array(mask), model, other=brighter)
    assert tokenize(moved.source) != tokenize(made.source)


def test_another_date_that_does_not_fit_is_refused() -> None:
    grid = Grid(SIZE, Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633")
    source, mask = Scene.from_array(truth(), grid=grid), Scene.from_array(gap(), grid=grid)
    small = Scene.from_array(truth()[:, :60])
    with pytest.raises(InputError, match=r"another date .* of 1 × 60 × 80, expected 1 × 90 × 80"):
        geomedsr.repair(source, mask, MODEL, other=small)
    moved = Scene.from_array(truth(), grid=replace(grid, affine=Affine(10, 0, 5e5 + 30, 0, -10, 4e6)))
    with pytest.raises(InputError, match="corners lie up to 3 pixels from those"):
        geomedsr.repair(source, mask, MODEL, other=moved)
    classes = Scene.from_array(truth(), bands=[Band("c", "nearest")])
    with pytest.raises(InputError, match="whose bands are classes or flags"):
        geomedsr.repair(source, mask, MODEL, other=classes)


def test_the_command_names_the_other_date_and_verify_knows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    true, mask = truth(), gap()
    files = {"in": np.where(mask[0] != 0, 0, true).astype(np.uint16), "mask": mask[0], "other": later(true)}
    for name, values in files.items():
        geomedsr.write(Scene.from_array(values), tmp_path / f"{name}.tif", format="gtiff")
    filler(tmp_path)
    src, out, other = (str(tmp_path / f"{name}.tif") for name in ("in", "out", "other"))
    words = ["repair", src, out, "--mask", str(tmp_path / "mask.tif"), "--model", str(tmp_path / "filler.safetensors")]
    assert main([*words, "--from", other, "--quiet"]) == 0
    stated = provenance_of(open_scene(out, force=True)).model.inputs
    assert stated is not None
    assert stated["from"].startswith("other")
    given = {"mask": tmp_path / "mask.tif", "from": other}
    promise = "the other date is the one that it was filled from"

    def kept(**changed: Path) -> dict[str, bool | None]:
        return {check.promise: check.kept for check in verify(src, out, inputs={**given, **changed})}

    assert kept()[promise] is True
    assert False not in kept().values()
    values = later(true)
    values[0, 3, 3] += 1
    geomedsr.write(Scene.from_array(values), tmp_path / "forged.tif", format="gtiff")
    told = kept(**{"from": tmp_path / "forged.tif"})
    assert [name for name, good in told.items() if good is False] == [promise]
    assert {c.promise: c.kept for c in verify(src, out, inputs={"mask": tmp_path / "mask.tif"})}[promise] is None
    assert main([*words[:3], "--what", "stripes", "--find", "--from", other]) == 2
    assert "--from with stripes" in capsys.readouterr().err
