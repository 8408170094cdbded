import math

import numpy as np
import pytest

from geomedsr.metrics.correctness import classes, shares

PEAK = np.array([100.0])


def one(result: float, interpolated: float, reference: float) -> int:
    pixel = (np.full((1, 1, 1), v) for v in (result, interpolated, reference))
    return int(classes(*pixel, PEAK)[0, 0, 0])


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (60.0, 0),  # the truth
        (58.0, 0),
        (40.0, 1),  # the input
        (43.0, 1),
        (90.0, 2),  # far beyond the truth: d_im = 1.5, d_om = 2.5
        (10.0, 2),  # the wrong way: d_im = 2.5, d_om = 1.5
        (50.0, 0),  # half-way: equal, given to the first
    ],
)
def test_what_lies_where(result: float, expected: int) -> None:
    assert one(result, 40.0, 60.0) == expected


def test_the_scores_are_the_packages_formulas() -> None:
    # Between truth and hallucination the least changes where d_im + d_om (1 − e^(−0.8 (d_im + d_om − 1))) is
    # e^(−0.4 d_im d_om); past the truth d_om = 1 + d_im. Solved by bisection.
    low, high = 0.0, 1.0
    for _ in range(60):
        d = (low + high) / 2
        improvement = d + (1 + d) * (1 - math.exp(-0.8 * 2 * d))
        low, high = (d, high) if improvement < math.exp(-0.4 * d * (1 + d)) else (low, d)
    assert 0.2 < low < 0.5
    assert one(60 + 20 * (low - 0.001), 40, 60) == 0
    assert one(60 + 20 * (low + 0.001), 40, 60) == 2


@pytest.mark.parametrize("zero", [0.0, -1000.0, 4000.0])
def test_distances_are_the_same_wherever_zero_lies(zero: float) -> None:
    """Not relative to values, as the package's normalised difference is: HU may be negative."""
    assert [one(zero + s, zero + 5, zero + 60) for s in (31, 34, 100)] == [1, 0, 2]


def test_of_what_hardly_differs_nothing_is_said() -> None:
    assert one(50.0, 51.9, 50.5) == -1
    assert one(50.0, 52.1, 50.5) == 1 - 1  # the truth is nearer: improvement
    assert one(55.0, 50.0, 50.0) == 2  # nothing was missing, and something was added


def test_shares_are_percent() -> None:
    assert shares(np.array([[1.0, 2.0, 1.0]])).tolist() == [[25, 50, 25]]
    assert np.isnan(shares(np.zeros((1, 3)))).all()
