import numpy as np
import pytest
import torch

from geomedsr import operators
from geomedsr.errors import ModelError
from geomedsr.metrics.consistency import drift


def test_of_block_means() -> None:
    fine = np.array([[1.0, 3.0, 10.0, 10.0], [5.0, 7.0, 10.0, 14.0]])[None, None]
    assert drift(fine, np.array([[[[4.0, 10.0]]]]), 2, "block-mean").tolist() == [[[[0.0, 1.0]]]]
    assert drift(fine, np.array([[[[6.5, 13.0]]]]), 2, "block-mean").tolist() == [[[[2.5, 2.0]]]]


def test_of_k_space_leaves_out_what_no_crop_determines() -> None:
    rng = np.random.default_rng(0)
    coarse, fine = rng.normal(size=(1, 1, 8, 8)), rng.normal(size=(1, 1, 16, 16))
    made = operators.get("k-space-crop").project(torch.from_numpy(fine), torch.from_numpy(coarse), 2).numpy()
    np.testing.assert_allclose(drift(made, coarse, 2, "k-space-crop"), 0, atol=1e-12)
    np.testing.assert_allclose(drift(made + 3, coarse, 2, "k-space-crop"), 3, atol=1e-12)
    checks = (-1.0) ** np.arange(8) * np.ones((1, 1, 8, 1))  # all of it on the Nyquist line
    np.testing.assert_allclose(drift(made, coarse + checks, 2, "k-space-crop"), 0, atol=1e-12)


def test_an_operator_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="observation operator 'cubic'"):
        drift(np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 2, 2)), 2, "cubic")
