"""Masks grown by whole rows and columns."""

from __future__ import annotations

import numpy as np
import pytest

from geomedsr.geometry.morphology import along, near


@pytest.mark.parametrize("by", [0, 1, 3, 40])
def test_a_mask_grows_as_its_definition_says(by: int) -> None:
    mask = np.random.default_rng(0).random((2, 17, 13)) < 0.03
    grown = near(mask, by)
    for frame, row, col in np.ndindex(mask.shape):
        window = mask[frame, max(0, row - by) : row + by + 1, max(0, col - by) : col + by + 1]
        assert grown[frame, row, col] == window.any()


def test_along_one_axis_only() -> None:
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    np.testing.assert_array_equal(np.argwhere(along(mask, 2, -1)), [(2, x) for x in range(1, 6)])
    np.testing.assert_array_equal(np.argwhere(along(mask, 1, 0)), [(y, 3) for y in (1, 2, 3)])
