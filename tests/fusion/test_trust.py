import numpy as np
import pytest

from geomedsr.fusion.trust import LEAST, MOST, RADIUS, noise_of, trust

RNG = np.random.default_rng(4)


def test_noise_is_measured_beside_edges() -> None:
    image = np.where(np.indices((200, 200))[1] // 50 % 2, 900.0, 100.0)
    noisy = image + RNG.normal(0, 5, image.shape)
    assert noise_of(noisy, np.ones(image.shape, bool)) == pytest.approx(5, rel=0.25)
    assert noise_of(noisy[:20, :20], np.ones((20, 20), bool)) == 0  # too small to tell


def test_noise_keeps_full_weight_and_change_has_none() -> None:
    expected = np.zeros((60, 60))
    seen = RNG.normal(0, 2**0.5 * 3, expected.shape)
    seen[20:40, 20:40] += 15
    known = np.ones(expected.shape, bool)
    known[:5] = False
    weights = trust(seen, expected, known, 3.0)
    assert weights[10:17].mean() > 0.95
    assert weights[23:37, 23:37].max() == 0
    assert weights[:5].max() == 0


def test_the_weight_falls_in_a_line() -> None:
    flat = np.zeros((15, 15))
    known = np.ones(flat.shape, bool)
    for ratio in (LEAST, (LEAST + MOST) / 2, MOST):
        weights = trust(flat + np.sqrt(ratio * 2) * 4, flat, known, 4.0)
        np.testing.assert_allclose(weights, (MOST - ratio) / (MOST - LEAST), atol=1e-12)


def test_weights_do_not_depend_on_what_lies_beyond_the_window() -> None:
    seen, expected, known = RNG.normal(size=(40, 40)), RNG.normal(size=(40, 40)), RNG.random((40, 40)) > 0.1
    whole = trust(seen, expected, known, 1.0)
    cut = slice(8, 30), slice(5, 35)
    part = trust(seen[cut], expected[cut], known[cut], 1.0)
    inner = slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS)
    np.testing.assert_array_equal(part[inner], whole[cut][inner])
