"""``sharpen``: what it takes, what comes out, and what it refuses."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import texture
from guided import fine_and_coarse, placed
from toys import GUIDED, PANNED, saved_toy, toy

import geomedsr
from geomedsr import Scene
from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.verification.verify import verify

PAN = toy(ports=PANNED, scale=2)
THREE = toy(ports=GUIDED, scale=2)


def read(scene: Scene) -> np.ndarray:
    return scene.source.read(Box.whole(scene.shape))[0]


def means(values: np.ndarray, factor: int) -> np.ndarray:
    bands, height, width = values.shape
    return values.reshape(bands, height // factor, factor, width // factor, factor).astype(float).mean((2, 4))


@pytest.fixture
def guided() -> tuple[Scene, Scene]:
    fine, few = fine_and_coarse()
    return placed(few, 20, names="B05 B06 B07"), placed(fine, 10, names="red nir swir")


def test_the_guide_is_seen_and_block_means_are_kept(guided: tuple[Scene, Scene]) -> None:
    coarse, guide = guided
    made = geomedsr.sharpen(coarse, guide, THREE)
    by_hand = geomedsr.process(THREE, image=coarse, guide=guide)["image"]
    np.testing.assert_array_equal(read(made), read(by_hand))
    np.testing.assert_array_equal(means(read(made), 2), read(coarse))
    assert [b.name for b in made.bands] == ["B05", "B06", "B07"]
    assert made.grid == coarse.grid.scaled(2)
    assert made.provenance["GEOMEDSR_GUIDE"] == "as it is"
    turned = guide.select(["swir", "red", "nir"])  # bands are found by their names
    np.testing.assert_array_equal(read(geomedsr.sharpen(coarse, turned, THREE)), read(made))


def test_a_pan_that_lies_off_is_moved(guided: tuple[Scene, Scene]) -> None:
    coarse, guide = guided
    pan = read(guide).mean(0, keepdims=True).astype(np.uint16)
    right = placed(pan, 10)
    wrong = placed(pan, 10, x=4)  # its georeferencing is 0.2 of a coarse pixel off
    with pytest.warns(
        SceneWarning, match=r"moved by the \+0\.\d\d, [+-]0\.0\d \(x, y\) coarse pixels that it lies off"
    ):
        made = geomedsr.sharpen(coarse, wrong, PAN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        still = geomedsr.sharpen(coarse, right, PAN)
    assert still.provenance.model.guide == "measured to lie within 0.05 of a coarse pixel; as it is"
    with pytest.warns(SceneWarning, match="resampled"):
        left = geomedsr.sharpen(coarse, wrong, PAN, register=False)
    best, moved, kept = (read(scene).astype(float) for scene in (still, made, left))
    assert np.abs(moved - best).mean() < 0.2 * np.abs(kept - best).mean()


def test_guide_bands_follow_and_verify_knows_them(guided: tuple[Scene, Scene], tmp_path: Path) -> None:
    coarse, guide = guided
    paths = [tmp_path / name for name in ("coarse.tif", "guide.tif", "out.tif", "alone.tif")]
    for scene, path in zip((coarse, guide), paths, strict=False):
        geomedsr.write(scene, path)
    opened = [geomedsr.open(path) for path in paths[:2]]
    made = geomedsr.sharpen(*opened, THREE, with_guide=True)
    assert [b.name for b in made.bands] == ["B05", "B06", "B07", "red", "nir", "swir"]
    geomedsr.write(made, paths[2])
    result = geomedsr.open(paths[2])
    np.testing.assert_array_equal(read(result)[3:], read(guide))
    np.testing.assert_array_equal(means(read(result)[:3], 2), read(coarse))
    geomedsr.write(geomedsr.sharpen(*opened, THREE), paths[3])
    assert all(check.kept is not False for check in verify(paths[0], paths[3]))


def test_it_is_written_in_pieces_as_in_one(guided: tuple[Scene, Scene], tmp_path: Path) -> None:
    coarse, guide = guided
    model = saved_toy(tmp_path, ports=GUIDED, scale=2)
    made = geomedsr.sharpen(coarse, guide, model, with_guide=True, tile=8)
    part = made.crop(geomedsr.Window(10, 20, 50, 36))
    geomedsr.write(part, tmp_path / "part.zarr", workers=2)
    np.testing.assert_array_equal(read(geomedsr.open(tmp_path / "part.zarr")), read(made)[:, 20:56, 10:60])


def test_bands_of_the_guide_that_have_names_of_the_image_are_told_apart(
    guided: tuple[Scene, Scene], tmp_path: Path
) -> None:
    coarse, guide = guided
    twice = placed(read(coarse), 20, names="red B06 nir")
    made = geomedsr.sharpen(twice, guide, THREE, with_guide=True)
    assert [band.name for band in made.bands] == ["red", "B06", "nir", "guide_red", "guide_nir", "swir"]
    np.testing.assert_array_equal(read(made)[3:], read(guide))
    geomedsr.write(twice, tmp_path / "twice.tif")
    geomedsr.write(guide, tmp_path / "guide.tif")
    geomedsr.write(made, tmp_path / "made.tif")
    checks = verify(tmp_path / "twice.tif", tmp_path / "made.tif", inputs={"guide": tmp_path / "guide.tif"})
    assert [check.promise for check in checks if check.kept is False] == []
    assert "bands guide_red, guide_nir, swir are the guide's" in [check.promise for check in checks if check.kept]


def test_where_there_is_no_guide_block_means_hold_still(guided: tuple[Scene, Scene]) -> None:
    coarse, guide = guided
    small = guide.crop(geomedsr.Window(11, 6, 40, 50))
    with pytest.warns(SceneWarning, match=r"covers 31\.2% of array"):
        made = geomedsr.sharpen(coarse, small, THREE)
    np.testing.assert_array_equal(means(read(made), 2), read(coarse))


def test_any_guide_goes_with_a_regression(guided: tuple[Scene, Scene]) -> None:
    coarse, guide = guided
    made = geomedsr.sharpen(coarse, guide.select(["nir", "red"]), "regression")
    np.testing.assert_array_equal(means(read(made), 2), read(coarse))
    assert made.provenance.model.name == "regression"
    assert np.corrcoef(read(made)[0].ravel(), read(guide)[0].ravel())[0, 1] > 0.9


def test_bad_input_is_one_line(guided: tuple[Scene, Scene]) -> None:
    coarse, guide = guided
    for model, other, error, words in (
        (None, guide, ModelError, r"bands B05, B06, B07 and a guide of 3 bands 2 times finer, .* no model of its own"),
        (None, guide.select([1]), ModelError, r"a guide of 1 band 2 times finer, .*(no model pan-x2|)"),
        ("satellite-x2", guide, ModelError, r"takes nothing beside the image, expected one that takes a guide"),
        (THREE, guide.select([1, 2]), InputError, r"do not tell swir|swir"),
        (PAN, guide, InputError, r"expected one band, pan: choose it with --guide-bands"),
        (THREE, placed(np.zeros_like(read(guide)), 10, names="red nir swir", nodata=0), InputError, "holds no data"),
    ):
        if model is None and other is not guide and "pan-x2" in geomedsr.models.available():
            continue
        with pytest.raises(error, match=words):
            geomedsr.sharpen(coarse, other, model)
    small = placed(texture(3, 80, 80, "uint8", low=1, high=200), 10, names="red nir swir")
    with pytest.raises(InputError, match=r"bands of uint(16|8) and uint"):
        geomedsr.sharpen(coarse, small, THREE, with_guide=True)
    other = placed(read(guide), 10, names="red nir swir", nodata=0)
    with pytest.raises(InputError, match=r"nodata values \(none, 0\)"):
        geomedsr.sharpen(coarse, other, THREE, with_guide=True)
