"""The operator of JPEG's bins in training: a prediction is moved into them, and one that lies in them stays."""

from __future__ import annotations

import numpy as np
import torch

from geomedsr.degradations import JPEG, BlockMean, chain
from geomedsr.jpeg.bins import restored, transformed, within_bins
from geomedsr.jpeg.encoding import Units
from geomedsr.jpeg.transform import encoded
from geomedsr.operators import get


def test_a_prediction_is_moved_into_the_bins_and_the_truth_stays() -> None:
    torch.manual_seed(2)
    truth = (torch.rand(2, 1, 24, 36) * 90 + 80).round() / 255
    links = chain((BlockMean(), JPEG(quality=(40, 40))), 1)
    drawn = links.draw(np.random.default_rng(0))
    coarse, steps = links.disturb(truth, drawn), links.marks(truth, drawn)["steps"]
    assert torch.equal(steps[..., 8:16, 16:24], steps[..., :8, :8])
    assert round(float(steps[0, 0, 0, 1]) * 255) == 14  # 11 · 1.25, rounded
    operator = get("jpeg-bins")
    inner = slice(0, 24), slice(0, 32)  # the last blocks are not whole
    kept = operator.project(truth, coarse, 1, {"steps": steps})
    assert (kept - truth)[..., *inner].abs().max() * 255 < 0.6  # bins are taken to be a little smaller
    far = operator.project(truth + 0.3 * torch.randn_like(truth), coarse, 1, {"steps": steps})
    table = (steps[0, 0, :8, :8] * 255).round().numpy()
    blocks = [(x[0, 0, :8, :8] * 255 - 128).double().numpy() for x in (far, coarse)]
    apart = np.abs(transformed(blocks[0]) - np.rint(transformed(blocks[1]) / table) * table) / table
    assert apart.max() < 0.501
    assert torch.equal(operator.project(truth, coarse, 1), truth)


def test_coefficients_and_blocks() -> None:
    block = np.random.default_rng(1).normal(0, 30, (3, 8, 8))
    np.testing.assert_allclose(restored(transformed(block)), block, atol=1e-9)
    flat = transformed(np.full((8, 8), 3.0))
    np.testing.assert_allclose(flat[0, 0], 24)
    assert np.abs(flat).sum() - 24 < 1e-9


def test_a_guess_far_away_ends_in_the_bins_and_clipped_units_too() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 256, (40, 1, 8, 8))
    truth[:20] = np.where(truth[:20] > 128, 255, 0)  # black and white: decoders clip such
    table = np.full((40, 1, 1, 8, 8), 24)
    made = encoded(truth[:, :1, :8, :8], table[:, 0])[:, :, None]
    units = Units((made,), (table,), (np.ones((40, 1, 1), bool),), ((1, 1),), False, 8)
    assert units.holds(truth).all()
    decoded = np.clip(np.rint(restored(made[:, 0] * 24.0) + 128), 0, 255).astype(np.uint8)
    sizes = np.full((40, 2), 8)
    pixels, holds = within_bins(decoded + rng.normal(0, 40, decoded.shape), decoded, units, sizes)
    assert holds[20:].all()
    assert holds.mean() > 0.8
    np.testing.assert_array_equal(units.holds(pixels), holds)
    np.testing.assert_array_equal(pixels[~holds], decoded[~holds])
    assert 77 not in within_bins(decoded.astype(float), decoded, units, sizes, avoid=77)[0][holds]
