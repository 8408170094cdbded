"""The error after a local linear fit, of real pairs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from affine import Affine
from conftest import save_tiny, texture

import geomedsr
from geomedsr.cli import main
from geomedsr.metrics.fitted import residual


@pytest.fixture(autouse=True)
def no_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)


def test_residual_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(5000, 300, (2, 8, 9))
    result = 3 * truth + rng.normal(0, 50, truth.shape) + 1e5
    counted = rng.random(truth.shape) < 0.7
    for band, left in enumerate(residual(result, truth, counted)):
        x, y = result[band][counted[band]], truth[band][counted[band]]
        line = np.c_[x, np.ones_like(x)]
        fit = np.linalg.lstsq(line, y, rcond=None)[0]
        assert left == pytest.approx(((line @ fit - y) ** 2).sum(), rel=1e-6)


@pytest.mark.parametrize("values", ["line", "flat", "nothing"])
def test_residual_of_what_leaves_none(values: str) -> None:
    truth = np.arange(12.0).reshape(1, 3, 4)
    result = {"line": 7 - 2 * truth, "flat": np.ones_like(truth), "nothing": truth * np.nan}[values]
    left = residual(result, truth, np.full(truth.shape, values != "nothing"))
    assert left[0] == pytest.approx(np.square(truth - truth.mean()).sum() if values == "flat" else 0, abs=1e-9)


def _pixels(side: float) -> Affine:
    return Affine(side, 0, 435730, 0, -side, 4179460)


def test_gain_after_a_fit_does_not_see_calibration(raster: Callable[..., Path], tmp_path: Path) -> None:
    truth = (texture(1, 192, 192, "float64") * 1.0).astype("float32")
    coarse = truth.reshape(1, 96, 2, 96, 2).mean((2, 4))
    fine = raster(truth, name="fine.tif", transform=_pixels(10))
    low = raster((0.5 * coarse + 40).astype("float32"), name="low.tif", transform=_pixels(20))
    model = save_tiny(tmp_path / "tiny.safetensors", scale=2)
    csv = tmp_path / "s.csv"
    assert main(["evaluate", "--model", str(model), str(low), "--reference", str(fine), "--csv", str(csv)]) == 0
    rows = [line.split(",") for line in csv.read_text().splitlines()]
    found = {(r[1], r[3]): float(r[5]) for r in rows[1:] if r[2] == "all"}
    assert found["bicubic", "fitted"] == 0
    assert found["Lanczos", "gain"] != pytest.approx(found["Lanczos", "fitted"], abs=0.01)

    base = F.interpolate(torch.from_numpy(0.5 * coarse + 40)[None].double(), scale_factor=2, mode="bicubic")[0].numpy()
    ours = geomedsr.upscale(geomedsr.open(low), str(model)).data.values[0].astype(float)

    def left(result: np.ndarray) -> float:
        total = 0.0
        for row in (0, 96):
            for col in (0, 96):
                x, y = (a[0, row : row + 96, col : col + 96].ravel() for a in (result, truth.astype(float)))
                line = np.c_[x, np.ones_like(x)]
                total += ((line @ np.linalg.lstsq(line, y, rcond=None)[0] - y) ** 2).sum()
        return total

    assert found["tiny", "fitted"] == pytest.approx(10 * np.log10(left(base) / left(ours)), abs=1e-4)
