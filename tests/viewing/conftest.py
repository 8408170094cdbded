from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.scene import Scene

EXAMPLES = Path(__file__).parents[2] / "examples"


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
