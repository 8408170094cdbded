"""Slice profiles: weights, and how far they reach."""

import numpy as np
import pytest

from geomedsr.geometry.profile import Profile


def test_a_bell_as_wide_as_slices_are_apart_has_the_weights_that_were_measured() -> None:
    """A scan that was reconstructed at 1 and at 5 mm: .02 .07 .13 .18 .20 .18 .13 .07 .02."""
    weights = Profile(1.0).weights(5)
    assert weights.shape == (15,)
    np.testing.assert_allclose(weights[3:12], [0.02, 0.07, 0.13, 0.18, 0.20, 0.18, 0.13, 0.07, 0.02], atol=0.005)
    assert weights[:3].sum() + weights[12:].sum() < 1e-12


@pytest.mark.parametrize("factor", range(2, 9))
@pytest.mark.parametrize("width", [0, 0.5, 0.8, 1.0, 1.4, 2.0])
def test_weights_are_symmetric_and_sum_to_one_and_reach_no_farther_than_needed(width: float, factor: int) -> None:
    profile = Profile(width)
    weights = profile.weights(factor).reshape(-1, factor)
    assert len(weights) == 2 * profile.reach(factor) + 1
    np.testing.assert_allclose(weights.sum(), 1)
    np.testing.assert_allclose(weights, weights[::-1, ::-1])
    assert weights[0].max() > 0
    half = Profile(width).weights(999)  # finely: as high as half at half the width
    if width:
        assert half[half >= half.max() / 2].size / 999 == pytest.approx(width, abs=0.003)


def test_bells_as_wide_as_slices_are_apart_sum_to_a_constant() -> None:
    np.testing.assert_allclose(Profile(1.0).weights(6).reshape(-1, 6).sum(0), 1 / 6)


@pytest.mark.parametrize("width", [0.3, 2.5, -1])
def test_bells_too_narrow_or_too_wide_are_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"slice distances wide: expected 0\.5 to 2, or a box"):
        Profile(width)
