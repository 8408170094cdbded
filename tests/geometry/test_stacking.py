import numpy as np
import pytest
from planes import OBLIQUE, at_depths

from geomedsr.geometry.grid import Plane, Window
from geomedsr.geometry.stacking import Stacking, volumes_of


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_a_finer_plane_covers_the_same_area(factor: int) -> None:
    finer = OBLIQUE.scaled(factor)
    np.testing.assert_allclose(finer.corners((7 * factor, 9 * factor)), OBLIQUE.corners((7, 9)), atol=1e-12)
    assert finer.spacing == (0.9 / factor, 0.7 / factor)
    # PS3.3 C.7.6.2: the first centre moves by ½ (1/f − 1) of a pixel along each axis.
    row, column = np.array(OBLIQUE.along_row), np.array(OBLIQUE.along_column)
    moved = np.array(OBLIQUE.position) + 0.5 * (1 / factor - 1) * (0.7 * row + 0.9 * column)
    np.testing.assert_allclose(finer.position, moved, atol=1e-12)


def test_a_cropped_plane_begins_at_the_windows_first_pixel() -> None:
    cropped = OBLIQUE.cropped(Window(3, 2, 4, 5))
    assert cropped.position == pytest.approx(OBLIQUE.at(2, 3))
    row, column = np.array(OBLIQUE.along_row), np.array(OBLIQUE.along_column)
    np.testing.assert_allclose(OBLIQUE.at(2, 3), np.array(OBLIQUE.position) + 3 * 0.7 * row + 2 * 0.9 * column)


def test_an_even_stack_has_no_faults() -> None:
    stack = Stacking.of(at_depths(0, 3, 6, 9.1))
    assert stack.step == pytest.approx(3)
    assert stack.faults == []
    assert stack.uneven == pytest.approx(0.1 / 3)


@pytest.mark.parametrize(
    ("planes", "said"),
    [
        (at_depths(0, 3, 6, 12, 15, 24), "gaps where 3 slices would fit"),
        (at_depths(0, 3, 6.3, 9), "slice spacing that differs by up to 10%"),
        (at_depths(0, 3, 3, 6), "1 slice at the position of another"),
        (at_depths(0, 3, 6, lean=(0.1, 0)), "stacked 5.7° off their normal"),
    ],
)
def test_faults_are_told(planes: list[Plane], said: str) -> None:
    assert said in " and ".join(Stacking.of(planes).faults)


def test_half_a_degree_and_a_percent_are_what_real_series_have() -> None:
    assert Stacking.of(at_depths(0, 6.96, 14.03, 21.0, lean=(0.009, 0))).faults == []


def test_one_slice_is_a_stack_without_a_step() -> None:
    stack = Stacking.of(at_depths(4))
    assert (stack.step, stack.missing, stack.duplicates, stack.tilt) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("depths", "count"),
    [
        ((0, 3, 6), 1),
        ((0, 3, 6, 0, 3, 6), 2),
        ((0, 3, 0, 3.002, 0.002, 3), 3),  # microns apart
        ((4, 4, 4), 3),
        ((4,), 1),
        ((0, 3, 6, 0, 3), 1),  # a slice is missing
        ((0, 3, 6, 0, 3, 7), 1),
        ((0, 3, 3, 6), 1),
    ],
)
def test_slices_that_come_again_are_so_many_volumes(depths: tuple[float, ...], count: int) -> None:
    assert volumes_of(at_depths(*depths)) == count
