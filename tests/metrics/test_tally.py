"""What evaluate tells besides PSNR and SSIM is what an independent computation on whole arrays gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import SAMPLE, save_tiny, texture

import geomedsr
from geomedsr import Scene
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.table import Evaluation
from geomedsr.models import Model, load_model


@pytest.fixture(autouse=True)
def no_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)


@pytest.fixture(scope="module")
def sample() -> Scene:
    return geomedsr.open(SAMPLE / "reference.tif")


def whole(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, input, and bicubic as stored, float64."""
    truth = scene.data.values[0].astype(float)
    bands, height, width = truth.shape
    coarse = np.rint(truth.reshape(bands, height // 4, 4, width // 4, 4).mean((2, 4)))
    base = F.interpolate(torch.from_numpy(coarse)[None], scale_factor=4, mode="bicubic")[0].numpy()
    return truth, coarse, np.clip(np.rint(base), 0, 65535)


@pytest.mark.parametrize("region", [768, 192])
def test_figures_are_those_of_whole_arrays(
    tiny: Model, sample: Scene, monkeypatch: pytest.MonkeyPatch, region: int
) -> None:
    monkeypatch.setattr("geomedsr.metrics.regions.REGION", region)
    bicubic, _, ours = evaluate(tiny, [sample]).scores
    truth, coarse, base = whole(sample)
    given = Scene.from_array(coarse.astype("uint16"), bands=sample.bands)
    made = geomedsr.upscale(given, tiny).data.values[0].astype(float)
    peak = sample.values.bounds()[1].reshape(4, 1, 1)
    for score, result in ((bicubic, base), (ours, made)):
        error = result - truth
        cosine = (result * truth).sum(0) / np.sqrt(np.square(result).sum(0) * np.square(truth).sum(0))
        assert score.figures["sam"].value == pytest.approx(
            np.degrees(np.arccos(np.minimum(cosine, 1))).mean(), rel=1e-5
        )
        relative = np.square(error).mean((1, 2)) / np.square(truth.mean((1, 2)))
        assert score.figures["ergas"].value == pytest.approx(25 * np.sqrt(relative.mean()), rel=1e-9)
        means = result.reshape(4, 72, 4, 96, 4).mean((2, 4))
        assert score.figures["drift"].value == pytest.approx(np.abs(means - coarse).mean(), abs=1e-9)
        for i, band in enumerate(sample.bands):
            decibels = 10 * np.log10(peak[i, 0, 0] ** 2 / np.square(error[i]).mean())
            assert score.bands[band.name]["psnr"].value == pytest.approx(decibels, abs=1e-6)
    assert ours.figures["drift"].value == 0
    for score, result in ((bicubic, base), (ours, made)):
        each = []
        for plane in result:
            for image in (plane, plane.T):
                step = np.abs(np.diff(image, axis=0)).mean(1)
                border = np.arange(len(step)) % 4 == 3
                each.append(step[border].mean() / step[~border].mean())
        assert score.figures["grid"].value == pytest.approx(max(each), rel=1e-9)
        for i, band in enumerate(sample.bands):
            assert score.bands[band.name]["grid"].value == pytest.approx(max(each[2 * i : 2 * i + 2]), rel=1e-9)

    missing, wrong, added = (np.abs(d) / peak for d in (base - truth, made - truth, made - base))
    looked = np.maximum(np.maximum(missing, wrong), added) > 0.02
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        im, om = wrong / missing, added / missing
        waste = 1 - np.exp(-0.8 * (im + om - 1))
        least = np.argmin([im + om * waste, om + im * waste, np.exp(-0.4 * im * om)], axis=0)
    clear = looked & (missing > 0)  # what was not missing is told apart in test_correctness
    expected = np.mean([(least[b] == 2)[clear[b]].mean() for b in range(4)])
    assert ours.figures["hallucination"].value == pytest.approx(100 * expected, abs=1)
    shares = sum(ours.figures[n].value for n in ("improvement", "omission", "hallucination"))
    assert shares == pytest.approx(100)
    assert bicubic.figures["omission"].value == 100


def test_intervals_are_those_of_resampled_squares(tiny: Model, sample: Scene) -> None:
    bicubic = evaluate(tiny, [sample.select([1])]).scores[0]
    truth, _, base = whole(sample.select([1]))
    squares = np.square(base - truth)[0].reshape(3, 96, 4, 96).sum((1, 3)).ravel()
    peak = sample.select([1]).values.bounds()[1].item()
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=1000)
    decibels = 10 * np.log10(peak**2 * 12 * 96**2 / (drawn @ squares))
    low, high = np.percentile(decibels, [2.5, 97.5])
    told = bicubic.figures["psnr"]
    assert (told.low, told.high) == pytest.approx((low, high), abs=1e-6)
    assert told.low < told.value < told.high
    gain = bicubic.figures["gain"]
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


@pytest.mark.filterwarnings("ignore:.*seen on one value scale:geomedsr.errors.SceneWarning")
def test_slices_are_what_is_drawn_of_a_series(tiny: Model) -> None:
    frames = np.stack([texture(1, 64, 96, seed=i) for i in range(3)])
    flat = np.full((1, 1, 64, 96), 1000, "uint16")
    bicubic = evaluate(tiny, [Scene.from_array(np.concatenate([frames, flat]))], value_range=(0, 4000)).scores[0]
    assert bicubic.figures["psnr"].value == np.inf  # of the flat slice, as ever
    bicubic = evaluate(tiny, [Scene.from_array(frames)], value_range=(0, 4000)).scores[0]
    each = [evaluate(tiny, [Scene.from_array(f)], value_range=(0, 4000)).scores[0] for f in frames]
    decibels = [s.psnr for s in each]
    assert bicubic.psnr == pytest.approx(np.mean(decibels))
    told = bicubic.figures["psnr"]
    assert min(decibels) <= told.low < told.value < told.high <= max(decibels)


def test_ct_has_no_ratios_and_one_band_no_angle(tiny: Model) -> None:
    array = texture(1, 64, 96, "int16", low=-200, high=300)
    ct = evaluate(tiny, [Scene.from_array(array, domain="CT")]).scores[0]
    assert not {"sam", "ergas"} & ct.figures.keys()
    raster = evaluate(tiny, [Scene.from_array(array.astype("uint16"))]).scores[0]
    assert "sam" not in raster.figures
    assert "ergas" in raster.figures


def test_a_sharpened_image_has_the_spectrum_of_the_reference(sample: Scene) -> None:
    from geomedsr.metrics.evaluate import compare_with

    truth, coarse, _ = whole(sample)
    given = Scene.from_array(coarse.astype("uint16"), bands=sample.bands)
    louder = Scene.from_array((truth * 1.1).astype("float64"), bands=sample.bands)
    told: Evaluation = compare_with(Scene.from_array(truth, bands=sample.bands), given, {"louder": louder})
    score = told.scores[-1]
    assert score.figures["spectrum"].value == pytest.approx(20 * np.log10(1.1), abs=1e-9)
    assert score.spectrum == pytest.approx([1.21] * 48)
    assert told.cases[0].places[0] == (0, told.cases[0].places[0][1])
    assert len(told.cases[0].places) == 2
    errors = {}
    base = np.rint(whole(sample)[2])
    for row in range(3):
        for col in range(4):
            part = (slice(None), slice(row * 96, row * 96 + 96), slice(col * 96, col * 96 + 96))
            errors[row, col] = np.square(base[part] - truth[part]).sum()
    row, col = max(errors, key=errors.get)
    assert (told.cases[0].places[0][1].row, told.cases[0].places[0][1].col) == (row * 96, col * 96)


def test_source_and_result_may_be_stored_in_different_units() -> None:
    """A source with an offset, a result and a reference in physical values, as a CT series and its volume are."""
    from geomedsr.metrics.evaluate import compare_with

    truth = texture(1, 96, 96, "int16", low=-900, high=300)
    made = truth + np.int16(10)
    coarse = np.rint(truth.reshape(1, 48, 2, 48, 2).mean((2, 4)))
    stored = Scene.from_array((coarse + 1024).astype("uint16"), bands=[geomedsr.Band("1", offset=-1024.0)])
    plain = Scene.from_array(coarse.astype("int16"))
    found = [compare_with(Scene.from_array(truth), s, {"made": Scene.from_array(made)}).scores for s in (stored, plain)]
    for one, two in zip(*found, strict=True):
        assert (one.psnr, one.ssim) == (pytest.approx(two.psnr), pytest.approx(two.ssim))
        assert one.figures["drift"].value == pytest.approx(two.figures["drift"].value)
    low, high = np.percentile(truth, (1, 99))
    assert found[0][-1].psnr == pytest.approx(20 * np.log10((high - low) / 10))


def test_a_model_called_as_a_peer_is_told_apart(tiny: Model, tmp_path: Path) -> None:
    named = load_model(save_tiny(tmp_path / "m.safetensors", name="bicubic"))
    scene = Scene.from_array(texture(1, 96, 96))
    one, other = (evaluate(model, [scene], against=["bicubic"]).scores for model in (named, tiny))
    assert [s.method for s in one] == ["bicubic", "bicubic (2)"]
    assert [(s.psnr, s.gain) for s in one] == [(s.psnr, s.gain) for s in other]
