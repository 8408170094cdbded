"""Each degradation against its formula; the draw is random, the function pure."""

import math

import numpy as np
import pytest
import torch

from geomedsr import operators
from geomedsr.degradations import BlockMean, GaussianPSF, KSpaceCrop, PoissonGaussian, chain
from geomedsr.degradations.poisson_gaussian import Noise


@pytest.mark.parametrize("part", [BlockMean(), KSpaceCrop()])
def test_operators_are_shared(part: BlockMean | KSpaceCrop) -> None:
    fine = torch.rand(2, 1, 12, 16)
    assert torch.equal(part.apply(fine, 2), operators.get(part.kind).forward(fine, 2))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("mtf", [0.15, 0.3])
def test_the_psf_has_the_stated_mtf_at_nyquist(scale: int, mtf: float) -> None:
    """A wave of the coarse grid's Nyquist frequency comes out with that modulation, others as the Gaussian says."""
    part = GaussianPSF(mtf=(mtf, mtf))
    margin, size = part.margin(scale), 24 * scale
    for share in (1.0, 0.5):
        cycles = share / (2 * scale)
        x = torch.arange(size + 2 * margin, dtype=torch.float64) - margin
        centres = (torch.arange(24, dtype=torch.float64) + 0.5) * scale - 0.5
        wave = torch.cos(2 * math.pi * cycles * (x - centres[0]))
        coarse = part.apply(wave.expand(1, 1, len(x), -1), scale, mtf)[0, 0, 0]
        expected = mtf ** (share**2) * torch.cos(2 * math.pi * cycles * (centres - centres[0]))
        torch.testing.assert_close(coarse, expected, atol=4e-3, rtol=0)


def test_the_psf_keeps_means_and_centres() -> None:
    part = GaussianPSF(mtf=(0.2, 0.2))
    margin = part.margin(4)
    flat = torch.full((1, 2, 16 + 2 * margin, 16 + 2 * margin), 0.7)
    torch.testing.assert_close(part.apply(flat, 4, 0.2), torch.full((1, 2, 4, 4), 0.7))
    ramp = (torch.arange(16.0 + 2 * margin) - margin).expand(1, 1, 16 + 2 * margin, -1)
    torch.testing.assert_close(
        part.apply(ramp, 4, 0.2)[0, 0, 0], torch.tensor([1.5, 5.5, 9.5, 13.5]), atol=1e-4, rtol=0
    )


def test_draws_stay_in_their_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [GaussianPSF(mtf=(0.1, 0.4)).draw(rng) for _ in range(200)]
    assert 0.1 <= min(drawn) < 0.15 < 0.35 < max(drawn) <= 0.4
    noises = [PoissonGaussian(gain=(0.1, 0.2), sigma=(0, 0.5)).draw(rng) for _ in range(100)]
    assert all(0.1 <= n.gain <= 0.2 and 0 <= n.sigma <= 0.5 for n in noises)
    assert len({n.seed for n in noises}) == 100


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_noise_has_the_mean_and_the_variance_of_the_formula(level: float) -> None:
    clean = torch.full((1, 1, 400, 400), level)
    noisy = PoissonGaussian().apply(clean, Noise(gain=0.01, sigma=0.02, seed=5))
    assert float(noisy.mean()) == pytest.approx(level, abs=1e-3)
    assert float(noisy.var()) == pytest.approx(0.01 * level + 0.02**2, rel=0.03)


def test_noise_is_a_function_of_its_draw() -> None:
    clean = torch.rand(1, 2, 8, 8)
    part, drawn = PoissonGaussian(), Noise(0.01, 0.02, 7)
    assert torch.equal(part.apply(clean, drawn), part.apply(clean, drawn))
    assert not torch.equal(part.apply(clean, drawn), part.apply(clean, Noise(0.01, 0.02, 8)))
    assert torch.equal(part.apply(clean, Noise(0.0, 0.0, 7)), clean)
    below = torch.full((1, 1, 4, 4), -0.2)
    torch.testing.assert_close(part.apply(below, Noise(0.01, 0.0, 7)), below)


def test_a_chain_reduces_then_disturbs() -> None:
    links = chain((BlockMean(), PoissonGaussian(gain=(0, 0), sigma=(0.1, 0.1))), 2)
    fine = torch.rand(1, 1, 8, 8)
    drawn = links.draw(np.random.default_rng(0))
    coarse = links.reduce(fine, drawn)
    assert torch.equal(coarse, operators.get("block-mean").forward(fine, 2))
    assert 0.02 < float((links.disturb(coarse, drawn) - coarse).std()) < 0.2
    for wrong in ((PoissonGaussian(),), (BlockMean(), BlockMean())):
        with pytest.raises(ValueError, match="expected one that reduces"):
            chain(wrong, 2)


@pytest.mark.parametrize(("scale", "sigma"), [(2, 0.35), (4, 0.25), (3, 1.0)])
def test_a_blurred_block_mean_is_the_mean_of_the_blurred(scale: int, sigma: float) -> None:
    part = BlockMean(blur=(0, sigma))
    margin = part.margin(scale)
    fine = np.random.default_rng(0).random((2, 5 * scale + 2 * margin, 6 * scale + 2 * margin))
    width = sigma * scale
    reach = np.arange(-margin, margin + 1)
    bell = np.exp(-(reach**2) / (2 * width**2))
    soft = fine
    for axis in (1, 2):
        soft = np.apply_along_axis(np.convolve, axis, soft, bell / bell.sum(), "valid")
    expected = soft.reshape(2, 5, scale, 6, scale).mean((2, 4))
    found = part.apply(torch.from_numpy(fine)[:, None], scale, sigma)[:, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    plain = part.apply(torch.from_numpy(fine)[:, None], scale, 0.0)
    inner = torch.from_numpy(fine)[:, None, margin:-margin, margin:-margin]
    assert torch.equal(plain, operators.get("block-mean").forward(inner, scale))


def test_blurs_are_drawn_from_those_named() -> None:
    rng = np.random.default_rng(0)
    part = BlockMean(blur=(0, 0, 0.2, 0.35))
    drawn = [part.draw(rng) for _ in range(400)]
    assert set(drawn) == {0, 0.2, 0.35}
    assert 160 < drawn.count(0) < 240
    assert BlockMean().draw(rng) == 0
    assert BlockMean().margin(4) == 0
    with pytest.raises(ValueError, match="from 0 to 2"):
        BlockMean(blur=(3,))
