"""Figures of fitness are what was put in; corrupted scenes are told from clean ones; and nothing is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import SAMPLE, save_tiny, texture
from safetensors.torch import load_file

import geomedsr
from geomedsr import Band, Scene
from geomedsr.cli import main
from geomedsr.degradations.blur import Blur, Ellipse
from geomedsr.degradations.jpeg import JPEG
from geomedsr.errors import SceneWarning
from geomedsr.fitness import ABOUT, fitness, ranges_of
from geomedsr.fitness.judging import fitness_for
from geomedsr.models import available, load_model

RNG = np.random.default_rng(4)


def hills(side: int = 300, seed: int = 0, fall: float = 1.5) -> np.ndarray:
    """Smooth random relief of unit variance, whose spectrum falls as natural images' do; ``(y, x)``."""
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency)
    radius[0, 0] = 1
    random = np.random.default_rng(seed).normal(size=(side, side))
    made = np.fft.ifft2(np.fft.fft2(random) * radius**-fall).real
    return (made - made.mean()) / made.std()


def figures(values: np.ndarray, **more: object) -> dict[str, float]:
    return dict(fitness(Scene.from_array(values, **more)).figures)


def test_noise_is_what_was_added() -> None:
    for share in (0.5, 2, 8):
        array = 1000 + 200 * hills(seed=1, fall=3)
        span = np.subtract(*np.percentile(array, (99, 1)))
        noisy = array + RNG.normal(0, share / 100 * span, array.shape)
        own = np.subtract(*np.percentile(noisy, (99, 1)))
        assert figures(noisy)["noise"] == pytest.approx(share * span / own, rel=0.12)
    assert figures(1000 + 200 * hills(seed=1, fall=3))["noise"] < 0.1


def test_traces_of_resampling_and_of_blocks() -> None:
    array = np.rint(1000 + 200 * hills(seed=2))
    clean = figures(array.astype("uint16"))
    assert clean["repeats"] < 1.1
    assert clean["blocks"] < 1.1
    for factor in (2, 3, 4):
        assert figures(array[:128, :128].repeat(factor, 0).repeat(factor, 1).astype("uint16"))["repeats"] == 100
    coded = JPEG().apply(torch.from_numpy((array - 600) / 900)[None, None], 30)[0, 0].numpy()
    assert figures(coded)["blocks"] > 1.16
    small = F.interpolate(torch.from_numpy(array)[None, None], scale_factor=2, mode="bicubic")[0, 0].numpy()
    assert figures(small)["fall"] < clean["fall"] - 4
    assert figures(small)["edge"] < clean["edge"] - 10


def test_values() -> None:
    array = np.rint(1000 + 200 * hills(seed=3)).astype("uint16")
    clean = figures(array)
    assert clean["saturated"] < 0.01
    assert clean["gaps"] == 0
    assert clean["levels"] == pytest.approx(np.subtract(*np.percentile(array, (99, 1))), abs=1)
    assert figures(np.minimum(array, np.percentile(array, 90).astype("uint16")))["saturated"] == pytest.approx(
        10, abs=1
    )
    assert figures(np.maximum(array, np.percentile(array, 20).astype("uint16")))["bottom"] == pytest.approx(20, abs=1)
    assert figures(array // 4 * 4)["gaps"] == pytest.approx(75, abs=1)
    assert "gaps" not in figures(array.astype("float32"))


def test_zero_filling_and_kernels() -> None:
    # An object with a hard edge and the scanner's noise, whose k-space was measured in part.
    y, x = np.mgrid[:256, :256]
    array = 300 * (np.hypot(y - 128, x - 128) < 100) + 100 * hills(256, 4) + 500 + RNG.normal(0, 20, (256, 256))
    assert figures(array, domain="MR")["zero_filled"] == 0
    for share in (25, 50):
        space = np.fft.fftshift(np.fft.fft2(array))
        empty = int(256 * share / 200)
        space[:empty], space[256 - empty :] = 0, 0
        filled = np.fft.ifft2(np.fft.ifftshift(space)).real
        assert figures(filled, domain="MR")["zero_filled"] == pytest.approx(share, abs=6)
    white = 40 + RNG.normal(0, 20, (256, 256))
    smooth = Blur().apply(torch.from_numpy(white)[None, None], Ellipse(0.6, 0.6, 0))[0, 0].numpy()
    ct = {"domain": "CT", "bands": [Band("1", units="HU")]}
    assert figures(white, **ct)["kernel"] == pytest.approx(0, abs=0.7)
    assert figures(smooth, **ct)["kernel"] < -4
    assert not {"kernel", "zero_filled"} & figures(white).keys()


def corrupted(array: np.ndarray) -> dict[str, tuple[np.ndarray, set[str]]]:
    """Corruptions of ``(band, y, x)``, and the figures of which one at least should tell."""
    low, high = np.percentile(array, (1, 99), axis=(1, 2), keepdims=True)
    scaled = torch.from_numpy((array - low) / (high - low))[None]

    def back(tensor: torch.Tensor) -> np.ndarray:
        return np.clip(np.rint(tensor[0].numpy() * (high - low) + low), 0, 65535).astype(array.dtype)

    half = array[:, :144, :192]
    noisy = scaled + torch.from_numpy(RNG.normal(0, 0.05, scaled.shape))
    return {
        "nearest": (half.repeat(2, 1).repeat(2, 2), {"repeats"}),
        "cubic": (back(F.interpolate(scaled[..., :144, :192], scale_factor=2, mode="bicubic")), {"edge", "fall"}),
        "blur": (back(Blur().apply(scaled, Ellipse(1, 1, 0))), {"edge", "fall"}),
        "noise": (back(noisy), {"noise"}),
        "jpeg": (back(JPEG().apply(scaled, 30)), {"blocks"}),
        "clipped": (
            np.minimum(array, np.percentile(array, 90, axis=(1, 2), keepdims=True)).astype("uint16"),
            {"saturated"},
        ),
    }


def test_corruptions_of_a_clean_scene_are_told() -> None:
    scene, card = geomedsr.open(SAMPLE / "reference.tif"), load_model("satellite-x4").descriptor
    assert fitness_for(scene, card).warning is None
    for name, (array, expected) in corrupted(scene.data.values[0]).items():
        found = fitness_for(Scene.from_array(array, bands=scene.bands), card)
        assert expected & set(found.unusual), name
        assert found.warning is not None
        assert "\n" not in found.warning
        first = ABOUT[found.unusual[0]]
        assert first.words(found.figures[found.unusual[0]]) in found.warning
        assert first.words_of(card.usual.figures[found.unusual[0]]) in found.warning


def test_parts_of_a_clean_scene_are_usual() -> None:
    scene, card = geomedsr.open(SAMPLE / "reference.tif"), load_model("satellite-x4").descriptor
    for side in (48, 96, 200):
        for col in range(0, 384 - side, side):
            assert fitness_for(scene.crop(geomedsr.Window(col, 40, side, side)), card).warning is None
    given = scene.with_range(0, 60000)
    assert fitness_for(given, card).figures == fitness_for(scene, card).figures


def test_what_cannot_be_measured_is_left_out() -> None:
    assert figures(np.full((1, 100, 100), 7, "uint16"))["saturated"] == 0
    assert figures(np.zeros((1, 20, 20), "uint16")) == {}
    empty = Scene.from_array(np.zeros((1, 200, 200), "uint16"), bands=[Band("b", nodata=0)])
    assert fitness(empty).figures == {}
    assert fitness(empty, "m", {"noise": (0, 1)}).warning is None
    holes = np.rint(1000 + 200 * hills(600, 5)).astype("uint16")[None]
    valid = np.zeros(holes.shape, bool)
    valid[:, 430:, 400:] = True
    found = figures(holes, valid=valid)
    assert found["noise"] == pytest.approx(figures(holes)["noise"], rel=0.5)


def test_a_few_scenes_say_little() -> None:
    """A model of two scenes has narrow ranges; fixed limits keep them from making all others unusual."""
    narrow = ranges_of([fitness(Scene.from_array(1000 + 200 * hills(seed=s))) for s in (6, 7)])
    array = 1000 + 200 * hills(seed=8)
    other = Scene.from_array(array + RNG.normal(0, 0.01 * np.ptp(array), array.shape))
    found = fitness(other, "m", narrow)
    assert found.figures["noise"] > 1.4 * narrow["noise"][1]
    assert found.unusual == []


def test_upscale_warns_in_a_line_and_info_prints_all(
    raster: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array = geomedsr.open(SAMPLE / "reference.tif").data.values[0]
    path = raster(corrupted(array)["jpeg"][0])
    words = ["upscale", str(path), str(tmp_path / "sr.tif"), "--window", "0,0,40,40", "--overwrite"]
    assert main(words) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert "unlike what satellite-x4 knows: steps across every 8th row" in line
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*words, "--json"]) == 0
    assert "blocks" in json.loads(capsys.readouterr().out)["unusual"]
    assert main(["info", str(path), "--fitness"]) == 0
    told = capsys.readouterr().out
    assert told.count("usual") >= 9
    assert "UNUSUAL" in told
    assert main(["info", str(SAMPLE.parent / "ct_abdomen"), "--fitness", "--json"]) == 0
    assert "kernel" in json.loads(capsys.readouterr().out)["figures"]


def test_python_warns_too_and_not_of_results() -> None:
    array = geomedsr.open(SAMPLE / "reference.tif").data.values[0]
    odd, clean = Scene.from_array(corrupted(array)["jpeg"][0]), Scene.from_array(array)
    with pytest.warns(SceneWarning, match="unlike what satellite-x4 knows: steps across every 8th row") as told:
        made = geomedsr.upscale(odd)
    assert len(told) == 1
    assert told[0].filename == __file__
    geomedsr.upscale(odd, fitness=False)
    geomedsr.upscale(clean)
    geomedsr.upscale(made, "satellite-x2")


def test_calibrate_writes_ranges_and_leaves_weights(
    raster: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_tiny(tmp_path / "tiny.safetensors")
    before = load_file(model)
    scenes = [
        {"path": str(raster(1000 + 200 * hills(seed=s)[None], f"{s}.tif")), "attribution": "none"} for s in (1, 2, 3)
    ]
    recipe = {
        "name": "tiny",
        "version": "1",
        "data": {"train": scenes[:2], "validation": scenes[2:]},
        "content": {"steps": 1},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    assert main(["calibrate", "--model", str(model), str(path)]) == 0
    assert "3 scenes" in capsys.readouterr().out
    after = load_file(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    usual = load_model(model).descriptor.usual
    assert usual.scenes == 3
    assert usual.figures == ranges_of([fitness(geomedsr.open(scene["path"])) for scene in scenes])
    wrong = replace_name(path, "other")
    assert main(["calibrate", "--model", str(model), str(wrong)]) == 2
    assert "got the recipe other for the model tiny" in capsys.readouterr().err
    assert main(["calibrate", "--model", "satellite-x4", str(path)]) == 2
    assert "no --out for the shipped model satellite-x4" in capsys.readouterr().err
    assert main(["calibrate", "--model", str(model), str(path), "--out", str(model)]) == 2
    assert "which exists" in capsys.readouterr().err


def replace_name(path: Path, name: str) -> Path:
    changed = path.with_name(f"{name}.yaml")
    changed.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"name": name}))
    return changed


def test_cards_without_ranges_stay_as_they_were() -> None:
    card = load_model(available()["pan-x2"]).descriptor
    assert card.usual.figures == {}
    assert "usual" not in card.model_dump(mode="json")
    ranged = card.model_copy(update={"usual": load_model("satellite-x4").descriptor.usual})
    assert ranged.model_validate_json(ranged.model_dump_json()) == ranged
    assert replace(load_model("pan-x2"), descriptor=ranged).descriptor.usual.scenes == 23


def test_classes_alone_are_carried_over_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = Scene.from_array(texture(1, 24, 20, "uint8") % 7, bands=[Band("scl", kind="nearest")])
    geomedsr.write(classes, tmp_path / "in.tif", progress=False)
    words = ["upscale", str(tmp_path / "in.tif"), str(tmp_path / "out.tif"), "--nearest", "1", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["unusual"] == []
