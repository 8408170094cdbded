from dataclasses import replace

import numpy as np
import pytest
from rasterio.crs import CRS

from geomedsr.geometry.crs import crs_code, same_crs, unit_of
from geomedsr.geometry.grid import Grid, Window
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Band, Scene
from geomedsr.viewing.facts import spacing, value_range


@pytest.mark.parametrize("version", ["WKT1_GDAL", "WKT2_2019"])
@pytest.mark.parametrize(
    ("code", "unit"),
    [
        (4326, "°"),
        (32633, "m"),
        (3995, "m"),  # polar: its axes name a meridian
        (2263, "US survey foot"),
        (9707, "°"),  # degrees, and a height in metres
        (5972, "m"),  # UTM, and a height
    ],
)
def test_the_unit_of_a_crs_is_that_of_its_plane(code: int, unit: str, version: str) -> None:
    wkt = CRS.from_epsg(code).to_wkt(version=version)
    assert unit_of(wkt) == unit
    assert crs_code(wkt) == ("EPSG", str(code))
    other = CRS.from_epsg(code).to_wkt(version="WKT2_2015")
    assert same_crs(wkt, other)
    assert not same_crs(wkt, CRS.from_epsg(3857).to_wkt(version=version))


def test_a_crs_without_a_plane_or_a_name() -> None:
    assert unit_of('LOCAL_CS["England",UNIT["metre",1]]') == "m"
    assert (unit_of(None), unit_of(""), crs_code(None)) == ("", "", None)
    assert same_crs(None, None)
    assert same_crs('LOCAL_CS["England", UNIT["metre",1]]', 'LOCAL_CS["England",UNIT["metre",1]]')
    assert not same_crs('LOCAL_CS["England",UNIT["metre",1]]', None)


def test_xarrays_degrees_are_degrees() -> None:
    rioxarray = pytest.importorskip("rioxarray")
    assert rioxarray
    import xarray as xr

    array = xr.DataArray(
        np.zeros((4, 5)), dims=("y", "x"), coords={"x": np.arange(5) * 0.1, "y": 50 - np.arange(4) * 0.1}
    )
    scene: Scene = array.rio.write_crs(4326).geomedsr.scene()
    assert isinstance(scene.grid, Grid)
    assert spacing(scene) == "0.1 °"


def test_the_range_of_what_has_none() -> None:
    none, five = np.zeros((4, 5), np.uint8), np.full((4, 5), 5, np.uint8)
    bands = [Band("a", nodata=0), Band("b", nodata=0)]
    assert value_range(Scene.from_array(np.stack([none, none]), bands=bands)) == "no data"
    assert value_range(Scene.from_array(np.stack([none, five]), bands=bands)) == "5 (1–99 %)"
    assert value_range(Scene.from_array(np.stack([five, five + 2]), bands=bands)) == "5 … 7 (1–99 %)"
    assert value_range(Scene.from_array(np.stack([none, five]), bands=bands).select(["a"])) == "no data"


def test_the_range_of_a_constant_is_in_its_units() -> None:
    five = np.full((1, 4, 5), 5, np.int16)
    known = Scene.from_array(five, bands=[Band("a", scale=-2.0, offset=3.0, units="K")])
    assert value_range(known) == "-7 K (1–99 %)"
    assert value_range(known.crop(Window(0, 0, 2, 2))) == "-7 K (1–99 %)"


def test_a_range_of_0_to_1_that_is_true_is_told() -> None:
    ramp = np.linspace(0, 1, 10_001)[None, None]
    assert value_range(Scene.from_array(ramp)) == "0.01 … 0.99 (1–99 %)"
    by_hand = replace(Scene.from_array(ramp), scale=ValueScale(((0.0,),), ((5.0,),)))
    assert value_range(by_hand) == "0.01 … 0.99 (1–99 %)"  # of the pixels, whatever the network is to see
