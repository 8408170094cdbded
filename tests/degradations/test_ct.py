"""CT noise against its formula, on average; the CT reduction against its parts."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from geomedsr.degradations import CTPSF, BlockMean, CTNoise, GaussianPSF, chain
from geomedsr.degradations.ct_noise import CTField


def test_noise_has_the_power_spectrum_of_filtered_back_projection() -> None:
    """The mean periodogram of many draws is ``k f exp(−f² / 2p²)``, ring by ring, and sums to the variance."""
    part, side, peak, sigma, count = CTNoise(), 48, 0.2, 0.03, 400
    flat = torch.full((1, 1, side, side), 0.5, dtype=torch.float64)
    fields = np.stack([(part.apply(flat, CTField(sigma, peak, seed)) - flat)[0, 0].numpy() for seed in range(count)])
    measured = (np.abs(np.fft.fft2(fields)) ** 2).mean(0) / side**2
    assert fields.var() == pytest.approx(sigma**2, rel=0.01)
    assert np.abs(fields.mean((1, 2))).max() < 1e-12
    expected = np.zeros((side, side))
    for row in range(side):
        for col in range(side):
            f = math.hypot(min(row, side - row) / side, min(col, side - col) / side)
            expected[row, col] = f * math.exp(-(f**2) / (2 * peak**2))
    expected *= sigma**2 * side**2 / expected.sum()
    rows, cols = np.indices((side, side))
    ring = np.rint(np.hypot(np.minimum(rows, side - rows), np.minimum(cols, side - cols))).astype(int)
    for radius in range(1, 24):
        here = ring == radius
        assert measured[here].mean() == pytest.approx(expected[here].mean(), rel=0.05), radius
    averages = [measured[ring == radius].mean() for radius in range(24)]
    assert abs(int(np.argmax(averages)) / side - peak) < 2 / side


def test_neighbours_are_correlated_and_a_draw_tells_all() -> None:
    clean = torch.zeros(1, 2, 128, 128)
    part = CTNoise()
    soft, sharp = (part.apply(clean, CTField(0.01, peak, 3)) for peak in (0.08, 0.4))
    beside = [float((f[..., 1:] * f[..., :-1]).mean() / f.square().mean()) for f in (soft, sharp)]
    assert beside[0] > 0.6
    assert beside[1] < 0.1
    assert torch.equal(soft, part.apply(clean, CTField(0.01, 0.08, 3)))
    assert not torch.equal(soft, part.apply(clean, CTField(0.01, 0.08, 4)))
    assert abs(float((soft[:, 0] * soft[:, 1]).mean())) < 0.05 * 0.01**2 * 3  # bands have noise of their own
    assert torch.equal(part.apply(clean[..., :1, :1], CTField(0.01, 0.08, 3)), clean[..., :1, :1])


def test_the_reduction_is_a_psf_and_then_noise() -> None:
    part = CTPSF(mtf=(0.2, 0.3), noise=CTNoise(sigma=(0.01, 0.02)))
    psf = GaussianPSF(mtf=(0.2, 0.3))
    assert part.margin(2) == psf.margin(2)
    fine = torch.rand(1, 1, 64 + 2 * psf.margin(2), 64 + 2 * psf.margin(2))
    mtf, field = part.draw(np.random.default_rng(0))
    assert 0.2 <= mtf <= 0.3
    assert 0.01 <= field.sigma <= 0.02
    difference = part.apply(fine, 2, (mtf, field)) - psf.apply(fine, 2, mtf)
    assert float(difference.std()) == pytest.approx(field.sigma, rel=0.1)
    torch.testing.assert_close(part.apply(fine, 2, (mtf, CTField(0, 0.2, 1))), psf.apply(fine, 2, mtf))


def test_noise_after_the_block_mean_keeps_the_whole_images_mean() -> None:
    links = chain((BlockMean(), CTNoise(sigma=(0.1, 0.1))), 2)
    fine = torch.rand(1, 1, 64, 64, dtype=torch.float64)
    drawn = links.draw(np.random.default_rng(0))
    noisy = links.disturb(links.reduce(fine, drawn), drawn)
    assert float(noisy.mean()) == pytest.approx(float(fine.mean()), abs=1e-12)


def test_ranges_are_checked() -> None:
    for wrong in ({"sigma": (0.2, 0.1)}, {"sigma": (-0.1, 0.1)}, {"peak": (0.0, 0.1)}, {"peak": (0.1, 2.0)}):
        with pytest.raises(ValidationError, match="needs two numbers"):
            CTNoise(**wrong)  # type: ignore[arg-type]
