"""What the self-test tells is what an independent computation gives, and what it cannot do it refuses in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import SAMPLE, save_tiny, texture
from intervals import two_dials
from toys import GUIDED, stack, toy

import geomedsr
from geomedsr import Band, Scene
from geomedsr.cli import main
from geomedsr.errors import GeomedsrError
from geomedsr.inference import process
from geomedsr.metrics import psnr
from geomedsr.metrics.comparable import boxes, comparable
from geomedsr.metrics.selftest import differences, selftest
from geomedsr.models import Model, load_model
from geomedsr.models.descriptor import Usual
from geomedsr.viewing.report import report

CT_SAMPLE, MR_SAMPLE = SAMPLE.parent / "ct_abdomen", SAMPLE.parent / "mr_thigh"


def by_hand(scene: Scene, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The gain of each band over bicubic, and the mean squared error, over the whole scene."""
    truth, scale = scene.data.values[0], model.descriptor.scale
    bands, height, width = truth.shape
    coarse = np.rint(truth.reshape(bands, height // scale, scale, width // scale, scale).mean((2, 4)))
    bicubic = F.interpolate(torch.from_numpy(coarse)[None], scale_factor=scale, mode="bicubic")[0].numpy()
    given = Scene.from_array(coarse.astype(truth.dtype), bands=scene.bands, scale=scene.values)
    made = geomedsr.upscale(given, model).data.values[0]
    span = np.ones(bands)
    base = np.clip(np.rint(bicubic), 0, 65535).astype(truth.dtype)
    gains = psnr(made, truth, span) - psnr(base, truth, span)
    return gains, np.square(made.astype(float) - truth).mean((1, 2))


def test_its_gain_is_that_of_whole_arrays(tiny: Model) -> None:
    scene = geomedsr.open(SAMPLE / "reference.tif")
    found = selftest(scene, tiny)
    gains, squares = by_hand(scene, tiny)
    np.testing.assert_allclose(list(found.gains.values()), gains, atol=1e-6)
    assert found.gain.value == pytest.approx(gains.mean(), abs=1e-6)
    assert found.gain.low is not None
    assert found.gain.low < found.gain.value < found.gain.high
    assert found.error == pytest.approx(np.sqrt(squares).mean(), rel=1e-6)
    assert found.values == np.prod(scene.shape)
    assert found.grid > 1
    assert found.improvement + found.omission + found.hallucination == pytest.approx(100)


def test_of_a_large_scene_windows_all_over_it_are_compared(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.selftest.VALUES", 200_000)
    scene = Scene.from_array(texture(1, 900, 1501))
    places = boxes(scene, 4, False, 200_000)
    assert sum(np.prod(box.shape) for box in places) <= 200_000
    assert {box.shape for box in places} == {(1, 192, 192)}
    assert all(n % 4 == 0 for box in places for n in (*box.start, *box.stop[1:]))
    rows, cols = ([box.start[axis] for box in places] for axis in (1, 2))
    assert max(rows) - min(rows) > 300
    assert max(cols) - min(cols) > 600
    found = selftest(scene, tiny)
    assert found.windows == len(places) == 5
    assert found.values == sum(np.prod(box.shape) for box in places)
    # A window is seen with its surroundings, so it counts as in the whole.
    whole = scene.crop(geomedsr.Window(0, 0, 1500, 900))
    coarse = np.rint(whole.data.values.reshape(1, 1, 225, 4, 375, 4).mean((3, 5))).astype("uint16")
    made = geomedsr.upscale(Scene.from_array(coarse[0], scale=whole.values), tiny).data.values
    errors = []
    for box in places:
        there = (slice(0, 1), slice(None), *(slice(a, b) for a, b in zip(box.start[1:], box.stop[1:], strict=True)))
        errors.append(np.square(made[there].astype(float) - whole.data.values[there]))
    assert found.error == pytest.approx(np.sqrt(np.mean(errors)), rel=1e-6)


def test_windows_are_found_where_data_are(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.selftest.VALUES", 100_000)
    array = texture(1, 1600, 1600)
    valid = np.zeros(array.shape, bool)
    valid[:, 1280:, :360] = True
    found = selftest(Scene.from_array(array, valid=valid), tiny)
    assert found.windows >= 1
    assert 30_000 < found.values < 100_000
    with pytest.raises(GeomedsrError, match="no pixel counts for a self-test, expected data"):
        selftest(Scene.from_array(array, valid=np.zeros_like(valid)), tiny)
    small = Scene.from_array(np.zeros((1, 80, 90), "uint16"), bands=[Band("b", nodata=0)])
    with pytest.raises(GeomedsrError, match="no pixel counts for a self-test"):
        selftest(small, tiny)


def test_slices_are_compared_whole_where_the_operator_needs_them() -> None:
    ct, mr = (selftest(geomedsr.open(path)) for path in (CT_SAMPLE, MR_SAMPLE))
    assert (ct.operator, ct.units, ct.model[:5]) == ("block-mean", "HU", "ct-x2")
    assert (mr.operator, mr.model[:5]) == ("k-space-crop", "mr-x2")
    assert 3 < ct.gain.value < 9
    assert 0.3 < mr.gain.value < 3
    assert boxes(geomedsr.open(MR_SAMPLE), 2, True, 1)[0].shape[1:] == geomedsr.open(MR_SAMPLE).shape[2:]


def test_what_cannot_be_tested_is_told_in_a_line(tiny: Model) -> None:
    scene = geomedsr.open(SAMPLE / "input.tif")
    small = scene.crop(geomedsr.Window(0, 0, 63, 70))
    with pytest.raises(GeomedsrError, match=r"63 × 70 pixels for a self-test .* at least 64 a side"):
        selftest(small, tiny)
    for model, why in (
        (toy(ports=GUIDED, scale=2), "needs guide beside the image"),
        (toy(frame_factor=2), "makes new slices"),
        (toy(), "makes no image finer"),
    ):
        with pytest.raises(GeomedsrError, match=why):
            selftest(stack(4) if model.descriptor.frame_factor > 1 else scene, model)


def test_realism_is_that_of_the_result() -> None:
    scene = geomedsr.open(SAMPLE / "reference.tif")
    faithful, lifelike = (selftest(scene, "satellite-x4", realism=amount) for amount in (0, 1))
    assert (faithful.realism, lifelike.realism) == (0, 1)
    assert faithful.gain.value > lifelike.gain.value + 0.3


def test_what_is_expected_follows_from_how_far_self_tests_were_off(tiny: Model) -> None:
    scene = geomedsr.open(SAMPLE / "reference.tif")
    plain = selftest(scene, tiny)
    assert plain.expected is None
    usual = Usual(told_by=(-0.5, -0.1, 0.2, -0.3, -0.8))
    card = tiny.descriptor.model_copy(update={"usual": usual})
    found = selftest(scene, replace(tiny, descriptor=card))
    assert found.gain == plain.gain
    assert found.expected is not None
    assert found.expected.value == pytest.approx(plain.gain.value + 0.3)
    assert (found.expected.low, found.expected.high) == pytest.approx((plain.gain.value - 0.2, plain.gain.value + 0.8))
    assert f"{found.expected.value:+.2f} dB" in repr(found)
    few = tiny.descriptor.model_copy(update={"usual": Usual(told_by=(1.0,) * 4)})
    assert selftest(scene, replace(tiny, descriptor=few)).expected is None


def test_how_far_it_is_off_is_measured_one_factor_down(tiny_x2: Model) -> None:
    scene = geomedsr.open(SAMPLE / "reference.tif")
    small = scene.crop(geomedsr.Window(0, 0, 50, 50))
    (off,) = differences(tiny_x2, [scene, small])
    fine, coarse = comparable(scene, tiny_x2.descriptor)
    assert off == pytest.approx(selftest(coarse, tiny_x2).gain.value - selftest(fine, tiny_x2).gain.value)


def test_upscale_tells_it_and_refuses_before_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = str(SAMPLE / "input.tif"), str(save_tiny(tmp_path / "tiny.safetensors"))
    result = tmp_path / "sr.tif"
    assert main(["upscale", path, str(result), "--model", model, "--self-test", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["self_test"]
    expected = selftest(geomedsr.open(path), load_model(model))
    assert told["gain"]["value"] == pytest.approx(expected.gain.value)
    assert "finer than the scene's own pixels" in told["limits"]
    assert main(["selftest", path, "--model", model]) == 0
    assert f"{expected.gain.value:+.2f} dB" in capsys.readouterr().out
    words = ["upscale", path, str(tmp_path / "part.tif"), "--model", model, "--self-test", "--window", "0,0,30,30"]
    assert main(words) == 2
    assert "30 × 30 pixels for a self-test" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sr.tif", "tiny.safetensors"]


def test_what_is_refused_anyway_is_refused_before_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("geomedsr.metrics.selftest.selftest", None)
    path, model = str(SAMPLE / "input.tif"), str(save_tiny(tmp_path / "tiny.safetensors"))
    words = ["upscale", path, str(tmp_path / "sr.tif"), "--model", model, "--self-test"]
    for more, said in ((["--interval", "0.9"], "no head"), (["--invented-to", "i.tif"], "without --interval")):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err


def test_reports_hold_it_where_the_model_is_here(tmp_path: Path) -> None:
    source = SAMPLE / "input.tif"
    scene = geomedsr.open(source)
    geomedsr.write(geomedsr.upscale(scene, "satellite-x4"), tmp_path / "sr.tif")
    made = report(source, tmp_path / "sr.tif", tmp_path / "r.html")
    expected = selftest(scene, "satellite-x4")
    assert made.tested == expected
    assert f"{expected.gain.value:+.2f} dB" in (tmp_path / "r.html").read_text(encoding="utf-8")
    other = load_model(save_tiny(tmp_path / "satellite-x4.safetensors", name="satellite-x4"))
    geomedsr.write(geomedsr.upscale(scene, other), tmp_path / "other.tif")
    assert "not the one installed here" in str(report(source, tmp_path / "other.tif", tmp_path / "o.html").tested)


def test_with_intervals_it_tells_coverage_and_what_is_made_up(tmp_path: Path) -> None:
    model = two_dials(tmp_path)
    scene = Scene.from_array(texture(2, 120, 132), name="s")
    faithful, lifelike = (selftest(scene, model, realism=amount) for amount in (0, 1))
    fine, coarse = comparable(scene, model.descriptor)
    around = process(model, image=coarse, realism=0, precision="float32", interval=0.9)
    away = np.abs(fine.data.values - around["image"].data.values.astype(float))
    assert faithful.coverage == lifelike.coverage
    assert faithful.coverage == pytest.approx((away <= around["halfwidth"].data.values).mean(), abs=0.01)
    assert faithful.invented is None
    made = process(model, image=coarse, realism=1, precision="float32", interval=0.9)["invented"].data.values
    assert lifelike.invented == pytest.approx(made.mean(), abs=0.01)
    assert 0.05 < made.mean() < 0.95
    assert f"{100 * (lifelike.invented or 0):.1f} % of the pixels leave" in repr(lifelike)
    assert f"{faithful.coverage:.3f} of the pixels" in repr(faithful)
    bare = selftest(scene, load_model(save_tiny(tmp_path / "bare.safetensors", scale=2)))
    assert (bare.coverage, bare.invented) == (None, None)
    assert "coverage" not in repr(bare)
