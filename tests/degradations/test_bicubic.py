"""The bicubic reduction beside Pillow's, and beside weights worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from geomedsr.degradations import Bicubic
from geomedsr.degradations.bicubic import cubic


def test_the_kernel_has_keys_values() -> None:
    x = torch.tensor([0.0, 0.25, 0.5, -0.5, 1.0, 1.5, 2.0, 2.5], dtype=torch.float64)
    expected = torch.tensor([1.0, 0.8671875, 0.5625, 0.5625, 0.0, -0.0625, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(cubic(x), expected)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_reduces_as_pillow_does(scale: int) -> None:
    fine = np.random.default_rng(scale).random((20 * scale, 24 * scale), np.float32)
    pillow = np.asarray(Image.fromarray(fine).resize((24, 20), Image.Resampling.BICUBIC))
    part = Bicubic()
    margin, edge = part.margin(scale), 2  # Pillow's border pixels do without what lies outside
    inner = fine[edge * scale - margin : margin - edge * scale, edge * scale - margin : margin - edge * scale]
    coarse = part.apply(torch.from_numpy(inner.copy())[None, None], scale)[0, 0].numpy()
    np.testing.assert_allclose(coarse, pillow[edge:-edge, edge:-edge], atol=2e-6)


def test_a_step_rings_by_what_the_weights_say() -> None:
    """At scale 2 the weights at 0.25, 0.75, 1.25, 1.75 coarse pixels are 111, 29, −9, −3 in 256ths, on each side."""
    fine = torch.zeros(1, 1, 8, 8)
    fine[..., 4:] = 1
    coarse = Bicubic().apply(fine, 2)
    assert coarse.shape == (1, 1, 1, 1)
    assert float(coarse) == pytest.approx(0.5, abs=1e-6)
    fine[..., 4] = 0
    assert float(Bicubic().apply(fine, 2)) == pytest.approx((29 - 9 - 3) / 256, abs=1e-6)
