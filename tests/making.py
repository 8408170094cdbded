"""What the tests share that needs no raster library: a tiny model with random weights, textures, a small recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from geomedsr import Grid, Scene, Window
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Plane
from geomedsr.inference.runtime import Runtime
from geomedsr.models import Descriptor, Model, load_model, save_model
from geomedsr.models.store import build

#: How networks are run, where a test says so.
FLOAT32, BFLOAT16 = Runtime("cpu", "float32", False), Runtime("cpu", "bfloat16", True)


def save_tiny(path: Path, scale: int = 4, channels: int = 1, seed: int = 0, size: float = 0.15, **card: Any) -> Path:
    """A small network whose random weights move every pixel, as a model file; ``card`` changes its descriptor."""
    facts = {
        "name": "tiny",
        "version": "0.0.1",
        "architecture": "compact",
        "options": {"width": 8, "blocks": 2},
        "value_range": (1, 99),
    }
    descriptor = Descriptor(scale=scale, channels=channels, **(facts | card))
    torch.manual_seed(seed)
    module = build(descriptor)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * size)
    save_model(module, descriptor, path)
    return path


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Model:
    return load_model(tiny_path)


@pytest.fixture(scope="session")
def tiny_x2(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(save_tiny(tmp_path_factory.mktemp("models") / "tiny2.safetensors", scale=2, seed=1))


def texture(
    bands: int, height: int, width: int, dtype: Any = "uint16", seed: int = 0, low: float = 300, high: float = 4000
) -> np.ndarray:
    """A rough surface with edges, inside the type's range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [
        0.4
        + 0.2 * np.sin(x / (3 + b)) * np.cos(y / 4)
        + 0.25 * ((x // 7 + y // 5) % 2)
        + 0.1 * rng.random((height, width))
        for b in range(bands)
    ]
    return (np.stack(planes) * (high - low) + low).astype(dtype)


def pixels(scene: Scene) -> np.ndarray:
    """All stored values, ``(frame, band, y, x)``."""
    return scene.source.read(Box.of(slice(0, scene.shape[0]), Window(0, 0, scene.shape[3], scene.shape[2])))


def recipe_file(folder: Path, **changes: object) -> Path:
    """A small recipe, with some keys changed, as a file."""
    content = {
        "name": "test-x4",
        "version": "0.0.1",
        "generator": {"options": {"width": 8, "blocks": 1}},
        "data": {"train": [{"path": "a.tif", "attribution": "none"}]},
        "content": {"steps": 3},
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def volume(slices: int = 40, height: int = 44, width: int = 48) -> Scene:
    """A volume of MR slices, 1 mm apart, of values that lie between 0 and 3000."""
    planes = tuple(Plane((0, 0, float(i)), (1, 0, 0), (0, 1, 0), (1, 1), 1.0) for i in range(slices))
    values = texture(slices, height, width)[:, None].astype(np.int16)
    return Scene.from_array(values, grid=Grid((height, width), planes=planes), domain="MR").with_range(0, 3000)
