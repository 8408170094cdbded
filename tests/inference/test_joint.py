"""Models of named bands: each band is found wherever it is, and none is dropped in silence."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import block_sums, save_tiny, texture

import geomedsr
from geomedsr import Band, Model, Scene
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.models import load_model

BANDS = ("red", "green", "blue", "nir")


@pytest.fixture(scope="module")
def rgbn(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "rgbn.safetensors"
    return load_model(save_tiny(path, 2, 4, name="rgbn", bands=BANDS))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The same network, without names: bands in its own order."""
    return load_model(save_tiny(tmp_path_factory.mktemp("models") / "plain.safetensors", 2, 4))


def scene(*names: str, seed: int = 0, **more: object) -> Scene:
    """Each band's values depend on its place alone."""
    return Scene.from_array(texture(len(names), 30, 27, seed=seed), bands=[Band(n) for n in names], **more)


def test_bands_are_found_in_any_order_and_stay_where_they_are(rgbn: Model, plain: Model) -> None:
    sentinel = scene("B02", "B03", "B04", "B08")  # blue, green, red, near infrared
    right = geomedsr.upscale(Scene.from_array(sentinel.data.values[0, [2, 1, 0, 3]]), plain).data.values[0]
    sr = geomedsr.upscale(sentinel, rgbn, tile=11)
    assert [band.name for band in sr.bands] == ["B02", "B03", "B04", "B08"]
    got = sr.data.values[0]
    np.testing.assert_array_equal(got, right[[2, 1, 0, 3]])
    assert (block_sums(got, 2) == sentinel.data.values[0].astype(object) * 4).all()
    turned = geomedsr.upscale(sentinel.select(["B08", "B02", "B04", "B03"]), rgbn).data.values[0]
    np.testing.assert_array_equal(turned, got[[3, 0, 2, 1]])
    told = {"red": "B04", "green": "B03", "blue": "B02", "nir": "B08"}
    assert json.loads(sr.provenance["GEOMEDSR_MODEL_BANDS"]) == told
    assert geomedsr.upscale(sentinel, plain).provenance.get("GEOMEDSR_MODEL_BANDS") is None
    assert (geomedsr.upscale(sentinel, plain).data.values[0] != got).any()  # as they come: another answer


def test_a_result_turned_round_is_the_same_result(rgbn: Model, plain: Model) -> None:
    for model in (rgbn, plain):
        sr = geomedsr.upscale(scene("B02", "B03", "B04", "B08"), model)
        np.testing.assert_array_equal(sr.select([4, 2, 1, 3]).data.values, sr.data.values[:, [3, 1, 0, 2]])
        with pytest.raises(InputError, match="jointly"):
            sr.select([1, 1, 2, 3])


def test_the_users_word_goes_before_names(rgbn: Model, plain: Model) -> None:
    unnamed = Scene.from_array(texture(5, 20, 20))
    picked = unnamed.select(["nir=2", "red=5", "green=1", "blue=3"])
    got = geomedsr.upscale(picked, rgbn).data.values[0]
    right = geomedsr.upscale(unnamed.select([5, 1, 3, 2]), plain).data.values[0]
    np.testing.assert_array_equal(got, right[[3, 0, 1, 2]])


def test_classes_are_carried_over_beside_them(rgbn: Model) -> None:
    five = scene("SCL", "B08", "B04", "B03", "B02").with_nearest(["SCL"])
    got = geomedsr.upscale(five, rgbn).data.values[0]
    np.testing.assert_array_equal(got[0], five.data.values[0, 0].repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(got[1:], geomedsr.upscale(five.select([2, 3, 4, 5]), rgbn).data.values[0])


def test_a_missing_band_is_one_line(rgbn: Model) -> None:
    with pytest.raises(
        InputError, match=r"do not identify nir, for the model rgbn.*red=B04,green=B03,blue=B02,nir=BAND"
    ):
        geomedsr.upscale(scene("B02", "B03", "B04", "B05"), rgbn)
    with pytest.raises(InputError, match="bands 1, 2, 3, 4 do not identify red, green, blue, nir"):
        geomedsr.upscale(scene("1", "2", "3", "4"), rgbn)


def test_other_bands_are_refused_not_dropped(rgbn: Model) -> None:
    more = scene("B01", "B02", "B03", "B04", "B08", "B11")
    with pytest.raises(InputError) as caught:
        geomedsr.upscale(more, rgbn)
    assert str(caught.value) == (
        "got bands B01, B11, which the model rgbn does not make, expected its bands alone: red, green, blue, nir: "
        "choose them with --bands blue=B02,green=B03,red=B04,nir=B08, or use a band-agnostic model"
    )


def test_on_the_command_line(rgbn: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    unnamed = Scene.from_array(texture(4, 20, 20))
    geomedsr.write(unnamed, source, progress=False)
    command = ["upscale", "--model", rgbn.path, "--quiet"]
    assert main([*command, str(source), str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--bands" in said
    assert "red=BAND" in said
    assert main([*command, "--bands", "red=3,green=2,blue=1,nir=4", str(source), str(out)]) == 0
    wanted = geomedsr.upscale(unnamed.select(["red=3", "green=2", "blue=1", "nir=4"]), rgbn)
    result = geomedsr.open(out, force=True)
    np.testing.assert_array_equal(result.data.values, wanted.data.values)
    facts = json.loads(result.tags[""]["GEOMEDSR_MODEL_BANDS"])
    assert list(facts) == list(BANDS)
