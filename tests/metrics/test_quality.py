import numpy as np
import pytest
import torch
from conftest import texture
from torchmetrics.functional.image import structural_similarity_index_measure

from geomedsr.metrics import psnr, ssim
from geomedsr.metrics.quality import ssim_map


def test_psnr_is_the_formula() -> None:
    reference = np.zeros((2, 4, 4))
    result = np.stack([np.full((4, 4), 10.0), np.full((4, 4), 1.0)])
    assert psnr(result, reference, np.array([100.0, 100.0])).tolist() == pytest.approx([20.0, 40.0])
    assert psnr(reference, reference, np.array([1.0, 1.0])).tolist() == [np.inf, np.inf]


def test_unsigned_differences_do_not_wrap() -> None:
    assert psnr(np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 10, np.uint8), np.array([10.0])) == pytest.approx(0)


def test_only_valid_pixels_count() -> None:
    reference = np.zeros((1, 40, 40))
    result = reference.copy()
    result[:, :, :5] = 99
    result[:, :, 30:] = 1
    valid = np.zeros((40, 40), bool)
    valid[:, 30:] = True
    assert psnr(result, reference, np.array([10.0]), valid) == pytest.approx(20)


def test_ssim_of_equals_is_one_and_of_a_constant_is_its_luminance_term() -> None:
    image = texture(2, 40, 40).astype(float)
    span = np.array([4000.0, 4000.0])
    assert ssim(image, image, span).tolist() == pytest.approx([1, 1])
    one, other = np.full((1, 30, 30), 0.5), np.full((1, 30, 30), 0.7)
    c1 = 0.01**2
    expected = (2 * 0.5 * 0.7 + c1) / (0.5**2 + 0.7**2 + c1)
    assert ssim(one, other, np.array([1.0])) == pytest.approx(expected, rel=1e-4)


def test_ssim_is_torchmetrics_at_every_pixel() -> None:
    image = texture(2, 31, 44).astype(float)
    noisy = image + np.random.default_rng(0).normal(0, 300, image.shape)
    noisy[:, :9] = image[:, :9] = 700  # no variance there
    span = np.array([4000.0, 3000.0])
    found = ssim_map(noisy, image, span)
    for band, peak in enumerate(span):
        pair = (torch.from_numpy(plane[band] / peak)[None, None] for plane in (noisy, image))
        _, expected = structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
        np.testing.assert_allclose(found[band], expected[0, 0].numpy(), atol=1e-9)
    assert 0.3 < found[:, 12:].mean() < 0.95
    valid = np.zeros((31, 44), bool)
    valid[12:, 20:] = True
    assert ssim(noisy, image, span, valid) == pytest.approx(found[:, 12:, 20:].mean((1, 2)), abs=1e-12)
