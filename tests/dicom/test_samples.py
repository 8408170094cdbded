"""The shipped models on the shipped slices: every promise kept, and better than interpolation."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

import geomedsr
from dicom.conftest import errors, files
from geomedsr.cli import main
from geomedsr.metrics.evaluate import evaluate

ROOT = Path(__file__).parents[2]
SAMPLES = {"ct_abdomen": ("ct-x2", 4), "mr_thigh": ("mr-x2", 2)}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_goes_through_the_command_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = ROOT / "examples" / name, tmp_path / "out"
    model, count = SAMPLES[name]
    assert main(["upscale", str(source), str(out), "--json"]) == 0  # the model follows the modality
    facts = json.loads(capsys.readouterr().out)
    assert facts["provenance"]["GEOMEDSR_MODEL"] == model
    assert len(files(out)) == count
    assert main(["verify", str(source), str(out)]) == 0, capsys.readouterr().out
    for before, after in zip(sorted(source.glob("*.dcm")), files(out), strict=True):
        if shutil.which("dciodvfy"):
            assert errors(after) - errors(before) == set()
    images = []
    for folder in (source, out):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        images.append(reader.Execute())
    before, after = images
    world = before.TransformContinuousIndexToPhysicalPoint((100.25, 50.5, 1))
    np.testing.assert_allclose(after.TransformPhysicalPointToContinuousIndex(world), (201, 101.5, 1), atol=0.01)
    if name == "ct_abdomen":
        hu, finer = (sitk.GetArrayFromImage(i).astype(int) for i in images)
        np.testing.assert_array_equal(finer.reshape(4, 512, 2, 512, 2).sum((2, 4)), 4 * hu)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_models_beat_interpolation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)  # no VGG-19 here
    model = geomedsr.load_model(SAMPLES[name][0])
    bicubic, lanczos, ours, *_ = evaluate(model, [geomedsr.open(ROOT / "examples" / name)]).scores
    assert ours.psnr > max(bicubic.psnr, lanczos.psnr) + 0.5
    assert ours.ssim > max(bicubic.ssim, lanczos.ssim)


def test_a_viewer_that_is_not_ours_decodes_the_result(tmp_path: Path) -> None:
    if shutil.which("dcmj2pnm") is None:
        pytest.skip("dcmj2pnm (Debian's dcmtk) is not installed")
    sr = geomedsr.upscale(geomedsr.open(ROOT / "examples" / "mr_thigh"))
    geomedsr.write(sr, tmp_path / "out")
    for frame, path in enumerate(files(tmp_path / "out")):
        picture = tmp_path / "a.pgm"
        subprocess.run(["dcmj2pnm", "+Wm", "+op", path, picture], check=True)
        shown = np.fromfile(picture, np.uint8)[-768 * 768 :].reshape(768, 768).astype(float)
        values = sr.data.values[frame, 0].astype(float)
        expected = (values - values.min()) / np.ptp(values) * 255
        assert np.abs(shown - expected).max() <= 1.5
