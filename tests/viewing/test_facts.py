import numpy as np
import pytest
from rasterio.crs import CRS

from geomedsr.crs import crs_code, same_crs
from geomedsr.grid import Grid
from geomedsr.scene import Scene
from geomedsr.viewing.facts import spacing, unit_of


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
