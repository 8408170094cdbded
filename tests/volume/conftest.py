"""Models for volumes, and what one of them makes of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom.conftest import save_medical

import geomedsr
from geomedsr.checks import Check
from geomedsr.models import Model, load_model
from geomedsr.verification.verify import verify


@pytest.fixture(scope="session")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(save_medical(tmp_path_factory.mktemp("models") / "ct.safetensors"))


@pytest.fixture(scope="session")
def mr(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(save_medical(tmp_path_factory.mktemp("models") / "mr.safetensors", "k-space-crop", "MR"))


def broken(source: Path, result: Path, series: str | None = None) -> list[Check]:
    """The promises that a result does not keep."""
    return [check for check in verify(source, result, series=series) if check.kept is False]


@pytest.fixture
def finer(tmp_path: Path, ct: Model) -> Callable[..., Any]:
    """Save an image, upscale it, verify the result, and load that."""

    def make(image: Any, name: str = "in.nii", out: str = "out.nii", model: Model | None = None, **options: Any) -> Any:
        if isinstance(image, nibabel.spatialimages.SpatialImage):
            nibabel.save(image, tmp_path / name)
        scene = geomedsr.open(tmp_path / name, **options)
        geomedsr.write(geomedsr.upscale(scene, model or ct), tmp_path / out)
        assert broken(tmp_path / name, tmp_path / out, options.get("series")) == []
        return nibabel.load(tmp_path / out) if ".nii" in out else None

    return make


def stored(image: Any) -> np.ndarray:
    """The numbers in the file."""
    return np.asarray(image.dataobj.get_unscaled())
