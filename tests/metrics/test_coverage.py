"""Calibration over units gives the coverage that it promises, and says what it cannot."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLE, save_tiny, texture
from intervals import SCORES, TYPICAL, headed, save_headed
from safetensors.torch import load_file
from scene_noise import relief

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.inference import process
from geomedsr.metrics.comparable import comparable
from geomedsr.metrics.coverage import Errors, Unit, calibrated, errors_of, left_out, scale_of
from geomedsr.metrics.interval_figures import interval_figures, spearman
from geomedsr.metrics.reduced import reduced
from geomedsr.models import load_model
from geomedsr.models.descriptor import NOMINALS
from geomedsr.scene.digest import digest
from geomedsr.training import load_recipe
from geomedsr.training.calibrate import of_scenes
from geomedsr.training.interval import train_interval

RNG = np.random.default_rng(2)


def normal(factor: float, count: int = 40_000, bands: int = 1) -> Errors:
    """Errors that are normal, with half-widths that are their standard deviations over a factor."""
    widths = [RNG.uniform(1, 5, count).astype("float32") for _ in range(bands)]
    return Errors(tuple(np.abs(RNG.normal(size=count)) * w * factor for w in widths), tuple(widths), False)


def test_factors_cover_what_they_should() -> None:
    found = normal(3.0).factors()[0]
    gauss = {0.5: 0.6745, 0.8: 1.2816, 0.9: 1.6449, 0.95: 1.96}
    for nominal, quantile in gauss.items():
        assert found[NOMINALS.index(nominal)] == pytest.approx(3 * quantile, rel=0.03)
    whole = Errors((np.array([0, 1, 2, 3, 10.0]),), (np.ones(5),), True)
    for nominal in NOMINALS:
        factor = whole.factors([nominal])[0, 0]
        assert (whole.errors[0] <= whole.stored(0, factor + 1e-9)).mean() >= nominal
    assert (whole.errors[0] <= whole.stored(0, 0.0)).mean() == 0.4  # a count is covered by any


def test_scales_make_units_alike() -> None:
    """Units differ in scale by ten; their self-tests tell it, all too high by a fifth: scores are 1 / 1.2."""
    units = [Unit(normal(f, bands=2), 1.2 * normal(f, bands=2).factors()) for f in (0.5, 1, 0.7, 1.4, 0.9)]
    scores, typical = calibrated(units)
    assert np.array(scores)[:, NOMINALS.index(0.9)] == pytest.approx(1 / 1.2, rel=0.05)
    assert typical[NOMINALS.index(0.9)] == pytest.approx(1.2 * 0.9 * 1.6449, rel=0.05)
    assert left_out(units, 0.9) == pytest.approx([0.9] * 5, abs=0.01)
    alone = [Unit(unit.errors, None) for unit in units]
    apart = left_out(alone, 0.9)
    assert max(apart) - min(apart) > 0.1  # without self-tests they are not alike
    far = [*units[:4], Unit(normal(100.0), normal(100.0).factors())]
    assert left_out(far, 0.9)[-1] < 0.5  # a scale is not believed whatever it says


def test_errors_are_those_of_the_pipeline(tmp_path: Path) -> None:
    model = headed(tmp_path, scale=2)
    scene = Scene.from_array(texture(2, 120, 132))
    fine, coarse = comparable(scene, model.descriptor)
    found = errors_of(fine, coarse, model)
    made = process(model, image=coarse, interval=0.9)
    truth = fine.data.values[0].astype(float)
    for band in range(2):
        error = np.abs(truth[band] - made["image"].data.values[0, band])
        np.testing.assert_allclose(np.sort(found.errors[band]), np.sort(error.ravel()), atol=1e-3)
        factor = made["image"].source.widening[band]
        stored = made["halfwidth"].data.values[0, band].ravel()
        assert np.abs(np.sort(found.stored(band, factor)) - np.sort(stored)).max() <= 1 + 0.01 * stored.max()
    assert scale_of(scene.crop(geomedsr.Window(0, 0, 30, 40)), model) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose head was trained for seconds on relief of different roughness."""
    folder = tmp_path_factory.mktemp("trained")
    base = save_tiny(folder / "tiny.safetensors", scale=2, size=0.05)
    scenes = []
    for seed in range(3):
        path = folder / f"{seed}.npy"
        np.save(path, relief(seed, 256))
        scenes.append({"path": str(path), "attribution": "none"})
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        json.dumps(
            {
                "name": "tiny",
                "version": "0.0.1",
                "generator": {"scale": 2, "options": {"width": 8, "blocks": 2}},
                "data": {"train": scenes},
                "content": {"steps": 1, "patch": 64},
                "interval": {"steps": 120, "batch": 4, "patch": 64, "hidden": 8},
            }
        )
    )
    path = train_interval(load_recipe(recipe), base, folder / "run", quiet=True)
    before, after = load_file(base), load_file(path)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert {key.split(".")[0] for key in after.keys() - before.keys()} == {"interval"}
    again = train_interval(load_recipe(recipe), base, folder / "again", quiet=True)
    assert all(torch.equal(load_file(again)[key], value) for key, value in after.items())
    return path


def test_new_scenes_are_covered(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for seed in range(10, 15):
        paths.append(tmp_path / f"{seed}.npy")
        np.save(paths[-1], relief(seed, 288))
    out = tmp_path / "calibrated.safetensors"
    assert main(["calibrate", "--model", str(trained), *map(str, paths), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "interval, of 5 scenes" in said
    assert "5 of 6 new scenes" in said
    model = load_model(out)
    facts = model.descriptor.interval
    assert facts is not None
    assert len(facts.scores) == 5
    assert facts.calibrated_on == tuple(digest(geomedsr.open(path)) for path in paths)
    others = [Scene.from_array(relief(seed, 288), name=str(seed)) for seed in range(20, 24)]
    figures = interval_figures(model, others, 0.9)
    for each in figures:
        assert 0.84 < each.coverage < 0.96
        assert each.worst > 0.75
        assert each.spearman > 0.3
        assert each.aurc < 0.95
        assert list(each.reliability) == sorted(each.reliability)
    wide = interval_figures(model, others, 0.9, conservative=True)
    assert all(more.width >= each.width for more, each in zip(wide, figures, strict=True))


def test_figures_are_those_of_written_results(trained: Path, tmp_path: Path) -> None:
    model = load_model(save_headed(tmp_path / "m.safetensors", scale=2))
    scene = Scene.from_array(texture(2, 120, 132), name="s")
    figures = {each.band: each for each in interval_figures(model, [scene], 0.9)}
    coarse = reduced(scene, 2, "block-mean")
    made = process(model, image=coarse, interval=0.9)
    error = np.abs(scene.data.values[0].astype(float) - made["image"].data.values[0])
    wide = made["halfwidth"].data.values[0].astype(float)
    for band, part in {"all": slice(None), "1": slice(0, 1), "2": slice(1, 2)}.items():
        assert figures[band].coverage == pytest.approx((error[part] <= wide[part]).mean(), abs=0.01)
        assert figures[band].width == pytest.approx(wide[part].mean(), rel=0.02)
    assert figures["all"].spearman == pytest.approx(spearman(wide.ravel(), error.ravel()), abs=0.02)


def test_ranks() -> None:
    assert spearman(np.array([1, 2, 3, 4.0]), np.array([10, 20, 30, 40.0])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3, 4.0]), np.array([9, 7, 5, 1.0])) == pytest.approx(-1)
    tied = spearman(np.array([1, 2, 2, 3, 5.0]), np.array([2, 1, 4, 4, 5.0]))
    assert tied == pytest.approx(7.25 / 9.5)  # of the ranks 1, 2.5, 2.5, 4, 5 and 2, 1, 3.5, 3.5, 5


def test_evaluate_tells_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    path, page = save_headed(tmp_path / "m.safetensors", scale=2), tmp_path / "page.html"
    words = ["evaluate", "--model", str(path), str(SAMPLE / "input.tif"), "--interval", "0.8"]
    assert main([*words, "--html", str(page)]) == 0
    assert "calibrated on 3 scenes" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "reliability of intervals" in text
    assert "worst quarter" in text
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["intervals"]
    assert [each["band"] for each in told] == ["all", "B02", "B03", "B04", "B08"]
    assert main([*words[:-1], "1"]) == 2
    assert "an interval of 1, expected a share of pixels" in capsys.readouterr().err
    assert main(["evaluate", "--model", str(save_tiny(tmp_path / "t.safetensors")), *words[3:]]) == 2
    assert "has no head for it" in capsys.readouterr().err


def test_too_few_or_trained_on_is_refused(
    trained: Path, raster: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(raster(relief(seed, 130)[None], f"{seed}.tif")) for seed in (1, 2, 3)]
    words = ["calibrate", "--model", str(trained), "--out", str(tmp_path / "c.safetensors")]
    assert main([*words, *paths[:2]]) == 2
    assert "got 2 units to calibrate an interval on, expected 3 or more" in capsys.readouterr().err
    known = trained.parents[1] / "1.npy"
    assert main([*words, *paths[:2], str(known)]) == 2
    assert "which the model was trained on, to calibrate it on" in capsys.readouterr().err
    assert main([*words, str(raster(texture(1, 20, 20), "small.tif")), *paths]) == 2
    assert "20 × 20 pixels for a self-test" in capsys.readouterr().err
    headless = save_tiny(tmp_path / "t.safetensors")
    assert main(["calibrate", "--model", str(headless), *paths]) == 2
    assert "has no head for it" in capsys.readouterr().err
    assert not (tmp_path / "c.safetensors").exists()
    with pytest.raises(InputError, match="got 0 units"):
        of_scenes(load_model(trained), [])


def test_digests_tell_scenes_apart() -> None:
    array = texture(1, 300, 300)
    first = digest(Scene.from_array(array))
    assert digest(Scene.from_array(array.copy())) == first
    array[0, 3, 3] += 1
    assert digest(Scene.from_array(array)) != first


def test_scores_on_cards_are_checked() -> None:
    from geomedsr.models.descriptor import IntervalFacts

    IntervalFacts(hidden=4, scores=SCORES, typical=TYPICAL)
    for wrong in ({"scores": ((1.0, 2.0),), "typical": TYPICAL}, {"scores": SCORES}):
        with pytest.raises(ValueError, match="scores of an interval"):
            IntervalFacts(hidden=4, **wrong)
