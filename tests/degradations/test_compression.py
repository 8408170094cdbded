"""JPEG beside its standard's arithmetic, JPEG 2000 beside the PSNR that was asked for."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from geomedsr.degradations import JPEG, JPEG2000

# ITU-T T.81, table K.1.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def by_the_standard(image: np.ndarray, quality: int) -> np.ndarray:
    """8-bit grey levels after the standard's DCT, quantisation and inverse; libjpeg's scaling of the table."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = np.clip((LUMINANCE * percent + 50) // 100, 1, 255)
    u, x = np.mgrid[:8, :8]
    dct = np.cos((2 * x + 1) * u * math.pi / 16) * np.where(u == 0, math.sqrt(1 / 8), 0.5)
    out = np.empty(image.shape)
    for row in range(0, image.shape[0], 8):
        for col in range(0, image.shape[1], 8):
            spectrum = dct @ (image[row : row + 8, col : col + 8] - 128.0) @ dct.T
            steps = np.sign(spectrum) * np.floor(np.abs(spectrum) / table + 0.5 + 1e-9)  # halves away from 0
            out[row : row + 8, col : col + 8] = dct.T @ (steps * table) @ dct + 128
    return np.clip(np.rint(out), 0, 255)


def smooth(side: int, seed: int = 0) -> np.ndarray:
    """Random, correlated over a few pixels, from 0 to 1."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    field = np.fft.ifft2(np.fft.fft2(rng.random((side, side))) * np.exp(-20 * frequency**2)).real
    return (field - field.min()) / np.ptp(field)


@pytest.mark.parametrize("quality", [20, 50, 90])
def test_jpeg_is_what_the_standard_computes(quality: int) -> None:
    levels = np.rint(smooth(64) * 255)
    out = JPEG().apply(torch.from_numpy(levels / 255)[None, None], quality)[0, 0].numpy() * 255
    difference = np.abs(out - by_the_standard(levels, quality))
    # libjpeg computes with integers: levels differ by one at most, but where a coefficient lies between two steps.
    worst = difference.reshape(8, 8, 8, 8).max((1, 3))
    assert (worst < 1.5).mean() > 0.8
    assert (difference < 0.5).mean() > 0.8
    assert np.abs(out - levels).max() > 2  # and it does something


def test_jpeg_of_a_flat_block_is_the_nearest_step_of_its_constant_part() -> None:
    """At quality 50 the constant part, 8 (v − 128), becomes a multiple of 16: −27 goes to −28, −28 stays."""
    for level, expected in ((101, 100), (100, 100), (135, 136)):
        out = JPEG().apply(torch.full((1, 1, 8, 8), level / 255, dtype=torch.float64), 50) * 255
        torch.testing.assert_close(out, torch.full_like(out, expected))


@pytest.mark.parametrize("asked", [30.0, 40.0, 50.0])
@pytest.mark.parametrize("side", [24, 96])
def test_jpeg_2000_has_the_psnr_asked_for(asked: float, side: int) -> None:
    clean = torch.from_numpy(smooth(side))[None, None]
    error = float((JPEG2000().apply(clean, asked) - clean).square().mean())
    assert -10 * math.log10(error) == pytest.approx(asked, abs=2.0)


def test_jpeg_2000_is_coded_with_16_bits() -> None:
    clean = torch.from_numpy(smooth(32))[None, None]
    error = (JPEG2000().apply(clean, 80.0) - clean).abs().max()
    assert 0 < float(error) < 0.25 / 255


@pytest.mark.parametrize(("part", "drawn"), [(JPEG(), 50), (JPEG2000(), 35.0)])
def test_bands_are_coded_apart_and_what_lies_beyond_the_range_keeps_its_distance(
    part: JPEG | JPEG2000, drawn: float
) -> None:
    inside = torch.from_numpy(np.stack([smooth(24, 1), smooth(24, 2), smooth(24, 3)]))[None]
    together = part.apply(inside, drawn)  # type: ignore[arg-type]
    for band in range(3):
        assert torch.equal(together[:, band : band + 1], part.apply(inside[:, band : band + 1], drawn))  # type: ignore[arg-type]
    beyond = inside.clone()
    beyond[0, 0, 3, 4] = 1.7
    beyond[0, 1, 5, 6] = -0.4
    clipped = part.apply(beyond.clamp(0, 1), drawn)  # type: ignore[arg-type]
    excess = part.apply(beyond, drawn) - clipped  # type: ignore[arg-type]
    assert float(excess[0, 0, 3, 4]) == pytest.approx(0.7)
    assert float(excess[0, 1, 5, 6]) == pytest.approx(-0.4)
    assert int((excess.abs() > 1e-9).sum()) == 2


def test_small_images_and_odd_sizes_are_coded_too() -> None:
    for side in (1, 2, 5, 8, 13):
        image = torch.full((2, 1, side, side + 1), 0.5)
        torch.testing.assert_close(JPEG().apply(image, 90), image, atol=3 / 255, rtol=0)
        torch.testing.assert_close(JPEG2000().apply(image, 50.0), image, atol=0.02, rtol=0)


def test_qualities_are_drawn_from_their_range() -> None:
    rng = np.random.default_rng(0)
    assert {JPEG(quality=(60, 62)).draw(rng) for _ in range(50)} == {60, 61, 62}
    assert all(40 <= JPEG2000(psnr=(40, 41)).draw(rng) <= 41 for _ in range(50))
    with pytest.raises(ValidationError, match="1 <= low"):
        JPEG(quality=(0, 50))
    with pytest.raises(ValidationError, match="20 <= low"):
        JPEG2000(psnr=(50, 40))
