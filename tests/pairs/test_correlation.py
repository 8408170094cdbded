import numpy as np
import pytest

from geomedsr.pairs.correlation import correlation, lag_sums

FAR = 3


def test_correlation_is_that_of_the_pixels_that_are_data_in_both() -> None:
    rng = np.random.default_rng(0)
    image, other = rng.normal(5, 2, (20, 24)), rng.normal(-3, 4, (20, 24))
    known, valid = rng.random(image.shape) > 0.2, rng.random(image.shape) > 0.3
    found = correlation(lag_sums(image, known, other, valid, FAR), 10)
    for i in range(2 * FAR + 1):
        for j in range(2 * FAR + 1):
            down, right = i - FAR, j - FAR
            here = slice(max(0, -down), 20 - max(0, down)), slice(max(0, -right), 24 - max(0, right))
            there = slice(max(0, down), 20 + min(0, down)), slice(max(0, right), 24 + min(0, right))
            both = known[here] & valid[there]
            expected = np.corrcoef(image[here][both], other[there][both])[0, 1]
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_a_shift_has_the_highest_correlation() -> None:
    image = np.random.default_rng(1).normal(size=(32, 32))
    found = correlation(lag_sums(image, image > -9, np.roll(image, (2, -1), (0, 1)), image > -9, FAR), 100)
    assert np.unravel_index(found.argmax(), found.shape) == (FAR + 2, FAR - 1)


def test_too_few_pixels_have_none() -> None:
    image = np.random.default_rng(2).normal(size=(12, 12))
    known = np.zeros(image.shape, bool)
    known[0, :5] = True
    assert np.isneginf(correlation(lag_sums(image, known, image, known, FAR), 6)).all()
