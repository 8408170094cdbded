"""Real pairs lie where their grids say, by one rule for training and evaluation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from conftest import texture
from pyproj import CRS

from geomedsr import Scene, Window
from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.grid import ControlPoint, Grid, Plane
from geomedsr.pairs.common import on_common_pixels as paired_to_measure
from geomedsr.pairs.placement import placement
from geomedsr.training.pairs import paired as paired_to_train

WEST, NORTH = 435730.0, 4179460.0
UTM17 = CRS.from_epsg(32617).to_wkt()

Paired = Callable[[Scene, Scene, int], object]


def grid(size: float, east: float = 0.0, south: float = 0.0) -> Affine:
    """A north-up grid of pixels of ``size`` metres, that begins so many metres from the corner."""
    return Affine(size, 0, WEST + east, 0, -size, NORTH - south)


def scene(array: np.ndarray, affine: Affine | None, crs: str | None = "EPSG") -> Scene:
    return Scene.from_array(array, grid=Grid(array.shape[-2:], affine, crs))


def empty(height: int, width: int, affine: Affine | None, crs: str | None = "EPSG", bands: int = 1) -> Scene:
    return scene(np.ones((bands, height, width), "float32"), affine, crs)


def plane(size: float, right: float = 0.0, down: float = 0.0, across: float = 0.0) -> Plane:
    """Square pixels of ``size`` mm whose first corner lies so many mm from (10, 20, 30)."""
    return Plane((10 + right + size / 2, 20 + down + size / 2, 30 + across), (1, 0, 0), (0, 1, 0), (size, size))


def slices(side: int, *planes: Plane) -> Scene:
    return Scene.from_array(np.ones((len(planes), 1, side, side), "float32"), grid=Grid((side, side), planes=planes))


def test_a_pair_is_placed_where_its_grids_say() -> None:
    place = placement(empty(90, 100, grid(10)), empty(40, 40, grid(20, 30, 50)), 2)
    assert (place.overlap, place.whole) == (Window(0, 0, 40, 40), Window(0, 0, 40, 40))
    assert place.fine(Window(0, 0, 40, 40)) == Window(3, 5, 80, 80)
    assert place.fine(Window(7, 9, 4, 2)) == Window(17, 23, 8, 4)
    assert place.offset(Window(7, 9, 4, 2)) == pytest.approx(0)
    outside = placement(empty(20, 20, grid(10)), empty(20, 20, grid(20, -30)), 2)
    assert outside.overlap == Window(2, 0, 9, 10)  # 10 m of the second column lie outside
    assert outside.fine(Window(2, 0, 1, 1)) == Window(1, 0, 2, 2)


def test_offsets_are_half_a_fine_pixel_beside_what_sizes_drift() -> None:
    between = placement(empty(90, 100, grid(10)), empty(40, 40, grid(20, 35, 52)), 2)
    assert between.fine(Window(0, 0, 4, 4)) == Window(3, 5, 8, 8)
    assert between.offset(Window(0, 0, 4, 4)) == pytest.approx(0.5)
    assert between.offset(Window(0, 0, 40, 40)) == pytest.approx(0.5)
    along = Affine(15 * 1.9946, 0, WEST, 0, -30, NORTH)  # sizes across rows are exact
    drifting = placement(empty(337, 371, grid(15)), empty(168, 185, along), 2)
    assert drifting.fine(Window(0, 0, 48, 48)).col == 0
    assert drifting.fine(Window(137, 0, 48, 48)).col == round((137 + 24) * 1.9946 - 48)
    drift = 24 * (2 - 1.9946)
    offsets = [drifting.offset(Window(col, 3, 48, 48)) for col in range(137)]
    assert offsets[0] == pytest.approx(2 * drift)  # its first corners meet
    assert max(offsets) == pytest.approx(0.5 + drift, abs=0.01)
    assert drifting.offset(drifting.whole) == pytest.approx(185 * (2 - 1.9946))


def test_the_whole_is_what_both_hold() -> None:
    """Where coarse pixels are less than the scale's, as many fine ones as they need do not lie on the fine raster."""
    place = placement(empty(337, 371, grid(15)), empty(169, 186, grid(15 * 371 / 186)), 2)
    assert place.overlap == Window(0, 0, 186, 168)
    assert (place.whole, place.fine(place.whole)) == (Window(0, 0, 185, 168), Window(0, 0, 370, 336))


BAD = [
    (
        empty(40, 40, grid(20, 5000)),
        "which do not overlap: the coarse one lies on columns 500 to 580 and rows 0 to 80 of",
    ),
    (empty(40, 40, grid(20), UTM17), "of the CRSs EPSG and EPSG:32617, expected one CRS"),
    (empty(40, 40, grid(30)), r"3 × 3 fine ones, expected 2 × 2 within 1%"),
    (empty(40, 40, grid(20.5)), r"2\.05 × 2\.05 fine ones"),
    (empty(40, 40, Affine(20, 0, WEST, 0, 20, NORTH - 800)), r"2 × -2 fine ones"),
    (empty(40, 40, grid(20) @ Affine.rotation(2)), "turned against each other"),
    (empty(40, 40, None, None), "100 × 90 and 40 × 40 pixels, not both located"),
    (slices(40, plane(20)), "not both located"),
    (empty(40, 40, grid(20), bands=3), "1 band in 1 frame and 3 bands in 1 frame, expected the same bands and frames"),
]


@pytest.mark.parametrize("paired", [paired_to_train, paired_to_measure])
@pytest.mark.parametrize(("coarse", "said"), BAD, ids=range(len(BAD)))
def test_what_does_not_fit_is_refused_alike(paired: Paired, coarse: Scene, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        paired(replace(empty(90, 100, grid(10)), name="fine"), replace(coarse, name="coarse"), 2)
    assert str(caught.value).startswith("got the pair fine and coarse")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("paired", [paired_to_train, paired_to_measure])
def test_what_lies_between_pixels_is_told_alike(paired: Paired) -> None:
    fine = texture(1, 96, 96, "float32", low=0, high=1)
    coarse = fine.reshape(1, 48, 2, 48, 2).mean((2, 4))[:, :32, :32]
    with pytest.warns(
        SceneWarning, match=r"do not quite meet: up to 0\.30 fine pixels off in windows of 32 × 32 coarse"
    ):
        paired(scene(fine, grid(10)), scene(coarse, grid(20, 3, 1)), 2)
    paired(scene(fine, grid(10)), scene(coarse, grid(20, 0.4)), 2)  # a warning would be an error


@pytest.mark.parametrize("paired", [paired_to_train, paired_to_measure])
def test_what_drifts_further_than_a_fine_pixel_is_refused_alike(paired: Paired) -> None:
    """Sizes 0.9 % off the scale, over 32 pixels of the one and 8 fine pixels for each."""
    fine, coarse = empty(256, 256, grid(10)), empty(32, 32, grid(80 * 0.991))
    with pytest.raises(
        InputError, match=r"2\.\d\d fine pixels off in windows of 32 × 32 coarse ones, expected at most 1:"
    ):
        paired(fine, coarse, 8)


def test_patches_are_checked_at_their_own_size() -> None:
    fine, size = np.arange(320.0)[None, None].repeat(320, 1), 20 * 0.992
    coarse = scene(np.arange(160)[None, None].repeat(160, 1) * 1.984 + 0.5, grid(size))
    with pytest.warns(SceneWarning, match=r"0\.\d\d fine pixels off in windows of 16 × 16 coarse ones"):
        paired_to_train(scene(fine, grid(10)), coarse, 2, 16)
    with pytest.raises(InputError, match=r"1\.\d\d fine pixels off in windows of 96 × 96 .*: take smaller windows"):
        paired_to_train(scene(fine, grid(10)), coarse, 2, 96)


def test_slices_are_placed_by_their_planes() -> None:
    fine = slices(80, plane(0.5), plane(0.5, across=3))
    place = placement(fine, slices(20, plane(1, 4, 6.1), plane(1, 4, 6.1, 3)), 2)
    assert (place.overlap, place.fine(Window(0, 0, 20, 20))) == (Window(0, 0, 20, 20), Window(8, 12, 40, 40))
    assert place.offset(place.whole) == pytest.approx(0.2)  # 0.1 mm
    for other, off in (((4, 6, 3.2), 0.4), ((4, 6.3, 3), 0.6), ((4, 6, 4), 2)):  # across the plane; in it; a slice away
        place = placement(fine, slices(20, plane(1, 4, 6), plane(1, *other)), 2)
        assert place.offset(place.whole) == pytest.approx(off)
    with pytest.raises(InputError, match=r"up to 2\.00 fine pixels off"):
        place.check([place.whole])


def test_one_crs_may_be_written_in_two_ways() -> None:
    names = [CRS.from_epsg(32618).to_wkt(version) for version in ("WKT1_GDAL", "WKT2_2019")]
    one, other = (scene(np.ones((1, n, n)), grid(10 * 40 // n), name) for n, name in zip((40, 20), names, strict=True))
    assert placement(one, other, 2).overlap == Window(0, 0, 20, 20)


def test_images_without_georeference_share_their_corners() -> None:
    fine, coarse = (scene(array, None, None) for array in (np.ones((1, 40, 60)), np.ones((1, 20, 30))))
    place = placement(fine, coarse, 2)
    assert (place.overlap, place.fine(Window(3, 4, 5, 6))) == (Window(0, 0, 30, 20), Window(6, 8, 10, 12))
    with pytest.raises(InputError, match="60 × 40 and 30 × 20 pixels"):
        placement(fine, coarse, 3)


@pytest.mark.parametrize("paired", [paired_to_train, paired_to_measure])
def test_sizes_that_place_what_lies_somewhere_are_told_once(paired: Paired) -> None:
    fine = texture(1, 80, 80, "float32", low=0, high=1)
    coarse = fine.reshape(1, 40, 2, 40, 2).mean((2, 4))
    points = tuple(ControlPoint(row, col, WEST + col, NORTH - row) for row, col in ((0, 0), (0, 40), (40, 0)))
    placed, tied = (grid(10), "EPSG"), Grid((40, 40), gcps=points, gcp_crs="EPSG")
    by_points = replace(scene(coarse, None, None), grid=tied)
    for one, other, said in (
        (scene(fine, *placed), scene(coarse, None, None), "the coarse one has no affine"),
        (scene(fine, None, None), scene(coarse, grid(20)), "the fine one has no affine"),
        (scene(fine, *placed), by_points, "the coarse one has no affine"),
        (scene(fine, None, None), by_points, "neither has an affine"),
    ):
        with pytest.warns(SceneWarning) as told:
            paired(replace(one, name="a.tif"), replace(other, name="b.png"), 2)
        assert [str(w.message) for w in told] == [f"the pair a.tif and b.png, placed by sizes alone: {said}"]
        place = placement(one, other, 2)
        assert place.whole == Window(0, 0, 40, 40)
        assert place.offset(place.whole) == 0
    paired(scene(fine, None, None), scene(coarse, None, None), 2)  # a warning would be an error
    paired(scene(fine, *placed), scene(coarse, grid(20)), 2)
