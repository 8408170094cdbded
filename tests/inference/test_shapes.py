"""Shapes besides one image made finer: other inputs, other outputs, the same size, new slices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import texture
from toys import DATES, GUIDED, MASKED, WIDTHS, holes, scene, stack, toy

import geomedsr
from geomedsr import Band, Grid, Scene
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.inference import process
from geomedsr.io import open_scene
from geomedsr.models.ports import Ports

SHAPES = {
    "the same size with a mask": (toy(ports=MASKED), lambda: {"image": scene(), "mask": holes()}),
    "a guide": (toy(ports=GUIDED, scale=2), lambda: {"image": scene(), "guide": scene(80, 66, 3, 5)}),
    "three dates": (
        toy(ports=DATES, scale=2),
        lambda: {"image": scene(), "before": scene(seed=7), "after": scene(seed=9)},
    ),
    "two outputs": (toy(ports=WIDTHS, scale=2), lambda: {"image": scene()}),
    "new slices": (toy(frame_factor=2), lambda: {"image": stack(4)}),
    "new slices and pixels": (toy(frame_factor=2, scale=2), lambda: {"image": stack(4)}),
    "new slices of three": (toy(frame_factor=3, neighbours=1), lambda: {"image": stack(4)}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_tiles_equal_the_untiled_result_and_means_the_input(name: str) -> None:
    model, inputs = SHAPES[name]
    given = inputs()
    whole, tiled = (process(model, **given, tile=tile, precision="float32") for tile in (64, 9))
    by = model.descriptor.factors
    frames, bands, height, width = given["image"].shape
    for port in whole:
        got = whole[port].data.values
        assert got.shape == (frames * by.frame, bands, height * by.y, width * by.x)
        np.testing.assert_array_equal(tiled[port].data.values, got)
        part = Box((1 if frames > 1 else 0, 3, 4), (frames * by.frame, 20, 25))
        np.testing.assert_array_equal(tiled[port].source.read(part), got[part.index])
    image = whole["image"].data.values.astype(np.int64)
    blocks = image.reshape(frames, by.frame, bands, height, by.y, width, by.x)
    np.testing.assert_array_equal(blocks.sum((1, 4, 6)), given["image"].data.values.astype(np.int64) * by.volume)
    if by.volume > 1:
        assert blocks.std((1, 4, 6)).mean() > 1  # it is not just the input repeated


@pytest.mark.parametrize("name", ["the same size with a mask", "a guide", "three dates"])
def test_every_input_is_seen(name: str) -> None:
    model, inputs = SHAPES[name]
    given = inputs()
    right = process(model, **given, conserve=False, precision="float32")["image"].data.values
    for port in given.keys() - {"image"}:
        other = given[port]
        changed = Scene.from_array(other.data.values[:, ::-1, ::-1, ::-1].copy(), bands=other.bands)
        made = process(model, **{**given, port: changed}, conserve=False, precision="float32")["image"].data.values
        assert np.abs(made.astype(int) - right).mean() > 1


def test_a_band_sees_its_own_band_of_other_dates() -> None:
    model, inputs = SHAPES["three dates"]
    given = inputs()
    both = process(model, **given, precision="float32")["image"].data.values
    alone = process(model, **{k: s.select(["b1"]) for k, s in given.items()}, precision="float32")["image"].data.values
    np.testing.assert_array_equal(alone[:, 0], both[:, 1])


def test_half_widths_are_in_the_images_units_and_rounded_up() -> None:
    model, inputs = SHAPES["two outputs"]
    image = inputs()["image"]
    made = process(model, image=image, precision="float32")
    planes = model.module.planes({"image": image.tensor(geomedsr.Window(-2, -2, 37, 44)).transpose(0, 1)})
    span = image.values.bounds()[1]
    exact = torch.nn.functional.pixel_shuffle(planes["halfwidth"].abs()[:, 0], 2)[:, 0].double().numpy() * span[0]
    got = made["halfwidth"].data.values[0]
    assert got.dtype == image.dtype
    assert ((got - exact > -0.01) & (got - exact < 1.01)).all()
    assert 0.4 < (got - exact).mean() < 0.6
    assert [band.name for band in made["halfwidth"].bands] == ["b0_halfwidth", "b1_halfwidth"]
    doubt = torch.nn.functional.pixel_shuffle(planes["doubt"][:, 0], 2)[:, 0].numpy() > 0.5
    np.testing.assert_array_equal(made["doubt"].data.values[0], doubt)
    assert 0.01 < doubt.mean() < 0.99
    np.testing.assert_array_equal(made["halfwidth"].select([2]).data.values[0, 0], got[1])


def test_what_is_no_data_is_none_in_all_outputs() -> None:
    model, _ = SHAPES["two outputs"]
    array = texture(1, 40, 33)
    array[:, 10:20, 5:15] = 0
    made = process(model, image=Scene.from_array(array, bands=[Band("b", nodata=0)]), precision="float32")
    for port in ("image", "halfwidth"):
        valid = made[port].valid.values[0, 0]
        assert not valid[20:40, 10:30].any()
        assert valid.sum() == valid.size - 400
        assert not made[port].data.values[0, 0][20:40, 10:30].any()


def test_new_slices_lie_within_the_faces_of_the_old() -> None:
    made = process(SHAPES["new slices and pixels"][0], image=stack(4), precision="float32")["image"]
    depths = [plane.depth for plane in made.grid.planes]
    np.testing.assert_allclose(depths, [3 * i + side for i in range(4) for side in (-0.75, 0.75)])
    assert made.grid.planes[0].spacing == (0.5, 0.5)
    assert made.provenance["GEOMEDSR_FRAME_FACTOR"] == "2"


@pytest.mark.parametrize("ending", [".tif", ".zarr", ".npy"])
def test_they_are_written_and_read(ending: str, tmp_path: Path) -> None:
    model, inputs = SHAPES["two outputs"]
    made = process(model, **inputs(), precision="float32")
    for port, result in made.items():
        path = tmp_path / f"{port}{ending}"
        geomedsr.write(result, path)
        np.testing.assert_array_equal(geomedsr.open(path).data.values, result.data.values)


def test_new_slices_are_written_and_read(tmp_path: Path) -> None:
    made = process(SHAPES["new slices"][0], image=stack(4), precision="float32")["image"]
    geomedsr.write(made, tmp_path / "sr.nrrd")
    again = open_scene(tmp_path / "sr.nrrd", force=True)
    np.testing.assert_array_equal(again.data.values, made.data.values)
    np.testing.assert_allclose([p.depth for p in again.grid.planes], [p.depth for p in made.grid.planes], atol=1e-6)


def test_wrong_inputs_are_told() -> None:
    model, inputs = SHAPES["a guide"]
    given = inputs()
    with pytest.raises(InputError, match="got no guide for the model toy, expected image, and besides guide"):
        process(model, image=given["image"])
    with pytest.raises(InputError, match="got the input pan for the model toy"):
        process(model, **given, pan=given["guide"])
    with pytest.raises(InputError, match=r"of shape \(1, 3, 79, 66\) as guide .* expected \(1, 3, 80, 66\)"):
        process(model, image=given["image"], guide=scene(79, 66, 3))
    uneven = stack(3)
    planes = list(uneven.grid.planes)
    planes[2] = planes[2].moved((0, 0, 2))
    with pytest.raises(InputError, match="new slices of 3 with slice spacing that differs"):
        process(
            SHAPES["new slices"][0],
            image=Scene.from_array(uneven.data.values, grid=Grid((26, 30), planes=tuple(planes))),
        )


def test_ports_are_checked() -> None:
    assert toy(scale=3, frame_factor=2).descriptor.factors == Factors(2, 3, 3)
    for wrong in (
        {"inputs": [{"name": "image"}]},
        {"inputs": [{"name": "a"}, {"name": "a"}]},
        {"inputs": [{"name": "a", "factors": (2, 1, 1)}]},
        {"outputs": [{"name": "a", "factors": (1, 2, 2)}]},
    ):
        with pytest.raises(ValueError, match=r"port|output"):
            Ports.model_validate(wrong)
