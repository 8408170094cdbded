import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.scene.padding import FILL_RADIUS, FILL_REST, fill, read_reflected, reflected
from geomedsr.scene.sources import ArraySource


@given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
def test_reflection_is_numpys_repeated(length: int, before: int, after: int) -> None:
    expected = np.pad(np.arange(length), (before, after), mode="reflect" if length > 1 else "edge")
    assert reflected(-before, length + after, length).tolist() == expected.tolist()


@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 30), st.integers(0, 30))
def test_blocks_are_reflected_as_the_pixels_that_they_are_of(coarse: int, block: int, before: int, after: int) -> None:
    found = reflected(-before * block, (coarse + after) * block, coarse * block, block)
    pixels = reflected(-before, coarse + after, coarse)
    np.testing.assert_array_equal(found // block, pixels.repeat(block))
    inside = found.reshape(-1, block) % block
    turned = inside[:, 0] > inside[:, -1]
    np.testing.assert_array_equal(np.where(turned[:, None], inside[:, ::-1], inside), [range(block)] * len(inside))
    if coarse > 1 and before:  # what lies before the first block is the second one, turned
        assert found[before * block - 1] == block
        assert not turned[before : before + coarse].any()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 30))
def test_any_window_is_a_part_of_the_padded_plane(h: int, w: int, row: int, col: int, side: int) -> None:
    values = np.arange(h * w).reshape(1, 1, h, w)
    pads = [(0, 0), (0, 0)]
    padded = values
    for axis, size in ((2, h), (3, w)):
        pads = [(0, 0)] * 4
        pads[axis] = (60, 60)
        padded = np.pad(padded, pads, mode="reflect" if size > 1 else "edge")
    got, valid = read_reflected(ArraySource(values), Box.of(0, Window(col, row, side, side)))
    assert valid.all()
    assert (got == padded[..., 60 + row : 60 + row + side, 60 + col : 60 + col + side]).all()


def test_fill_leaves_valid_pixels_and_ignores_what_is_under_the_mask() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((1, 2, 40, 50), np.float32)
    valid = rng.random(values.shape) > 0.6
    one = fill(torch.from_numpy(values.copy()), valid)
    other = fill(torch.from_numpy(np.where(valid, values, np.float32(1e30))), valid)
    assert torch.equal(one, other)
    assert (one.numpy()[valid] == values[valid]).all()
    assert one.min() >= values.min()
    assert one.max() <= values.max()


def test_a_single_hole_takes_the_mean_of_its_neighbours() -> None:
    values = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    valid = np.ones_like(values, bool)
    valid[..., 1, 1] = False
    assert fill(torch.from_numpy(values), valid)[0, 0, 1, 1] == pytest.approx((36 - 4) / 8)


def test_the_fills_reach_is_bounded_and_is_what_it_says() -> None:
    size = 3 * FILL_RADIUS
    valid = np.zeros((1, 1, 1, size), bool)
    valid[..., 0] = True
    values = np.full((1, 1, 1, size), 0.9, np.float32)
    filled = fill(torch.from_numpy(values), valid)[0, 0, 0]
    assert filled[: FILL_RADIUS + 1].tolist() == pytest.approx([0.9] * (FILL_RADIUS + 1))
    assert (filled[FILL_RADIUS + 1 :] == FILL_REST).all()
