import pytest
import torch

from geomedsr import operators
from geomedsr.errors import ModelError


def test_down_is_the_mean_of_the_block() -> None:
    fine = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert operators.get("block-mean").forward(fine, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_project_agrees_with_the_input_and_keeps_deviations() -> None:
    operator = operators.get("block-mean")
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, 3, 12, 8, dtype=torch.float64), torch.randn(2, 3, 3, 2, dtype=torch.float64)
    once = operator.project(fine, coarse, 4)
    torch.testing.assert_close(operator.forward(once, 4), coarse)
    torch.testing.assert_close(operator.project(once, coarse, 4), once)
    blocks = (once - fine).reshape(2, 3, 3, 4, 2, 4)
    assert blocks.var((3, 5)).max() < 1e-20  # the same was added to each pixel of a block


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(ModelError, match="'fourier'"):
        operators.get("fourier")
