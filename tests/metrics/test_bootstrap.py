import numpy as np
import pytest

from geomedsr.metrics.bootstrap import draws, interval


def test_units_are_drawn_with_replacement() -> None:
    drawn = draws(5)
    assert drawn.shape == (1000, 5)
    assert (drawn.sum(1) == 5).all()
    assert (drawn == 0).mean() == pytest.approx((4 / 5) ** 5, abs=0.02)
    np.testing.assert_array_equal(drawn, draws(5))
    assert (draws(5, seed=1) != drawn).any()


def test_the_interval_of_a_mean_is_what_theory_says() -> None:
    values = np.random.default_rng(3).normal(10, 2, 400)
    low, high = interval(draws(400) @ values / 400)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_percentiles_of_what_is_finite() -> None:
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert interval(np.array([np.nan, 1.0, np.inf])) is None
