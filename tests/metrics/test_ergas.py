import numpy as np
import pytest
import torch
from torchmetrics.functional.image import error_relative_global_dimensionless_synthesis as torchmetrics_ergas

from geomedsr.metrics.ergas import ergas


def test_it_is_walds_formula() -> None:
    # Band 1: RMSE 2 of mean 10, band 2: RMSE 3 of mean 20, at 4 ×: 25 · √((0.2² + 0.15²) / 2).
    value = ergas(np.array([4.0 * 7, 9.0 * 7]), np.array([70.0, 140.0]), np.array([7.0, 7.0]), 4)
    assert float(value) == pytest.approx(25 * ((0.04 + 0.0225) / 2) ** 0.5)


def test_sums_of_parts_are_torchmetrics_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(100, 900, (3, 40, 60))
    result = truth + rng.normal(0, 30, truth.shape)
    parts = [(slice(None), slice(None), slice(0, 17)), (slice(None), slice(None), slice(17, 60))]
    squares = sum(np.square(result[p] - truth[p]).sum((1, 2)) for p in parts)
    total = sum(truth[p].sum((1, 2)) for p in parts)
    expected = torchmetrics_ergas(torch.from_numpy(result)[None], torch.from_numpy(truth)[None], ratio=4)
    assert float(ergas(squares, total, np.full(3, 2400.0), 4)) == pytest.approx(float(expected), rel=1e-9)


def test_nothing_is_relative_to_a_mean_of_zero() -> None:
    assert np.isnan(ergas(np.array([1.0, 1.0]), np.array([5.0, -3.0]), np.array([1.0, 1.0]), 2))
    assert np.isnan(ergas(np.array([0.0]), np.array([0.0]), np.array([0.0]), 2))
