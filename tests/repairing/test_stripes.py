"""Stripes: taken off where moment matching fails, left alone where there are none, and put back bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE

import geomedsr
from geomedsr import Band, Scene, verify
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.io import open_scene
from geomedsr.repairing.destriping import BITS, Response, destripe, restripe
from geomedsr.repairing.stripes import Estimate


def values_of(scene: Scene) -> np.ndarray:
    return scene.source.read(Box.whole(scene.shape))


def striped(values: np.ndarray, axis: int, seed: int = 0, gain: float = 0.02, offset: float = 15.0) -> np.ndarray:
    """Values ``(band, y, x)`` with a gain and an offset of each column (axis 2) or row (axis 1)."""
    rng = np.random.default_rng(seed)
    shape = [len(values), 1, 1]
    shape[axis] = values.shape[axis]
    made = values * (1 + rng.normal(0, gain, shape)) + rng.normal(0, offset, shape)
    return np.rint(made).clip(1, 65535).astype(values.dtype)


@pytest.fixture(scope="module")
def coast() -> np.ndarray:
    """Sentinel-2: fields and sea, 4 bands."""
    return values_of(geomedsr.open(SAMPLE / "reference.tif"))[0]


def matched(values: np.ndarray) -> np.ndarray:
    """Moment matching of columns."""
    mean, spread = values.mean(1, keepdims=True), values.std(1, keepdims=True)
    return (values - mean) / spread * values.std((1, 2), keepdims=True) + values.mean((1, 2), keepdims=True)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("axis", [1, 2])
def test_stripes_go_and_the_slope_stays(coast: np.ndarray, axis: int) -> None:
    slope = np.linspace(0, 1500, coast.shape[axis])  # such as haze, or the sun's height
    truth = (coast + slope.reshape((1, -1, 1) if axis == 1 else (1, 1, -1))).astype(np.uint16)
    broken = striped(truth, axis)
    found = destripe(Scene.from_array(broken))
    assert found is not None
    assert found.lines == ("rows" if axis == 1 else "columns")
    made = values_of(found.scene)[0]
    assert error(made, truth) < 0.7 * error(broken, truth)
    if axis == 2:
        assert error(made, truth) < 0.7 * error(matched(broken.astype(float)), truth)  # 3 dB


def test_a_scene_without_stripes_is_left_alone(coast: np.ndarray) -> None:
    assert destripe(Scene.from_array(coast)) is None
    assert destripe(Scene.from_array(np.ascontiguousarray(coast[:1].swapaxes(1, 2)))) is None


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32"])
def test_stripes_come_back_bit_for_bit(kind: str, coast: np.ndarray) -> None:
    values = (
        (striped(coast, 2) // (40 if kind == "uint8" else 1)).clip(0, 255 if kind == "uint8" else 30000).astype(kind)
    )
    values[0, :4] = 0
    values[1, :4, ::2] = np.iinfo(kind).max  # is clipped
    bands = [Band(f"b{i}", nodata=0) for i in range(4)]
    scene = Scene.from_array(values, bands=bands)
    found = destripe(scene)
    assert found is not None
    assert found.residual is not None
    made = values_of(found.scene)
    np.testing.assert_array_equal(found.scene.valid.values, scene.valid.values)
    assert (made != 0)[scene.valid.values].all()
    assert (made != values).mean() > 0.02
    again = restripe(Scene.from_array(made, bands=bands, provenance=found.scene.provenance), found.residual)
    np.testing.assert_array_equal(values_of(again)[0], values)
    assert not again.provenance.stripes
    rest = values_of(found.residual)[0, :, 4:]
    assert (rest == 0).mean() > 0.9


def test_lines_whose_gain_is_1_or_more_need_no_residual() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(1, 1, 256, 256)
    gains = np.full((1, 256), 1.0)
    gains[0, ::3], gains[0, 1::3] = 1 / 1.013, 1 / 1.0001
    offsets = np.linspace(-5, 5, 256)[None]
    response = Response.of(Estimate("columns", gains, offsets, (1.0,)))
    box = Box((0, 0, 0), (1, 256, 256))
    wide = np.arange(2**20, dtype=np.int64).reshape(1, 1, 4096, 256)
    tall = Box((0, 0, 0), (1, 4096, 256))
    np.testing.assert_array_equal(response.undone(response.applied(wide, tall), tall), wide)
    part = Box((0, 7, 30), (1, 19, 77))
    np.testing.assert_array_equal(response.applied(values, box)[part.index], response.applied(values[part.index], part))
    again = Response.of_text(response.text)
    np.testing.assert_array_equal(again.gains, response.gains)
    np.testing.assert_array_equal(again.offsets, response.offsets)
    assert response.gains.max() == round(1.013 * (1 << BITS))


def test_a_band_without_stripes_stays_as_it_is(coast: np.ndarray) -> None:
    values = coast.copy()
    values[1] = striped(coast, 2)[1]
    found = destripe(Scene.from_array(values))
    assert found is not None
    made = values_of(found.scene)[0]
    for band in (0, 2, 3):
        np.testing.assert_array_equal(made[band], values[band])
    assert (made[1] != values[1]).mean() > 0.3
    part = found.scene.select([2])
    np.testing.assert_array_equal(values_of(part)[0, 0], made[1])


def test_floats_lose_their_stripes_too(coast: np.ndarray) -> None:
    broken = striped(coast, 2)
    found = destripe(Scene.from_array(broken.astype(np.float32) / 10000))
    assert found is not None
    assert found.residual is None
    made = values_of(found.scene)[0]
    assert made.dtype == np.float32
    assert error(made * 10000, coast) < 0.85 * error(broken, coast)
    again = restripe(Scene.from_array(made, provenance=found.scene.provenance))
    np.testing.assert_allclose(values_of(again)[0], broken / 10000, rtol=1e-4)


def test_what_has_no_lines_is_refused(coast: np.ndarray) -> None:
    with pytest.raises(InputError, match="a series or a stack"):
        destripe(Scene.from_array(np.stack([coast, coast])))
    with pytest.raises(InputError, match="classes or flags"):
        destripe(Scene.from_array(coast, bands=[Band("a"), Band("b"), Band("c", "nearest"), Band("d")]))
    with pytest.raises(InputError, match="at most 32 bits"):
        destripe(Scene.from_array(coast.astype(np.int64)))
    with pytest.raises(InputError, match="which no stripes were taken off"):
        restripe(Scene.from_array(coast))
    found = destripe(Scene.from_array(striped(coast, 2)))
    assert found is not None
    with pytest.raises(InputError, match="as its record of stripes says"):
        restripe(found.scene.select([1, 2]))
    with pytest.raises(InputError, match="the residual"):
        restripe(found.scene, Scene.from_array(coast[:, 1:]))
    odd = replace(found.scene, provenance=replace(found.scene.provenance, stripes="{}"))
    with pytest.raises(InputError, match="cannot be read"):
        restripe(odd)


@pytest.fixture
def folder(tmp_path: Path, coast: np.ndarray) -> Path:
    source = open_scene(SAMPLE / "reference.tif")
    broken = Scene.from_array(striped(coast, 2), grid=source.grid, bands=source.bands)
    geomedsr.write(broken, tmp_path / "in.tif", format="gtiff")
    return tmp_path


def test_the_commands_take_off_verify_and_put_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src, out, back, rest = (str(folder / n) for n in ("in.tif", "out.tif", "back.tif", "out.residual.tif"))
    assert main(["repair", src, out, "--find", "--what", "stripes", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["lines"], facts["files"]) == ("columns", [out, rest])
    checks = verify(src, out, inputs={"residual": rest})
    assert [check for check in checks if not check.kept] == []
    assert checks[-1].promise == "undone, the source bit for bit"
    assert verify(src, out)[-1].kept is not False
    assert main(["repair", out, back, "--undo"]) == 0
    assert "stripes put back" in capsys.readouterr().out
    one, other = open_scene(src), open_scene(back)
    np.testing.assert_array_equal(one.data.values, other.data.values)
    assert "GEOMEDSR_STRIPES" not in other.tags.get("", {})
    made = open_scene(out, force=True)
    values = made.data.values.copy()
    values[0, 2, 7, 9] += 1
    geomedsr.write(Scene.from_array(values, grid=made.grid, bands=made.bands, tags=made.tags), folder / "bad.tif")
    assert len([c for c in verify(src, folder / "bad.tif", inputs={"residual": rest}) if c.kept is False]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in.tif", "x.tif", "--undo"], "which no stripes were taken off"),
        (["in.tif", "x.tif", "--find", "--what", "stripes,dead"], "stripes alone"),
        (["in.tif", "x.tif", "--find", "--what", "stripes", "--window", "0,0,9,9"], "the whole scene"),
        (["in.tif", "x.tif", "--find", "--residual", "r.tif"], "without stripes"),
        (["in.tif", "x.tif", "--find", "--what", "stripes", "--tile", "64"], "--tile with stripes"),
        (["in.tif", "x.tif", "--find", "--what", "stripes", "--memory", "1GiB"], "--memory with stripes"),
        (["in.tif", "x.tif", "--undo", "--device", "cuda"], "--device with stripes"),
        (["in.tif", "x.tif", "--undo", "--precision", "float32"], "--precision with stripes"),
    ],
)
def test_bad_words_are_one_line(folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = [str(folder / word) if word.endswith(".tif") else word for word in words]
    assert main(["repair", *places]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


def test_nothing_is_written_without_stripes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src, out = str(SAMPLE / "reference.tif"), str(tmp_path / "out.tif")
    assert main(["repair", src, out, "--find", "--what", "stripes"]) == 0
    assert "no stripes in" in capsys.readouterr().out
    assert not Path(out).exists()
