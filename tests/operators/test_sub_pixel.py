"""Phases against torch's PixelUnshuffle and PixelShuffle."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from geomedsr.geometry import Factors
from geomedsr.models.interpolation import merged as merged_by_torch
from geomedsr.operators.sub_pixel import merged, split


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_splitting_and_merging_are_those_of_torch(scale: int) -> None:
    fine = np.random.default_rng(0).integers(0, 9999, (2, 3, 5 * scale, 4 * scale)).astype(np.float32)
    phases = split(fine, Factors.in_plane(scale))
    expected = F.pixel_unshuffle(torch.from_numpy(fine), scale).reshape(2, 3, scale**2, 5, 4)
    np.testing.assert_array_equal(phases, expected.numpy())
    np.testing.assert_array_equal(merged(phases, Factors.in_plane(scale)), fine)
    np.testing.assert_array_equal(merged_by_torch(torch.from_numpy(phases)).numpy(), fine)
    into = np.zeros((2, 4, 5 * scale, 4 * scale), np.float32)
    merged(phases, Factors.in_plane(scale), into[:, 1:])
    np.testing.assert_array_equal(into[:, 1:], fine)
    assert not into[:, 0].any()


def test_new_slices_lie_between_slices() -> None:
    fine = np.random.default_rng(0).integers(0, 9999, (6, 3, 10, 12)).astype(np.float32)
    factors = Factors(3, 2, 4)
    phases = split(fine, factors)
    assert phases.shape == (2, 3, 24, 5, 3)
    np.testing.assert_array_equal(phases[1, :, 2 * 8 + 1 * 4 + 3], fine[3 + 2, :, 1::2, 3::4])
    np.testing.assert_array_equal(merged(phases, factors), fine)
