"""Wrong colours at strong edges."""

import numpy as np
import pytest
import torch
from conftest import SAMPLE

import geomedsr
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.fringe import edges, gradient
from geomedsr.metrics.interpolation import bicubic
from geomedsr.metrics.sam import spectral_angles
from geomedsr.models import Model


def _square() -> np.ndarray:
    """A bright square on dark ground, alike in three bands but for their peaks."""
    plane = np.full((96, 96), 10.0)
    plane[30:60, 30:60] = 100
    return np.stack([plane, 2 * plane, 5 * plane])


def test_edges_are_where_the_truth_is_steep() -> None:
    steep = gradient(_square(), np.array([100.0, 200.0, 500.0]))
    counted = np.ones(steep.shape, bool)
    counted[:, :45] = False
    found = edges(steep, counted)
    rows, cols = np.nonzero(found)
    assert set(rows) <= {29, 30, *range(29, 61)}
    assert cols.min() >= 45
    assert (steep[found] > 0.2).all()
    assert found.sum() >= 96 * 51 * 0.02
    assert not edges(np.zeros((4, 4)), np.ones((4, 4), bool)).any()  # flat ground has none
    assert not edges(steep, np.zeros(steep.shape, bool)).any()


def test_fringe_is_the_mean_angle_at_edges(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    sample = geomedsr.open(SAMPLE / "reference.tif")
    scores = evaluate(tiny, [sample]).scores
    truth, peak = sample.data.values[0].astype(float), sample.values.bounds()[1].ravel()
    steep = gradient(truth, peak)
    total = number = 0.0
    bands, height, width = truth.shape
    coarse = np.rint(truth.reshape(bands, height // 4, 4, width // 4, 4).mean((2, 4)))
    base = np.clip(np.rint(bicubic(torch.from_numpy(coarse)[None], 4)[0].numpy()), 0, 65535)
    angles = spectral_angles(base, truth)
    for row in range(0, height, 96):
        for col in range(0, width, 96):
            part = np.s_[row : row + 96, col : col + 96]
            strong = steep[part] >= np.quantile(steep[part], 0.95)
            total, number = total + angles[part][strong].sum(), number + strong.sum()
    assert scores[0].figures["fringe"].value == pytest.approx(total / number, rel=1e-6)
    assert scores[0].figures["fringe"].value > scores[0].figures["sam"].value
