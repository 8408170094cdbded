"""The grid of images in which it is known."""

import numpy as np
import pytest

from geomedsr.metrics.grid import ratio, steps


def grid(values: np.ndarray, scale: int) -> float:
    return float(ratio(steps(values, np.True_, scale)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_slope_has_none(scale: int) -> None:
    y, x = np.mgrid[: 6 * scale, : 7 * scale]
    assert grid(3.0 * x + 5 * y, scale) == 1


def test_of_known_steps_it_is_their_ratio() -> None:
    row = np.cumsum([0, 1, 1, 1, 3, 1, 1, 1, 3, 1, 1, 1])  # 4 fine pixels a pixel: 3 at borders, 1 inside
    across = np.tile(row, (8, 1))
    found = steps(across, np.True_, 4)
    assert found[1].tolist() == [[2 * 8 * 3, 2 * 8], [9 * 8, 9 * 8]]
    assert grid(across, 4) == grid(across.T, 4) == grid(-across, 4) == 3
    assert grid(across + np.arange(8)[:, None], 4) == 3  # the worse direction: down there is none
    assert grid(across * np.array([[[1.0]], [[7.0]]])[0], 4) == 3


def test_repeated_pixels_are_nothing_but_grid_and_a_constant_tells_nothing() -> None:
    coarse = np.random.default_rng(0).random((5, 6))
    assert grid(coarse.repeat(4, 0).repeat(4, 1), 4) == np.inf
    assert np.isnan(grid(np.ones((8, 8)), 4))


def test_noise_has_none() -> None:
    assert grid(np.random.default_rng(1).normal(size=(800, 800)), 4) == pytest.approx(1, abs=0.01)


def test_pixels_that_do_not_count_make_no_steps() -> None:
    values = np.random.default_rng(2).random((2, 16, 20))
    counted = np.ones((2, 16, 20), bool)
    counted[0, 5, 6] = False
    holed = np.where(counted, values, 1e9)
    found, whole = steps(holed, counted, 4), steps(values, np.True_, 4)
    np.testing.assert_allclose(found[1], whole[1])
    assert (whole - found)[0, ..., 1].tolist() == [[0, 2], [0, 2]]  # (5, 6) lies inside, both ways
    assert found[..., 0].max() < 1e3
    nan = steps(np.where(counted, values, np.nan), counted, 4)
    np.testing.assert_array_equal(nan, found)


def test_integers_do_not_wrap() -> None:
    values = np.tile(np.array([0, 255, 0, 255], np.uint8), (4, 2))
    assert steps(values, np.True_, 2)[1, :, 0].tolist() == [3 * 4 * 255, 4 * 4 * 255]


@pytest.mark.parametrize("side", [4, 8, 12])
def test_pieces_add_up(side: int) -> None:
    rng = np.random.default_rng(3)
    values, counted = rng.random((3, 24, 32)), rng.random((3, 24, 32)) > 0.1
    total = np.zeros((3, 2, 2, 2))
    for row in range(0, 24, side):
        for col in range(0, 32, side):
            piece = (..., slice(row, row + side + 1), slice(col, col + side + 1))
            total += steps(values[piece], counted[piece], 4, (min(side, 24 - row), min(side, 32 - col)))
    np.testing.assert_allclose(total, steps(values, counted, 4))
