"""ONNX files: what onnxruntime computes from them is what torch does, at any size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_tiny

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import ModelError
from geomedsr.models.export import export_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("architecture", "scale", "channels", "neighbours", "options"),
    [
        ("compact", 2, 4, 0, {"width": 8, "blocks": 2}),
        ("compact", 2, 2, 1, {"width": 8, "blocks": 1}),
        ("srresnet", 4, 1, 0, {"width": 8, "blocks": 1}),
        ("rrdb", 3, 1, 0, {"width": 8, "growth": 4, "blocks": 1}),
    ],
)
def test_onnxruntime_computes_the_same(
    tmp_path: Path, architecture: str, scale: int, channels: int, neighbours: int, options: dict[str, int]
) -> None:
    path = save_tiny(
        tmp_path / "m.safetensors",
        scale=scale,
        channels=channels,
        architecture=architecture,
        options=options,
        neighbours=neighbours,
    )
    model = geomedsr.load_model(path)
    out = tmp_path / "m.onnx"
    worst = export_onnx(model, out)
    image = torch.rand(2, channels * (2 * neighbours + 1), 21, 70)
    (got,) = onnxruntime.InferenceSession(str(out)).run(["sr"], {"lr": image.numpy()})
    with torch.inference_mode():
        wanted = model.module(image).numpy()
    assert got.shape == (2, channels, 21 * scale, 70 * scale)
    np.testing.assert_allclose(got, wanted, atol=max(10 * worst, 1e-5))
    assert float(np.abs(wanted).max()) > 0.1


def test_the_command_line_exports_a_shipped_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x4.onnx"
    assert main(["export", "satellite-x4", str(out), "--realism", "1"]) == 0
    assert "satellite-x4" in capsys.readouterr().out
    facts = json.loads({p.key: p.value for p in onnx.load(out).metadata_props}["geomedsr"])
    assert (facts["name"], facts["realism"], facts["operator"]) == ("satellite-x4", 1.0, "block-mean")
    assert facts["sha256"] == geomedsr.load_model("satellite-x4").sha256
    assert [p.name for p in tmp_path.iterdir()] == ["x4.onnx"]
    assert main(["export", "satellite-x4", str(out)]) == 2
    assert "which exists" in capsys.readouterr().err
    assert main(["export", "satellite-x4", str(tmp_path / "no" / "a.onnx")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["export", "nonsense", str(out), "--overwrite"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_file_that_computes_something_else_is_refused(
    tiny: geomedsr.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(onnxruntime.InferenceSession):  # type: ignore[misc]
        def run(self, *words: object) -> list[np.ndarray]:
            return [super().run(*words)[0] + 0.01]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Other)
    with pytest.raises(ModelError, match=r"an ONNX file 0\.01 away from torch"):
        export_onnx(tiny, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
