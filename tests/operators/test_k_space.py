import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomedsr import operators
from geomedsr.operators.k_space import central

CROP = operators.get("k-space-crop")


def blob(height: int, width: int, row: float, col: float, sigma: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return torch.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * sigma**2))[None, None]


def centroid(image: torch.Tensor) -> tuple[float, float]:
    plane = image[0, 0]
    total = plane.sum()
    rows, cols = torch.arange(plane.shape[0]).double(), torch.arange(plane.shape[1]).double()
    return float((plane.sum(1) * rows).sum() / total), float((plane.sum(0) * cols).sum() / total)


@pytest.mark.parametrize("coarse", [(64, 48), (65, 49), (137, 66), (34, 137), (50, 63)])  # even, odd, and 2 modulo 4
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["k-space-crop", "block-mean"])
def test_a_blobs_centre_stays_through_down_and_up(coarse: tuple[int, int], scale: int, name: str) -> None:
    operator = operators.get(name)
    height, width = coarse[0] * scale, coarse[1] * scale
    row, col = height * 0.45 + 0.3, width * 0.52 - 0.2
    fine = blob(height, width, row, col, 2.0 * scale)
    small = operator.forward(fine, scale)
    got = centroid(small)  # pixel centres: (p + ½) · s − ½
    assert abs((got[0] + 0.5) * scale - 0.5 - row) < 0.02
    assert abs((got[1] + 0.5) * scale - 0.5 - col) < 0.02
    back = operator.project(torch.zeros_like(fine), small, scale)
    assert np.allclose(centroid(back), (row, col), atol=0.02)


def test_the_crop_keeps_the_mean_and_what_is_band_limited() -> None:
    y, x = torch.meshgrid(torch.arange(28).double(), torch.arange(36).double(), indexing="ij")
    wave = 5 + torch.cos(2 * torch.pi * (3 * y / 28 + 2 * x / 36) + 0.4)[None, None]
    v, u = torch.meshgrid(torch.arange(14).double(), torch.arange(18).double(), indexing="ij")
    expected = 5 + torch.cos(2 * torch.pi * (3 * (2 * v + 0.5) / 28 + 2 * (2 * u + 0.5) / 36) + 0.4)
    torch.testing.assert_close(CROP.forward(wave, 2)[0, 0], expected)


def test_frequencies_beyond_the_crop_vanish() -> None:
    x = torch.arange(32).double()
    wave = torch.cos(2 * torch.pi * 11 * x / 32).expand(1, 1, 8, 32)
    assert float(CROP.forward(wave, 2).abs().max()) < 1e-12


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([2, 3, 4]), st.integers(0, 99))
def test_projection_makes_the_central_k_space_the_inputs(height: int, width: int, scale: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    fine = torch.randn(2, 1, height * scale, width * scale, dtype=torch.float64, generator=generator)
    coarse = torch.randn(2, 1, height, width, dtype=torch.float64, generator=generator)
    result = CROP.project(fine, coarse, scale)
    torch.testing.assert_close(central(CROP.forward(result, scale)), central(coarse))
    torch.testing.assert_close(CROP.project(result, coarse, scale), result)  # nothing more to do


def test_only_the_nyquist_lines_of_even_axes_are_left_out() -> None:
    image = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(central(image), image)
    stripes = torch.tensor([[1.0, -1.0], [1.0, -1.0]], dtype=torch.float64)
    assert float(central(stripes).abs().max()) < 1e-12
    torch.testing.assert_close(central(stripes + 3), torch.full((2, 2), 3.0, dtype=torch.float64))


def test_float32_stays_float32() -> None:
    assert CROP.forward(torch.ones(1, 1, 6, 6), 2).dtype == torch.float32
    assert CROP.project(torch.ones(1, 1, 6, 6), torch.ones(1, 1, 3, 3), 2).dtype == torch.float32
