"""Where guides lie, and how they come onto a result's grid."""

import numpy as np
import pytest
from affine import Affine
from conftest import texture
from guided import fine_and_coarse, placed

from geomedsr import Band, Grid, Scene
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.geometry.crs import wkt_of
from geomedsr.geometry.grid import Plane
from geomedsr.sharpening.guides import fitted, relation


def read(scene: Scene) -> np.ndarray:
    return scene.source.read(Box.whole(scene.shape))[0]


def valid(scene: Scene) -> np.ndarray:
    return scene.source.valid(Box.whole(scene.shape))[0]


def test_a_guide_that_fits_is_taken_as_it_is() -> None:
    fine, few = fine_and_coarse()
    coarse, guide = placed(few, 20), placed(fine, 10)
    found = relation(coarse, guide)
    assert (found.factor, found.scale, found.shift) == (2, (2, 2), (0, 0))
    made = fitted(coarse, guide, found, 2)
    assert made.scene.source is guide.source
    assert (made.how, made.resampled, made.covered) == ("as it is", False, 1)


def test_whole_pixels_are_cut_off_and_added() -> None:
    fine, few = fine_and_coarse()
    coarse, guide = placed(few, 20, x=-10, y=30), placed(fine, 10)  # as the coast's 20 m file begins one pixel west
    made = fitted(coarse, guide, relation(coarse, guide), 2)
    values, known = read(made.scene), valid(made.scene)
    np.testing.assert_array_equal(values[:, :77, 1:], fine[:, 3:, :79])
    assert known[:, :77, 1:].all()
    assert not known[:, :, 0].any()
    assert not known[:, 77:].any()
    assert not made.resampled
    assert "from its column -1 and row 3 on" in made.how
    assert made.covered == pytest.approx(79 / 80 * 77 / 80)
    assert made.scene.grid == coarse.grid.scaled(2)


def test_a_guide_half_a_pixel_off_is_resampled() -> None:
    y, x = np.mgrid[:79, :79]
    guide = placed((100 + 3 * x + 5 * y)[None].astype(np.uint16), 15, x=7.5, y=7.5)  # 2N − 1 pixels
    coarse = placed(texture(1, 40, 40), 30)
    made = fitted(coarse, guide, relation(coarse, guide), 2)
    assert made.resampled
    assert "lying +0.50, +0.50 (x, y) of one beside" in made.how or "lying -0.50, -0.50 (x, y)" in made.how
    values = read(made.scene)[0]
    assert values.dtype == np.float32
    rows, cols = np.mgrid[2:77, 2:77]
    np.testing.assert_allclose(values[2:77, 2:77], 100 + 3 * (cols - 0.5) + 5 * (rows - 0.5), rtol=1e-6)
    assert valid(made.scene).all()
    stored = fitted(coarse, guide, relation(coarse, guide), 2, stored=True)
    assert stored.scene.dtype == np.uint16


def test_sizes_that_differ_a_little_are_stretched() -> None:
    coarse, guide = placed(texture(1, 40, 40), 29.9), placed(texture(1, 79, 79), 29.9 * 40 / 79)
    made = fitted(coarse, guide, relation(coarse, guide), 2)
    assert made.scene.shape == (1, 1, 80, 80)
    assert "1.013 × 1.013 times as large" in made.how


def test_bad_pairs_say_what_is_wrong() -> None:
    fine, few = fine_and_coarse()
    coarse, guide = placed(few, 20), placed(fine, 10)
    with pytest.raises(InputError, match="expected a guide that is finer than the image: swap the two"):
        relation(guide, coarse)
    with pytest.raises(InputError, match=r"do not overlap: the image lies on columns 1000 to 1080"):
        relation(placed(few, 20, x=10_000), guide)
    far = Scene.from_array(fine, grid=Grid((80, 80), affine=guide.grid.affine, crs=wkt_of("EPSG:32617")))
    with pytest.raises(InputError, match="expected one CRS"):
        relation(coarse, far)
    turned = Grid((80, 80), affine=Affine.rotation(10) @ guide.grid.affine, crs=guide.grid.crs)
    with pytest.raises(InputError, match="grids turned alike"):
        relation(coarse, Scene.from_array(fine, grid=turned))
    with pytest.raises(InputError, match="has no affine"):
        relation(coarse, Scene.from_array(fine))
    plane = Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    with pytest.raises(InputError, match="a series of slices"):
        relation(coarse, Scene.from_array(fine, grid=Grid((80, 80), planes=(plane,))))
    with pytest.raises(
        InputError, match=r"of whose pixels one of array holds 2, expected at least 4 .* use a model for ×2"
    ):
        fitted(coarse, guide, relation(coarse, guide), 4)
    tiny = placed(texture(1, 80, 80), 0.5)
    with pytest.raises(InputError, match=r"16 times finer"):
        fitted(coarse, tiny, relation(coarse, tiny), 2)


def test_sizes_alone_place_what_lies_nowhere() -> None:
    fine, few = fine_and_coarse()
    found = relation(Scene.from_array(few), Scene.from_array(fine, bands=[Band("a"), Band("b"), Band("c")]))
    assert found.unplaced
    assert found.factor == 2
    with pytest.raises(InputError, match="whole number of times"):
        relation(Scene.from_array(few), Scene.from_array(fine[:, 1:]))
