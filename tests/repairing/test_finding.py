"""Defects that are found by themselves: injected ones, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SAMPLE
from toys import filler

import geomedsr
from geomedsr import Band, Scene
from geomedsr.degradations.gaps import slc_off
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.repairing import gaps
from geomedsr.repairing.finding import KINDS, find_defects

SAMPLES = [SAMPLE / "input.tif", SAMPLE / "reference.tif", SAMPLE.parent / "ct_abdomen", SAMPLE.parent / "mr_thigh"]


def values_of(scene: Scene) -> np.ndarray:
    return scene.source.read(Box.whole(scene.shape)).copy()


def kinds(scene: Scene, *what: str) -> np.ndarray:
    return values_of(find_defects(scene, what or tuple(KINDS)).mask)


@pytest.fixture(scope="module")
def ground() -> np.ndarray:
    """Sentinel-2, 4 bands ``(band, y, x)``."""
    return values_of(geomedsr.open(SAMPLE / "reference.tif"))[0]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_clean_scenes_have_none(path: object) -> None:
    found = find_defects(geomedsr.open(path))  # type: ignore[arg-type]
    assert found.counts == {"gaps": 0, "lines": 0, "dead": 0}
    assert found.total == 0


def test_bright_roofs_water_that_glints_and_speckle_are_none() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200]
    calm = 300 + rng.normal(0, 4, (200, 200))
    for row, col in rng.integers(10, 190, (60, 2)):  # points of light, blurred by optics as sharp as Sentinel-2's
        calm += 3000 * np.exp(-((y - row + rng.uniform(-0.5, 0.5)) ** 2 + (x - col) ** 2) / (2 * 0.55**2))
    assert not kinds(Scene.from_array(calm.astype(np.uint16))).any()
    speckle = (rng.rayleigh(80, (300, 300))).clip(1, 255).astype(np.uint8)
    assert not kinds(Scene.from_array(speckle)).any()


def test_what_shows_in_other_bands_too_is_none() -> None:
    rng = np.random.default_rng(3)
    values = 300 + rng.normal(0, 3, (3, 150, 150))
    rows, cols = rng.permutation(140)[:40] + 5, rng.permutation(140)[:40] + 5
    values[:, rows, cols] += rng.uniform(0.3, 1, (3, 40)) * 400  # as a resampled roof may: nothing beside it
    broken = values.astype(np.uint16)
    assert not kinds(Scene.from_array(broken)).any()
    broken[1, 75, 75] = 700  # and this one in one band alone
    assert np.argwhere(kinds(Scene.from_array(broken))).tolist() == [[0, 1, 75, 75]]


@pytest.mark.parametrize("level", [0, 65535])
def test_dead_and_hot_pixels_of_one_band_are_found(ground: np.ndarray, level: int) -> None:
    mask = np.random.default_rng(1).random(ground.shape) < 0.001
    found = kinds(Scene.from_array(np.where(mask, level, ground).astype(np.uint16)), "dead") == KINDS["dead"]
    assert not found[0][~mask].any()
    assert found[0][mask].mean() > (0.96 if level else 0.8)  # dark pixels beside dark water hide


@pytest.mark.parametrize("along", ["rows", "columns"])
@pytest.mark.parametrize("fill", ["zero", "noise"])
def test_lost_lines_are_found(ground: np.ndarray, along: str, fill: str) -> None:
    values = ground.copy() if along == "rows" else ground.swapaxes(1, 2).copy()
    lost = [(0, 20, 1), (1, 50, 2), (2, 71, 4), (3, 90, 1)]
    expected = np.zeros(values.shape, bool)
    for band, first, many in lost:
        some = np.random.default_rng(band).integers(0, 60000, (many, values.shape[2]))
        values[band, first : first + many] = 0 if fill == "zero" else some
        expected[band, first : first + many] = True
    if along == "columns":
        values, expected = values.swapaxes(1, 2), expected.swapaxes(1, 2)
    found = kinds(Scene.from_array(np.ascontiguousarray(values)))[0]
    np.testing.assert_array_equal(found == KINDS["lines"], expected)
    assert not (found == KINDS["gaps"]).any()


@pytest.mark.parametrize("turned", [False, True])
def test_gaps_are_found_and_the_end_of_a_scene_is_none(turned: bool) -> None:
    size = (260, 300)
    values = np.full(size, 900, np.uint16) + np.arange(300, dtype=np.uint16)
    y, x = np.mgrid[:260, :300]
    outside = (y + 0.2 * x < 40) | (y - 0.1 * x > 230)
    gap = slc_off(size, 2300.0, 3.0, 9.0) & ~outside
    values[gap | outside] = 0
    cloud = (y - 130) ** 2 + (x - 80) ** 2 < 25**2  # masked, and no gap
    values[cloud] = 0
    inner = np.zeros(size, bool)
    inner[60:215, :] = True  # gaps that run into the end are its
    if turned:
        values, gap, outside, inner, cloud = (part.T for part in (values, gap, outside, inner, cloud))
    scene = Scene.from_array(np.ascontiguousarray(values), bands=[Band("b", nodata=0)])
    found = kinds(scene, "gaps")[0, 0] == KINDS["gaps"]
    near_cloud = np.hypot(y - 130, x - 80).T < 45 if turned else np.hypot(y - 130, x - 80) < 45
    there = gap & inner & ~near_cloud
    assert found[there].mean() > 0.95
    assert not found[outside].any()
    assert found[cloud & ~gap].mean() < 0.02
    assert not found[values != 0].any()


def test_a_box_finds_what_the_whole_finds(ground: np.ndarray) -> None:
    values = np.tile(ground, (1, 2, 2))
    values[np.random.default_rng(2).random(values.shape) < 0.001] = 0
    values[1, 40] = 0
    values[:, slc_off(values.shape[1:], 2500.0, 3.0, 9.0)] = 1
    mask = find_defects(Scene.from_array(values, bands=[Band(f"b{i}", nodata=1) for i in range(4)])).mask
    whole = values_of(mask)
    assert set(np.unique(whole)) == {0, 1, 2, 3}
    for box in (Box((0, 0, 0), (1, 31, 47)), Box((0, 23, 61), (1, 70, 90)), Box((0, 90, 100), (1, 96, 111))):
        np.testing.assert_array_equal(mask.source.read(box), whole[box.index])
    few = mask.select([2, 4])
    assert few.source.read(Box((0, 0, 0), (1, 60, 60))).shape == (1, 2, 60, 60)
    assert gaps.RADIUS < 60


def test_what_is_found_is_repaired_and_nothing_else(ground: np.ndarray) -> None:
    mask = np.random.default_rng(1).random(ground.shape) < 0.0005
    broken = np.where(mask, 65535, ground).astype(np.uint16)
    scene = Scene.from_array(broken)
    found = find_defects(scene)
    made = values_of(geomedsr.repair(scene, found.mask, filler()))[0]
    changed = made != broken
    np.testing.assert_array_equal(changed, values_of(found.mask)[0] != 0)
    assert changed[mask].mean() > 0.96


def test_other_kinds_and_scenes_of_classes_are_refused(ground: np.ndarray) -> None:
    with pytest.raises(InputError, match="the kind dust of defects, expected gaps, lines, dead"):
        find_defects(Scene.from_array(ground), ["dust"])
    with pytest.raises(InputError, match="expected gaps, lines, dead"):
        find_defects(Scene.from_array(ground), [])
    with pytest.raises(InputError, match="classes or flags"):
        find_defects(Scene.from_array(ground[:1], bands=[Band("c", "nearest")]))


@pytest.mark.parametrize("bands", [1, 3])
def test_pixels_stuck_at_0_are_found_where_nothing_else_comes_near(bands: int) -> None:
    """Beside water, whose values are low and calm, too."""
    rng = np.random.default_rng(4)
    scene = 150 + 900 * (np.arange(120)[:, None] > 60) + rng.normal(0, 8, (bands, 120, 110))
    scene[:, :, 50:] += 1000 + 1000 * np.sin(np.arange(60) / 5)  # hills
    values = np.rint(scene).astype(np.uint16)
    assert values.min() > 100
    stuck = rng.random(values.shape) < 0.002
    broken = np.where(stuck, 0, values).astype(np.uint16)
    found = find_defects(Scene.from_array(broken), ["dead"]).mask.data.values[0] != 0
    assert found[stuck].mean() > 0.95
    assert not found[~stuck].any()
    # values that fade into 0 are a dark scene's, and what lies together is a fill
    dark = np.where(values < 200, values // 8, values).astype(np.uint16)
    dark[:, :20, :20] = rng.integers(0, 4, (bands, 20, 20))
    assert find_defects(Scene.from_array(dark), ["dead"]).counts["dead"] == 0
    filled = values.copy()
    filled[:, :30, :30] = 0
    filled[:, 40, 40] = 0
    assert not (find_defects(Scene.from_array(filled), ["dead"]).mask.data.values[0] != 0)[:, :30, :30].any()
    # where 0 is no data, it stays no data
    marked = Scene.from_array(broken, bands=[Band(f"b{i}", nodata=0) for i in range(bands)])
    assert not (find_defects(marked, ["dead"]).mask.data.values[0] != 0)[stuck].any()
