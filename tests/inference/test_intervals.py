"""Half-widths beside results: the image stays as it is, tiles are exact, and what cannot be is told in a line."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLE, save_tiny, texture
from intervals import SCORES, TYPICAL, headed, save_headed, two_dials

import geomedsr
from geomedsr import Band, Scene, Window
from geomedsr.cli import main
from geomedsr.errors import InputError, ModelError
from geomedsr.inference import process
from geomedsr.metrics.coverage import scale_of
from geomedsr.models import Model, load_model
from geomedsr.models.descriptor import NOMINALS

CT_SAMPLE = SAMPLE.parent / "ct_abdomen"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return headed(tmp_path_factory.mktemp("headed"), scale=2)


def scene(**more: object) -> Scene:
    return Scene.from_array(texture(2, 60, 72, **more), bands=[Band("B04"), Band("B08")])


def at(nominal: float, values: object) -> np.ndarray:
    return np.array([np.interp(nominal, NOMINALS, row) for row in np.atleast_2d(values)])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_image_does_not_change_by_a_bit(model: Model, precision: str) -> None:
    plain = geomedsr.upscale(scene(), model, precision=precision)
    wide = geomedsr.upscale(scene(), model, precision=precision, interval=0.9)
    np.testing.assert_array_equal(wide.data.values[:, :2], plain.data.values)
    assert wide.source.prediction.tile == plain.source.tile
    assert [band.name for band in wide.bands] == ["B04", "B08", "B04_halfwidth", "B08_halfwidth"]
    assert (model.descriptor.ports.outputs, model.interval) == ((), False)


def test_tiles_equal_the_untiled_result(model: Model) -> None:
    whole, tiled = (geomedsr.upscale(scene(), model, precision="float32", interval=0.8, tile=t) for t in (99, 9))
    np.testing.assert_array_equal(tiled.data.values, whole.data.values)
    part = whole.crop(Window(11, 21, 40, 30)).data.values
    np.testing.assert_array_equal(part, whole.data.values[..., 21:51, 11:51])
    picked = whole.select(["B08_halfwidth", "B04"]).data.values
    np.testing.assert_array_equal(picked, whole.data.values[:, [3, 0]])


def test_they_are_the_heads_times_score_and_scale_rounded_up(model: Model) -> None:
    image = scene()
    made = process(model, image=image, precision="float32", interval=0.9)["halfwidth"]
    radius = model.radius
    seen = image.tensor(Window(-radius, -radius, 72 + 2 * radius, 60 + 2 * radius)).transpose(0, 1)
    planes = model.with_interval().module.planes({"image": seen})["halfwidth"]
    raw = torch.nn.functional.pixel_shuffle(planes[:, 0], 2)[:, 0].double().numpy()
    scale = at(0.9, scale_of(image, model, TYPICAL))
    factors = made.source.prediction.widening
    np.testing.assert_allclose(factors, np.median(at(0.9, SCORES)) * scale, rtol=5e-3)
    assert all(float(f"{factor:.3g}") == factor for factor in factors)
    exact = raw * image.values.bounds()[1][0] * np.array(factors)[:, None, None]
    got = made.data.values[0]
    assert got.dtype == image.dtype
    assert ((got - exact > -0.01) & (got - exact < 1.01)).all()
    assert got.min() >= 1
    assert len(np.unique(got)) > 20
    told = made.provenance
    assert (told["GEOMEDSR_INTERVAL"], told["GEOMEDSR_INTERVAL_RULE"]) == ("0.9", "median score of 3 scenes")
    wider = process(model, image=image, precision="float32", interval=0.9, conservative=True)["halfwidth"]
    assert wider.provenance["GEOMEDSR_INTERVAL_RULE"] == "largest score of 3 scenes"
    assert wider.data.values.mean() == pytest.approx(1.6 * got.mean(), rel=0.05)
    more = process(model, image=image, precision="float32", interval=0.97)["halfwidth"]
    assert (more.data.values >= got).all()


def test_floats_are_covered_and_nodata_stays(model: Model) -> None:
    array = texture(1, 60, 72, "float32")
    array[:, 10:30, 20:50] = -9999
    image = Scene.from_array(array, bands=[Band("b", nodata=-9999)])
    wide = geomedsr.upscale(image, model, interval=0.9)
    valid = wide.valid.values[0]
    np.testing.assert_array_equal(valid[0], valid[1])
    assert not valid[1, 20:60, 40:100].any()
    assert (wide.data.values[0, 1][valid[1]] > 0).all()
    empty = Scene.from_array(np.zeros((1, 60, 60), "uint16"), bands=[Band("b", nodata=0)])
    nothing = geomedsr.upscale(empty, model, interval=0.9)
    assert nothing.provenance["GEOMEDSR_INTERVAL_SCALE"] == "typical"
    assert not nothing.valid.values.any()


def test_bands_carried_over_have_none(model: Model) -> None:
    values = np.concatenate([texture(2, 60, 72), texture(1, 60, 72, low=0, high=5)])
    image = Scene.from_array(values, bands=[Band("a"), Band("b"), Band("class", "nearest")]).select([3, 1, 2])
    wide = geomedsr.upscale(image, model, interval=0.9)
    assert [band.name for band in wide.bands] == ["class", "a", "b", "a_halfwidth", "b_halfwidth"]
    plain = geomedsr.upscale(image, model)
    np.testing.assert_array_equal(wide.data.values[:, :3], plain.data.values)
    own = process(model, image=image, interval=0.9)["halfwidth"]
    np.testing.assert_array_equal(wide.data.values[:, 3:], own.data.values)


def test_at_other_realism_they_are_around_the_faithful_result(tmp_path: Path) -> None:
    model, image = two_dials(tmp_path), scene()
    faithful = geomedsr.upscale(image, model, realism=0, precision="float32", interval=0.9)
    lifelike = geomedsr.upscale(image, model, realism=1, precision="float32", interval=0.9)
    plain = geomedsr.upscale(image, model, realism=1, precision="float32").data.values
    np.testing.assert_array_equal(lifelike.data.values[:, :2], plain)
    np.testing.assert_array_equal(lifelike.data.values[:, 2:], faithful.data.values[:, 2:])
    away = np.abs(plain.astype(int) - faithful.data.values[:, :2])
    share = (away > faithful.data.values[:, 2:]).mean()
    assert 0 < share < 1
    assert float(lifelike.provenance["GEOMEDSR_INVENTED"]) == pytest.approx(share, rel=1e-3)
    assert "GEOMEDSR_INVENTED" not in faithful.provenance
    outputs = process(model, image=image, realism=1, precision="float32", interval=0.9, tile=9)
    np.testing.assert_array_equal(outputs["invented"].data.values, away > faithful.data.values[:, 2:])
    assert [band.name for band in outputs["invented"].bands] == ["B04_invented", "B08_invented"]
    picked = outputs["invented"].select(["B08_invented"]).data.values
    np.testing.assert_array_equal(picked, outputs["invented"].data.values[:, 1:])
    assert "invented" not in process(model, image=image, realism=0, interval=0.9)


def test_invented_pixels_go_into_a_file(
    raster: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = two_dials(tmp_path)
    values = texture(2, 60, 72)
    values[:, :20, :20] = 0
    source, result, mask = raster(values, nodata=0), tmp_path / "sr.tif", tmp_path / "mask.tif"
    words = ["upscale", str(source), str(result), "--model", model.path, "--realism", "1", "--json"]
    for more, told in (
        (["--invented-to", str(mask)], "--invented-to without --interval"),
        (["--interval", "0.9", "--invented-to", str(mask), "--realism", "0"], "for a result at realism 0"),
        (["--interval", "0.9", "--invented-to", str(mask), "--all"], "--all for"),
    ):
        assert main([*words, *more]) == 2
        assert told in capsys.readouterr().err
    assert not result.exists()
    assert main([*words, "--interval", "0.9", "--invented-to", str(mask), "--no-conserve"]) == 0
    told = json.loads(capsys.readouterr().out)["interval"]["invented"]
    found = geomedsr.open(mask, force=True)
    assert found.dtype == np.uint8
    made = geomedsr.open(result, force=True).data.values
    around = geomedsr.upscale(geomedsr.open(source), model, realism=0, conserve=False).data.values
    away = np.abs(made[:, :2].astype(int) - around)
    away[made[:, :2] == 0] = 0
    np.testing.assert_array_equal(found.data.values, away > made[:, 2:])
    assert 0 < told < 1


def test_other_processes_make_the_same(model: Model) -> None:
    wide = model.with_interval()
    again = pickle.loads(pickle.dumps(wide))
    assert again.interval
    image = scene().tensor().transpose(0, 1)
    for port, planes in wide.module.planes({"image": image}).items():
        assert torch.equal(planes, again.module.planes({"image": image})[port])


@pytest.mark.parametrize("ending", [".tif", ".zarr", ".npy"])
def test_they_are_written_as_bands_and_verified(
    ending: str, model: Model, raster: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, result = raster(texture(2, 60, 72)), tmp_path / f"sr{ending}"
    words = ["upscale", str(source), str(result), "--model", model.path, "--interval", "0.9"]
    assert main(words) == 0
    assert "median score of 3 scenes" in capsys.readouterr().out
    made = geomedsr.open(result)
    expected = geomedsr.upscale(geomedsr.open(source), model, interval=0.9).data.values
    np.testing.assert_array_equal(made.data.values.reshape(expected.shape), expected)
    if ending == ".npy":
        return
    assert [band.name for band in made.bands] == ["1", "2", "1_halfwidth", "2_halfwidth"]
    checks = geomedsr.verify(source, result)
    assert all(check.kept is not False for check in checks)
    (check,) = [check for check in checks if "half-widths" in check.promise]
    assert check.kept
    assert check.detail == "2 bands, for 0.9 of the pixels"


def test_broken_half_widths_are_found(model: Model, raster: Callable[..., Path], tmp_path: Path) -> None:
    source, result = raster(texture(1, 60, 72)), tmp_path / "sr.tif"
    wide = geomedsr.upscale(geomedsr.open(source), model, interval=0.9)
    values = wide.data.values
    values[0, 1, 5:7, 5:7] = 0
    spoiled = Scene.from_array(values[0], bands=wide.bands, grid=wide.grid, provenance=wide.provenance)
    geomedsr.write(spoiled, result)
    (check,) = [check for check in geomedsr.verify(source, result) if "half-widths" in check.promise]
    assert check.kept is False
    assert check.detail == "4 pixels are not"


def test_a_file_of_their_own_and_parts(
    model: Model, raster: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(raster(texture(2, 60, 72)))
    result, wide = str(tmp_path / "sr.tif"), str(tmp_path / "w.tif")
    words = ["upscale", source, result, "--model", model.path, "--interval", "0.9", "--interval-to", wide]
    assert main([*words, "--window", "10,12,30,20", "--no-conserve", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["interval"]
    assert (told["nominal"], told["scale"], told["output"]) == (0.9, "self-test", wide)
    both = geomedsr.upscale(geomedsr.open(source), model, interval=0.9, conserve=False).data.values
    inside = (..., slice(24, 64), slice(20, 80))
    np.testing.assert_array_equal(geomedsr.open(result).data.values, both[:, :2][inside])
    np.testing.assert_array_equal(geomedsr.open(wide).data.values, both[:, 2:][inside])


def test_of_a_series_they_go_into_a_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ct = {"domain": "CT", "value_scale": "physical", "value_range": (-1000, 400)}
    path = save_headed(tmp_path / "ct.safetensors", scale=2, **ct)
    words = ["upscale", str(CT_SAMPLE), str(tmp_path / "out"), "--model", str(path), "--interval", "0.9"]
    assert main(words) == 2
    assert "a series of slices, without --interval-to, expected a place" in capsys.readouterr().err
    wide = ["--interval-to", str(tmp_path / "wide.nii.gz")]
    assert main([*words, *wide, "--slices", "2"]) == 2
    assert "--interval with options of new slices" in capsys.readouterr().err
    assert main([*words, *wide, "--all"]) == 2
    assert "--interval-to with --all" in capsys.readouterr().err
    assert not any((tmp_path / "out").rglob("*.dcm"))
    assert main([*words, *wide]) == 0
    assert "of 3 scenes" in capsys.readouterr().out
    wide = geomedsr.open(tmp_path / "wide.nii.gz", force=True)
    image = geomedsr.open(tmp_path / "out", force=True)
    assert wide.shape == image.shape
    expected = process(load_model(path), image=geomedsr.open(CT_SAMPLE), interval=0.9)["halfwidth"]
    away = np.abs(wide.data.values.astype(int) - expected.data.values)
    assert away.max() <= 1  # other threads: a count of thousands, here and there
    assert (away > 0).mean() < 1e-4
    with pytest.raises(InputError, match=r"half-widths as bands beside .*, a series of slices"):
        geomedsr.upscale(geomedsr.open(CT_SAMPLE), load_model(path), interval=0.9)


def test_what_cannot_be_is_told_in_a_line(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for nominal in (0.4, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"an interval of .*, expected a share of pixels from 0\.5 to 0\.99"):
            geomedsr.upscale(scene(), model, interval=nominal)
    headless = load_model(save_tiny(tmp_path / "headless.safetensors"))
    with pytest.raises(ModelError, match=r"an interval of the model tiny .* which has no head for it"):
        geomedsr.upscale(scene(), headless, interval=0.9)
    raw = load_model(save_headed(tmp_path / "raw.safetensors", calibrated=False))
    with pytest.raises(ModelError, match="whose head is not calibrated"):
        geomedsr.upscale(scene(), raw, interval=0.9)
    narrow = Scene.from_array((texture(1, 60, 72, "float64", low=0, high=250) - 125).astype("int8"))
    with pytest.raises(InputError, match="of the type int8, which holds half-widths up to 127 of a value range of"):
        geomedsr.upscale(narrow, model, interval=0.9)
    source = str(SAMPLE / "input.tif")
    for more in (["--interval-to", str(tmp_path / "w.tif")], ["--interval-conservative"]):
        assert main(["upscale", source, str(tmp_path / "sr.tif"), *more]) == 2
        assert f"got {more[0]} without --interval" in capsys.readouterr().err
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}


def test_a_head_that_does_not_fit_is_refused(model: Model, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(model.path)
    blob = {"geomedsr": model.descriptor.model_dump_json()}
    for change in (
        {key: value for key, value in state.items() if key != "interval.last.bias"},
        {**state, "interval.first.weight": torch.zeros(5, 8, 3, 3)},
    ):
        save_file(change, tmp_path / "broken.safetensors", blob)
        with pytest.raises(ModelError, match="weights do not fit"):
            load_model(tmp_path / "broken.safetensors")
    headless = model.descriptor.model_copy(update={"interval": None})
    save_file(state, tmp_path / "headless.safetensors", {"geomedsr": headless.model_dump_json()})
    with pytest.raises(ModelError, match="weights do not fit"):
        load_model(tmp_path / "headless.safetensors")


def test_of_models_that_see_whole_frames(tmp_path: Path) -> None:
    """Half-widths of a k-space model do not depend on the tile, and the image is the same to the bit."""
    mr = headed(tmp_path, scale=2, operator="k-space-crop", domain="MR")
    image = Scene.from_array(texture(1, 48, 56), bands=[Band("1")])
    plain = geomedsr.upscale(image, mr, precision="float32")
    whole, tiled = (geomedsr.upscale(image, mr, precision="float32", interval=0.9, tile=t) for t in (99, 20))
    np.testing.assert_array_equal(whole.data.values[:, :1], plain.data.values)
    np.testing.assert_array_equal(tiled.data.values[:, 1:], whole.data.values[:, 1:])
    assert whole.data.values[:, 1:].min() >= 1


def test_a_mask_holds_for_them_too(model: Model, raster: Callable[..., Path]) -> None:
    mask = np.full((60, 72), 255, np.uint8)
    mask[10:30, 20:50] = 0
    path = raster(texture(1, 60, 72), edit=lambda dataset: dataset.write_mask(mask))
    wide = geomedsr.upscale(geomedsr.open(path), model, interval=0.9)
    valid = wide.valid.values[0]
    np.testing.assert_array_equal(valid[0], np.kron(mask > 0, np.ones((2, 2), bool)))
    np.testing.assert_array_equal(valid[1], valid[0])
    assert (wide.data.values[0, 1][valid[1]] > 0).all()


@pytest.mark.parametrize("ending", [".zarr", ".nii.gz"])
def test_from_other_formats_into_files_of_their_own(ending: str, tmp_path: Path) -> None:
    ct = {"domain": "CT", "value_scale": "physical", "value_range": (-1000, 400)} if ending == ".nii.gz" else {}
    path = save_headed(tmp_path / "model.safetensors", scale=2, **ct)
    given = geomedsr.open(CT_SAMPLE).crop(Window(200, 200, 64, 48)) if ct else scene()
    source, result, wide = (str(tmp_path / f"{name}{ending}") for name in ("source", "result", "wide"))
    geomedsr.write(given, source)
    words = ["upscale", source, result, "--model", str(path), "--interval", "0.9", "--interval-to", wide, "--quiet"]
    assert main(words) == 0
    opened = geomedsr.open(source)
    expected = process(load_model(path), image=opened, interval=0.9)
    for file, name in ((result, "image"), (wide, "halfwidth")):
        found = geomedsr.open(file, force=True)
        assert found.shape == expected[name].shape
        away = np.abs(found.data.values.astype(int) - expected[name].data.values)
        assert away.max() <= 1  # other threads
        assert (away > 0).mean() < 1e-3
