"""Views of one real place, as several dates of a sensor show it: shifted, noisy, in their own radiometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from conftest import SAMPLE

import geomedsr
from geomedsr import Scene
from geomedsr.fusion.simulation import view

SHIFTS = [
    (0.0, 0.0),
    (0.27, -0.41),
    (-0.38, 0.12),
    (1.45, 0.33),
    (-0.6, -1.2),
    (0.05, 0.52),
    (-0.25, -0.2),
    (0.48, 0.8),
]
SCALE = 4


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """Two bands ``(band, y, x)``, float64."""
    return geomedsr.open(SAMPLE / "reference.tif").select([1, 3]).data.values[0].astype(np.float64)


@pytest.fixture(scope="session")
def views_of() -> Callable[..., list[Scene]]:
    """Views of a fine image by their shifts, with noise of so many counts; all but the first in other radiometry."""

    def make(
        fine: np.ndarray, shifts: Sequence[tuple[float, float]] = tuple(SHIFTS), noise: float = 8.0
    ) -> list[Scene]:
        rng, other = np.random.default_rng(2), {"gain": 1 / 1.1, "offset": -40 / 1.1}
        return [
            view(fine, shift, SCALE, noise, rng, **(other if number else {})) for number, shift in enumerate(shifts)
        ]

    return make


def psnr(result: np.ndarray, truth: np.ndarray, cut: tuple[slice, slice] = (slice(16, -16), slice(16, -16))) -> float:
    """Mean over bands, in dB; the peak is the truth's 1–99 % range."""
    found = []
    for made, real in zip(result.astype(np.float64), truth, strict=True):
        low, high = np.percentile(real, (1, 99))
        found.append(10 * np.log10((high - low) ** 2 / np.mean((made[cut] - real[cut]) ** 2)))
    return float(np.mean(found))
