"""The page of an evaluation: whole by itself, with the figures and pictures of the evaluation."""

import base64
import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE, texture
from PIL import Image

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.geometry import Box
from geomedsr.metrics.evaluate import evaluate
from geomedsr.models import Model
from geomedsr.viewing.curves import spectra
from geomedsr.viewing.evaluation import evaluation_page
from geomedsr.viewing.stretch import limits, shades


@pytest.fixture(autouse=True)
def no_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)


def picture(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))


def test_it_shows_what_was_found(tiny: Model) -> None:
    scene = geomedsr.open(SAMPLE / "reference.tif").crop(geomedsr.Window(0, 0, 192, 96))
    result = evaluate(tiny, [scene])
    page = evaluation_page(result, tiny)
    assert not re.search(r"https?://(?!www\.w3\.org)|src=\"(?!data:)|<link", page)
    shown = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL))
    plain = re.sub(r"\s+", " ", shown)
    ours = result.scores[-1]
    low, high = ours.figures["psnr"].low, ours.figures["psnr"].high
    assert f"{ours.psnr:.2f} {low:.2f} … {high:.2f}" in plain
    assert f"B08, tiny {ours.bands['B08']['psnr'].value:.2f}" in plain
    assert result.words[0] in plain
    assert "prediction, not a measurement" in plain
    assert page.count("<polyline") == 3

    row = re.search(r'<div class="panels">(.*?)</div>', page, re.DOTALL)[1]
    names = re.findall(r"<figcaption>(.*?)</figcaption>", row)
    assert names == ["input", "bicubic", "tiny", "reference"]
    pictures = [picture(text) for text in re.findall(r'src="(data:[^"]+)"', row)]
    assert len(pictures) == 4 + 2  # the two errors
    case = result.cases[0]
    window = case.places[0][1]
    view = [2, 1, 0]
    truth = case.fine.crop(window).data.values[0][view].astype(float)
    ends = [limits(case.fine)[b] for b in view]
    np.testing.assert_array_equal(pictures[-1], shades(truth, np.ones(truth.shape, bool), ends))
    made = case.methods[-1].read(Box.of(0, window))[0][view]
    share = np.mean([np.abs(m - t) / (e[1] - e[0]) for m, t, e in zip(made, truth, ends, strict=True)], 0)
    errors = pictures[4]
    assert (errors[share > 0.25][:, :3] == (60, 0, 20)).all()
    assert (errors[share < 1e-4][:, :3] >= 254).all()


def test_series_show_their_slices(tiny_x2: Model) -> None:
    frames = np.stack([texture(1, 96, 96, "int16", seed=i, low=-500, high=500) for i in range(3)])
    result = evaluate(tiny_x2, [Scene.from_array(frames, domain="CT", name="<i>series")])
    page = evaluation_page(result, tiny_x2)
    assert re.search(r"columns 0–95, rows 0–95, slice [123]", page)
    assert "<i>series" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "SAM" not in page


def test_curves_lie_where_decibels_do() -> None:
    svg = spectra({"a": (1.0, 0.1, 0.001, 1e-9), "none": ()}, 2)
    points = re.search(r'points="([^"]+)"', svg)[1].split()
    heights = [float(p.split(",")[1]) for p in points]
    assert heights == pytest.approx([48, 96, 192, 240])  # of 50 dB on 240 pixels: 0, −10, −30, and cut at −40
    assert [float(p.split(",")[0]) for p in points] == pytest.approx([46 + 140 * k for k in (1, 2, 3, 4)])
    assert 'x1="326.0" x2="326.0"' in svg  # half of the way to the reference's own Nyquist frequency
    assert spectra({"none": ()}, 2) == ""


def test_on_the_command_line(tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    geomedsr.write(Scene.from_array(texture(1, 96, 96)), tmp_path / "s.tif")
    page = tmp_path / "report.html"
    words = [
        "evaluate",
        "--model",
        str(tiny_path),
        str(tmp_path / "s.tif"),
        "--against",
        "bicubic",
        "--quiet",
        "--html",
    ]
    assert main([*words, str(page)]) == 0
    assert "<title>tiny 0.0.1, measured</title>" in page.read_text(encoding="utf-8")
    for more, said in (
        ([str(page)], "which exists"),
        ([str(tmp_path / "page.txt")], "the name page.txt, expected one in .html"),
        (["/nowhere/p.html"], "in a folder that exists and can be written"),
    ):
        assert main([*words, *more]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert said in captured.err
    assert main([*words, str(page), "--overwrite"]) == 0
