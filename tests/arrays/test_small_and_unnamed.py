"""Labelled arrays that tell little: without a name, with one pixel on an axis, with none, of another type."""

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from conftest import texture

import geomedsr  # noqa: F401 - which registers the accessor
from geomedsr.errors import InputError, SceneWarning
from geomedsr.models import Model
from geomedsr.scene.scene import Scene

pytest.importorskip("rioxarray")


def array(height: int = 8, width: int = 6, **more: Any) -> xr.DataArray:
    x, y = 500_000 + 10 * (np.arange(width) + 0.5), 4_000_000 - 10 * (np.arange(height) + 0.5)
    values = texture(1, 8, 6)[0][:height, :width]
    return xr.DataArray(values, dims=("y", "x"), coords={"y": y, "x": x}, **more)


@pytest.mark.parametrize("name", [None, "red", 7])
def test_a_result_has_the_name_of_its_array(name: Any, tiny: Model) -> None:
    assert array(name=name).geomedsr.upscale(tiny).name == name


@pytest.mark.parametrize(("height", "width", "axis"), [(1, 6, "y"), (8, 1, "x"), (1, 1, "y|x")])
def test_an_axis_of_one_pixel_has_no_place_unless_a_transform_tells_it(
    height: int, width: int, axis: str, tiny: Model
) -> None:
    small = array(height, width)
    with pytest.warns(SceneWarning, match=f"(?:{axis}) has one pixel, and nothing tells its size"):
        assert small.geomedsr.scene().grid.affine is None
    place = Affine(10, 0, 500_000, 0, -10, 4_000_000)
    for told in (small.assign_attrs(transform=tuple(place)), small.rio.write_crs(32618).rio.write_transform(place)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", SceneWarning)
            result = told.geomedsr.upscale(tiny)
        assert result.geomedsr.scene().grid.affine == place @ Affine.scale(1 / 4)


@pytest.mark.parametrize("made", ["accessor", "scene"])
@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (array()[:0], r"shape \(0, 6\) and type uint16, expected .* none empty"),
        (array()[:, :0], r"shape \(8, 0\) and type uint16, expected .* none empty"),
        (array() > 100, r"shape \(8, 6\) and type bool, expected .* of integers or floats"),
        (array().astype("float16"), "type float16, expected one of int8"),
    ],
)
def test_arrays_that_are_none_are_refused(odd: xr.DataArray, told: str, made: str) -> None:
    with pytest.raises(InputError, match=told):
        odd.geomedsr.scene() if made == "accessor" else Scene.from_array(odd)
