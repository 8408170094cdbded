from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomedsr
from geomedsr.geometry import Box
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Watched(ArraySource):
    """Counts the pixels that are read, and the most at once."""

    counts: list[int] = field(default_factory=list)

    def read(self, box: Box) -> Any:
        self.counts.append(box.pixels)
        return super().read(box)

    def select(self, bands: Any) -> Any:
        inner = super().select(bands)
        return Watched(inner.values, inner.mask, inner.nodata, self.counts)


@pytest.fixture
def sentinel() -> Scene:
    return geomedsr.open(EXAMPLES / "sentinel2_coast" / "input.tif")


@pytest.fixture
def truth() -> Scene:
    return geomedsr.open(EXAMPLES / "sentinel2_coast" / "reference.tif")


@pytest.fixture
def ct() -> Scene:
    return geomedsr.open(EXAMPLES / "ct_abdomen")


@pytest.fixture
def mr() -> Scene:
    return geomedsr.open(EXAMPLES / "mr_thigh")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
