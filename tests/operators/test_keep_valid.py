"""What a mask does not mark stays the input's bit for bit; what it marks is the model's."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from toys import MASKED, scene, toy

import geomedsr
from geomedsr import Band, Check, Grid, Scene, Window, verify
from geomedsr.cli import main
from geomedsr.errors import InputError, ModelError
from geomedsr.inference import process
from geomedsr.io import open_scene
from geomedsr.models.ports import Port, Ports
from geomedsr.operators import KeepValid

PLACE = Grid((40, 33), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633")
OWN = Ports(inputs=(Port(name="mask", meaning="mask"),))
MODEL = toy(ports=MASKED, operator="keep-valid")


def marks(bands: int = 1, seed: int = 5) -> np.ndarray:
    """One pixel in ten, at random, and two lines; whatever is not 0 marks."""
    found = np.random.default_rng(seed).choice([0, 0, 0, 0, 0, 0, 0, 0, 0, 7], (1, bands, 40, 33)).astype(np.uint8)
    found[..., 12:14, :] = 255
    return found


def made(model: geomedsr.Model, image: Scene, mask: np.ndarray, **how: object) -> Scene:
    return process(model, image=image, mask=Scene.from_array(mask), precision="float32", **how)["image"]  # type: ignore[arg-type]


def predict(model: geomedsr.Model, image: Scene, mask: np.ndarray) -> np.ndarray:
    """What the network makes, in stored units."""
    around = Window(-2, -2, 37, 44)
    padded = np.pad(mask != 0, [(0, 0), (0, 0), (2, 2), (2, 2)], "reflect")
    seen = torch.from_numpy(padded.astype(np.float32))
    bands = image.tensor(around).transpose(0, 1)
    seen = seen.transpose(0, 1) if mask.shape[1] > 1 else seen.repeat(len(bands), 1, 1, 1)
    fine = model.module.planes({"image": bands, "mask": seen})["image"][:, 0, 0].double().numpy()
    low, span = image.values.bounds()
    return np.asarray(fine[None] * span + low)


@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
def test_what_is_not_marked_is_kept_bit_for_bit(kind: str) -> None:
    values = scene().data.values.astype(kind)
    values[0, 0, 5, 5:9] = -0.0 if kind == "float32" else 0
    image = Scene.from_array(values, bands=[Band("a"), Band("b")])
    mask = marks()
    got, marked = made(MODEL, image, mask).data.values, np.broadcast_to(mask != 0, values.shape)
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got[~marked].view(np.uint8), values[~marked].view(np.uint8))
    wanted = predict(MODEL, image, mask)
    if kind != "float32":
        info = np.iinfo(kind)
        wanted = np.rint(wanted).clip(info.min, info.max)
    assert np.abs(got[marked] - wanted[marked]).max() <= (1 if kind != "float32" else 0.02)
    assert (got[marked] != values[marked]).mean() > 0.8


def test_marked_pixels_without_data_are_filled_and_others_stay_none() -> None:
    values = scene().data.values.astype(np.uint8)
    values[values == 0] = 1
    mask = marks()
    values[:, :, 12:14] = 0  # a gap that is marked
    values[:, :, 30:33, 3:9] = 0  # one that is not
    mask[..., 30:33, 3:9] = 0
    image = Scene.from_array(values, bands=[Band("a", nodata=0), Band("b", nodata=0)])
    result = made(MODEL, image, mask)
    valid = result.valid.values
    np.testing.assert_array_equal(valid, (values != 0) | (mask != 0))
    assert valid[:, :, 12:14].all()
    assert not valid[:, :, 30:33, 3:9].any()
    assert (result.data.values[valid] != 0).all()
    np.testing.assert_array_equal(result.data.values[..., 30:33, 3:9], 0)


def test_a_mask_of_each_band_marks_its_own() -> None:
    model, image, mask = toy(ports=OWN, operator="keep-valid"), scene(), marks(2)
    result = made(model, image, mask)
    values, got = image.data.values, result.data.values
    np.testing.assert_array_equal(got[mask == 0], values[mask == 0])
    assert (got[mask != 0] != values[mask != 0]).mean() > 0.8
    np.testing.assert_array_equal(result.select([2]).data.values[:, 0], got[:, 1])  # with its own mask
    with pytest.raises(InputError, match=r"\(1, 3, 40, 33\) as mask of the model toy"):
        made(model, image, marks(3))
    three = toy(ports=Ports(inputs=(Port(name="mask", meaning="mask", bands=("x", "y", "z")),)), operator="keep-valid")
    with pytest.raises(InputError, match="of 3 bands, expected one band, or 2, one for each"):
        made(three, image, marks(3))


def test_tiles_equal_the_untiled_result() -> None:
    whole, tiled = (made(MODEL, scene(), marks(), tile=tile) for tile in (64, 9))
    np.testing.assert_array_equal(tiled.data.values, whole.data.values)
    part = made(MODEL, scene(), marks()).crop(Window(3, 10, 20, 9))
    np.testing.assert_array_equal(part.data.values, whole.data.values[..., 10:19, 3:23])


def test_on_a_finer_grid_block_means_are_kept() -> None:
    model, image, mask = toy(ports=MASKED, operator="keep-valid", scale=2), scene(), marks()
    got = made(model, image, mask).data.values.astype(int).reshape(1, 2, 40, 2, 33, 2)
    kept = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(got.sum((3, 5))[kept], 4 * image.data.values.astype(int)[kept])
    assert got.std((3, 5))[kept].mean() > 1


def test_without_agreement_the_prediction_is_everywhere() -> None:
    image, mask = scene(), marks()
    got = made(MODEL, image, mask, conserve=False).data.values
    assert (got != image.data.values)[np.broadcast_to(mask == 0, image.shape)].mean() > 0.8


def test_training_keeps_what_is_not_marked() -> None:
    fine, coarse = torch.rand(2, 1, 2, 3, 4)
    mask = torch.tensor([0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1.0]).view(1, 1, 3, 4).repeat(2, 1, 1, 1)[:1]
    fine, coarse = fine.reshape(1, 2, 3, 4), coarse.reshape(1, 2, 3, 4)
    made = KeepValid().project(fine, coarse, 1, {"mask": mask})
    assert torch.equal(made, torch.where(mask != 0, fine, coarse))


def test_it_is_picklable_and_needs_a_mask() -> None:
    bound = KeepValid().bind({"image": scene(), "mask": Scene.from_array(marks())})
    again = pickle.loads(pickle.dumps(bound))
    assert again.mask is not None
    np.testing.assert_array_equal(again.mask.data.values, marks())
    with pytest.raises(ModelError, match=r"the operator keep-valid, without an input mask"):
        process(toy(operator="keep-valid"), image=scene())


# --- what verify says of it ---------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path, Path]:
    source, mask, result = (tmp_path / f"{name}.tif" for name in ("in", "mask", "out"))
    geomedsr.write(scene(grid=PLACE), source)
    geomedsr.write(Scene.from_array(marks(), grid=PLACE), mask)
    geomedsr.write(made(MODEL, geomedsr.open(source), open_scene(mask).data.values), result)
    return source, mask, result


def agreement(checks: list[Check]) -> Check:
    return next(check for check in checks if "mask does not mark" in check.promise)


def test_verify_checks_it_by_the_mask(written: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source, mask, result = written
    marked, total = int((marks() != 0).sum() * 2), 2 * 40 * 33
    checks = verify(source, result, inputs={"mask": mask})
    assert [check for check in checks if check.kept is False] == []
    assert agreement(checks) == Check(
        "pixels that the mask does not mark are the source's, bit for bit",
        True,
        f"{marked} of {total} pixels are marked",
    )
    assert main(["verify", str(source), str(result), "--input", f"mask={mask}"]) == 0
    assert "kept    pixels that the mask does not mark are the source's, bit for bit" in capsys.readouterr().out
    assert main(["verify", str(source), str(result)]) == 0
    assert "pixels differ; to check that the mask marks them, give --input mask=FILE" in capsys.readouterr().out


def test_verify_catches_a_valid_pixel_that_was_changed(written: tuple[Path, Path, Path], tmp_path: Path) -> None:
    source, mask, result = written
    values = open_scene(result, force=True).data.values.copy()
    row, col = np.argwhere(marks()[0, 0] == 0)[17]
    values[0, 1, row, col] += 1
    told = open_scene(result, force=True)
    geomedsr.write(Scene.from_array(values, grid=PLACE, bands=told.bands, tags=told.tags), tmp_path / "bad.tif")
    check = agreement(verify(source, tmp_path / "bad.tif", inputs={"mask": mask}))
    assert check.kept is False
    assert check.detail.endswith("pixels are marked, 1 others differ")


def test_verify_of_filled_gaps(tmp_path: Path) -> None:
    values, mask = scene().data.values.copy(), marks()
    values[:, :, 12:14] = 0
    values[values == 0] = 1
    values[:, :, 12:14] = 0
    source, result = tmp_path / "in.tif", tmp_path / "out.tif"
    geomedsr.write(Scene.from_array(values, bands=[Band("a", nodata=0), Band("b", nodata=0)], grid=PLACE), source)
    geomedsr.write(made(MODEL, geomedsr.open(source), mask), result)
    given = verify(source, result, inputs={"mask": Scene.from_array(mask)})
    assert [check for check in given if check.kept is False] == []
    promise = "data where the source has data, or the mask says so, and nowhere else"
    assert next(check for check in given if check.promise == promise).kept
    alone = next(check for check in verify(source, result) if check.promise == promise)
    assert alone.kept is None
    assert alone.detail == "132 pixels are data that are none in the source; to check them, give --input mask=FILE"
    wrong = verify(source, result, inputs={"mask": Scene.from_array(mask * 0)})
    assert next(check for check in wrong if check.promise == promise).kept is False


def test_verify_of_a_window(written: tuple[Path, Path, Path], tmp_path: Path) -> None:
    source, mask, result = written
    geomedsr.write(open_scene(result, force=True).crop(Window(4, 6, 20, 15)), tmp_path / "part.tif")
    check = agreement(verify(source, tmp_path / "part.tif", inputs={"mask": mask}))
    assert check.kept
    assert check.detail == f"{2 * int((marks()[..., 6:21, 4:24] != 0).sum())} of 600 pixels are marked"


def test_wrong_inputs_of_verify_are_told(
    written: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _, result = written
    with pytest.raises(InputError, match="got the input guide, expected one of mask, which the result names"):
        verify(source, result, inputs={"guide": source})
    with pytest.raises(InputError, match=r"1 × 20 × 20 as mask, expected 1 × 40 × 33"):
        verify(source, result, inputs={"mask": Scene.from_array(np.zeros((1, 1, 20, 20), np.uint8))})
    assert main(["verify", str(source), str(result), "--input", "mask"]) == 2
    assert "got --input mask, expected NAME=FILE" in capsys.readouterr().err
