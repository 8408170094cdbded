import numpy as np
import pytest

from geomedsr.metrics.spectrum import beyond_nyquist, mean_ratio, power


def test_a_wave_has_its_power_at_its_frequency() -> None:
    x = np.arange(32)
    wave = 5 + 3 * np.cos(2 * np.pi * 8 * x / 32) * np.ones((32, 1))
    found = power(wave[None])[0]
    assert found.shape == (16,)
    assert found.argmax() == 8 - 1
    # A Hann window spreads a wave to neighbours at half the amplitude along each axis, and to nothing further.
    assert found[:5].max() < 1e-12 * found.max()
    assert found[11:].max() < 1e-12 * found.max()


def test_it_is_the_mean_over_rings() -> None:
    rng = np.random.default_rng(0)
    patch = rng.normal(size=(2, 16, 16))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)
    for band in range(2):
        spectrum = np.abs(np.fft.fft2((patch[band] - patch[band].mean()) * np.outer(hann, hann))) ** 2
        rings: dict[int, list[float]] = {}
        for row in range(16):
            for col in range(16):
                ky, kx = (n if n < 8 else n - 16 for n in (row, col))
                rings.setdefault(round((kx * kx + ky * ky) ** 0.5), []).append(spectrum[row, col])
        expected = [np.mean(rings[k]) for k in range(1, 9)]
        np.testing.assert_allclose(power(patch)[band], expected, rtol=1e-9)


def test_only_what_the_input_cannot_have_counts() -> None:
    reference = np.ones(16)  # of patches of 32 pixels: at 4 × the input's Nyquist frequency is 4 periods
    result = np.ones(16)
    result[:4] = 1e6
    assert beyond_nyquist(result, reference, 32, 4) == 0
    result[4:10], result[10:] = 10, 0.01  # 6 of 10 dB, 6 of 20 dB
    assert beyond_nyquist(result, reference, 32, 4) == pytest.approx(15)
    assert beyond_nyquist(result, reference, 32, 2) == pytest.approx((2 * 10 + 6 * 20) / 8)


def test_ratios_are_means_over_bands() -> None:
    pairs = [(np.array([1.0, 4.0]), np.array([2.0, 2.0])), (np.array([3.0, 3.0]), np.array([2.0, 1.0]))]
    assert mean_ratio(pairs) == (1.0, 2.5)
    assert mean_ratio([(np.ones(2), np.array([1.0, 0.0]))]) == ()
