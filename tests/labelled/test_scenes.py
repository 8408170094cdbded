"""Labelled arrays as others write them: fill values, CRS, coordinates; rioxarray is asked where it knows."""

import json
import warnings
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import pyproj
import pytest
import xarray as xr
from affine import Affine
from conftest import texture
from rasterio.crs import CRS

import geomedsr
from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.crs import wkt_of
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.models import Model
from geomedsr.scene.scene import Band, Scene

pytest.importorskip("rioxarray")

UTM = CRS.from_epsg(32618)
PLACE = Affine(10, 0, 435730, 0, -10, 4179460)


def centres(height: int = 24, width: int = 20) -> dict[str, Any]:
    return {
        "y": ("y", PLACE.f + PLACE.e * (np.arange(height) + 0.5)),
        "x": ("x", PLACE.c + PLACE.a * (np.arange(width) + 0.5)),
    }


def plain(attrs: dict[str, Any] | None = None, dtype: str = "uint16", **coords: Any) -> xr.DataArray:
    values = texture(1, 24, 20)[0].astype(dtype)
    values[3:5, 4:8] = 7
    return xr.DataArray(values, dims=("y", "x"), coords=centres() | coords, attrs=attrs or {}, name="b")


def odc_stac() -> xr.DataArray:
    """A variable of a data set that odc-stac loaded: the fill value is in ``nodata``, the grid mapping CF's."""
    cf = pyproj.CRS(32618).to_cf()
    place = xr.Variable(
        (), np.int32(32618), {"spatial_ref": cf["crs_wkt"], **cf, "GeoTransform": "435730 10 0 4179460 0 -10"}
    )
    of_axis = {"units": "metre", "resolution": 10.0, "crs": "EPSG:32618"}
    array = xr.DataArray(
        np.stack([plain().values] * 2),
        dims=("time", "y", "x"),
        coords={
            "y": xr.Variable("y", centres()["y"][1], of_axis | {"resolution": -10.0}),
            "x": xr.Variable("x", centres()["x"][1], of_axis),
            "spatial_ref": place,
            "time": np.array(["2024-05-01", "2024-05-06"], "datetime64[ns]"),
        },
        attrs={"nodata": 7},
        name="red",
    )
    array.encoding["grid_mapping"] = "spatial_ref"
    return array


@dataclass
class RasterSpec:
    """The names that stackstac's description of a grid has."""

    epsg: int
    bounds: tuple[float, ...]
    resolutions_xy: tuple[float, float]


def stackstac(corners: bool = True, dtype: str = "float64") -> xr.DataArray:
    """As stackstac stacks items: coordinates at top left corners, CRS and affine among the attributes."""
    values = texture(4, 24, 20).reshape(2, 2, 24, 20).astype(dtype)
    shift = 5.0 if corners else 0.0
    return xr.DataArray(
        da.from_array(values, chunks=(1, 1, 16, 16)),
        dims=("time", "band", "y", "x"),
        coords={
            "time": np.array(["2024-05-01", "2024-05-06"], "datetime64[ns]"),
            "id": ("time", ["S2A_1", "S2B_2"]),
            "band": ["B04", "B08"],
            "x": centres()["x"][1] - shift,
            "y": centres()["y"][1] + shift,
            "common_name": ("band", ["red", "nir"]),
            "epsg": 32618,
        },
        attrs={
            "spec": RasterSpec(32618, (435730, 4179220, 435930, 4179460), (10, 10)),
            "crs": "epsg:32618",
            "transform": PLACE,
            "resolution": 10,
        },
        name="stackstac-0",
    )


@pytest.mark.parametrize("key", ["_FillValue", "missing_value", "fill_value", "nodata", "nodatavals"])
def test_fill_values_are_found_where_rioxarray_finds_them(key: str, tiny: Model) -> None:
    array = plain({key: (7.0,) if key == "nodatavals" else 7})
    scene = array.geomedsr.scene()
    assert scene.bands[0].nodata == 7 == array.rio.nodata
    assert (~scene.valid.values).sum() == 8
    made = array.geomedsr.upscale(tiny)
    assert (made.values[12:20, 16:32] == 7).all()
    assert (made.values == 7).sum() == 8 * 16
    assert made.rio.nodata == 7


def test_the_first_of_several_fill_values_is_rioxarrays_and_none_that_is_nan() -> None:
    both = plain({"nodata": 3, "_FillValue": 7})
    assert both.geomedsr.scene().bands[0].nodata == 7 == both.rio.nodata
    assert plain({"nodata": float("nan")}, "float32").geomedsr.scene().bands[0].nodata is None
    masked = plain({"nodata": 7}, "float32")
    masked.encoding["_FillValue"] = 7  # it was masked when it was opened
    assert masked.geomedsr.scene().bands[0].nodata is None
    assert np.isnan(masked.rio.nodata)
    two = xr.concat([plain(), plain()], "band").assign_attrs(nodatavals=(7.0, 9.0))
    assert [band.nodata for band in two.geomedsr.scene().bands] == [7, 9]


def test_odc_stac(tiny: Model) -> None:
    array = odc_stac()
    scene = array.geomedsr.scene()
    assert scene.bands == (Band("red", nodata=7),)
    assert scene.grid.affine == PLACE == array.rio.transform()
    assert CRS.from_wkt(scene.grid.crs) == array.rio.crs == UTM
    assert (scene.data.frame.values == array.time.values).all()
    made = array.geomedsr.upscale(tiny, value_range=(0, 4000))
    assert made.rio.transform(recalc=True) == PLACE @ Affine.scale(0.25)
    assert made.rio.crs == UTM
    assert made.rio.nodata == 7
    assert (made.x.attrs["resolution"], made.y.attrs["resolution"]) == (2.5, -2.5)
    assert array.x.attrs["resolution"] == 10.0
    assert (made.time == array.time).all()


def test_datacube_keeps_its_crs_in_an_attribute() -> None:
    array = plain({"crs": "EPSG:32618", "grid_mapping": "spatial_ref", "nodata": -999}, "int16")
    scene = array.geomedsr.scene()
    assert CRS.from_wkt(scene.grid.crs) == UTM
    assert scene.bands[0].nodata == -999


def test_stackstacs_coordinates_are_corners_and_its_transform_says_so(tiny: Model) -> None:
    array = stackstac()
    with pytest.warns(SceneWarning, match="coordinates are pixel corners, as stackstac"):
        scene = array.geomedsr.scene()
    assert scene.grid.affine == PLACE
    assert CRS.from_wkt(scene.grid.crs) == UTM
    assert [band.name for band in scene.bands] == ["B04", "B08"]
    with pytest.warns(SceneWarning, match="a result's are pixel centres"):
        made = array.geomedsr.upscale(tiny, value_range=(0, 4000))
    fine = PLACE @ Affine.scale(0.25)
    assert made.attrs["transform"] == fine == made.rio.transform(recalc=True)
    assert isinstance(made.attrs["transform"], Affine)
    assert made.attrs["resolution"] == 2.5
    assert made.attrs["spec"] == RasterSpec(32618, (435730, 4179220, 435930, 4179460), (2.5, 2.5))
    assert array.attrs["spec"].resolutions_xy == (10, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made.geomedsr.scene().grid.affine == fine  # again
        assert stackstac(corners=False).geomedsr.scene().grid.affine == PLACE


def test_parts_of_stackstacs_arrays_lie_where_they_are() -> None:
    part = stackstac().isel(y=slice(4, 20), x=slice(3, 19))
    with pytest.warns(SceneWarning, match="corners"):
        assert part.geomedsr.scene().grid.affine == PLACE @ Affine.translation(3, 4)
    with pytest.warns(SceneWarning, match="corners"):
        turned = stackstac().sortby("y").geomedsr.scene().grid.affine
    assert turned == Affine(10, 0, 435730, 0, 10, 4179460 - 240)
    with pytest.warns(SceneWarning, match="transform has pixels of 10 × -10, the coordinates of 20 × -20"):
        stackstac().coarsen(x=2, y=2).mean().assign_attrs(stackstac().attrs).geomedsr.scene()


def test_what_open_rasterio_of_xarray_wrote_is_made_true_of_the_result(tiny: Model) -> None:
    attrs = {
        "transform": tuple(PLACE)[:6],
        "crs": "+init=epsg:32618",
        "res": (10.0, 10.0),
        "is_tiled": 1,
        "nodatavals": (7.0,),
        "scales": (1.0,),
        "AREA_OR_POINT": "Area",
    }
    array = plain(attrs)
    made = array.geomedsr.upscale(tiny)
    assert made.attrs["transform"] == (2.5, 0, 435730, 0, -2.5, 4179460)
    assert made.attrs["res"] == (2.5, 2.5)
    assert made.attrs["nodatavals"] == (7.0,)
    assert CRS.from_wkt(made.geomedsr.scene().grid.crs) == UTM
    bare = array.drop_vars(["x", "y"])
    assert bare.geomedsr.scene().grid.affine == PLACE == bare.rio.transform()
    assert bare.geomedsr.upscale(tiny).rio.transform() == PLACE @ Affine.scale(0.25)


@pytest.mark.parametrize(
    "told",
    [
        "EPSG:32618",
        "epsg:32618",
        32618,
        np.int32(32618),
        "+proj=utm +zone=18 +datum=WGS84 +units=m +no_defs",
        UTM.to_wkt(),
        UTM,
        pyproj.CRS(32618),
        pyproj.CRS(32618).to_json(),
        pyproj.CRS(32618).to_json_dict(),
    ],
)
def test_a_crs_may_be_told_in_many_ways(told: Any) -> None:
    array = plain({"crs": told})
    wkt = array.geomedsr.scene().grid.crs
    assert wkt is not None
    assert CRS.from_wkt(wkt).to_dict() == UTM.to_dict()
    if isinstance(told, (str, int)):
        assert CRS.from_wkt(wkt) == array.rio.crs


@pytest.mark.parametrize("name", ["spatial_ref", "crs", "transverse_mercator", "lambert"])
def test_grid_mappings_of_any_name_with_or_without_wkt(name: str) -> None:
    lambert = {
        "grid_mapping_name": "lambert_conformal_conic",
        "standard_parallel": (25.0, 60.0),
        "longitude_of_central_meridian": -100.0,
        "latitude_of_projection_origin": 42.5,
        "false_easting": 0.0,
        "false_northing": 0.0,
        "semi_major_axis": 6378137.0,
        "inverse_flattening": 298.257223563,
    }
    array = plain(**{name: xr.Variable((), 0, lambert)})
    array.encoding["grid_mapping"] = name
    wkt = array.geomedsr.scene().grid.crs
    assert wkt is not None
    assert CRS.from_wkt(wkt) == array.rio.crs
    assert CRS.from_wkt(wkt).to_dict()["lat_2"] == 60
    del array.encoding["grid_mapping"]
    assert array.geomedsr.scene().grid.crs == wkt
    text = plain(**{name: xr.Variable((), 0, {"spatial_ref": "EPSG:32618"})})
    assert CRS.from_wkt(text.geomedsr.scene().grid.crs) == UTM
    text.attrs["grid_mapping"] = f"{name}: x y"
    assert CRS.from_wkt(text.geomedsr.scene().grid.crs) == UTM


def test_a_crs_that_is_none_is_told() -> None:
    with pytest.warns(SceneWarning, match="the CRS EPSG:nowhere is none that PROJ knows"):
        assert plain({"crs": "EPSG:nowhere"}).geomedsr.scene().grid.crs is None
    assert wkt_of({"grid_mapping_name": "of_my_own"}) is None
    assert CRS.from_wkt(plain({"crs": "EPSG:32618"}, crs=xr.Variable((), 0, {})).geomedsr.scene().grid.crs) == UTM


@pytest.mark.parametrize("told", [(1, 2, 3), ("a",) * 6, (0,) * 6, 5])
def test_a_transform_that_is_none_is_refused(told: Any) -> None:
    with pytest.raises(InputError, match=r"the attribute transform .*expected six numbers"):
        plain({"transform": told}).geomedsr.scene()


def test_a_rotated_transform_goes_before_coordinates_as_in_rioxarray() -> None:
    rotated = Affine(8, 2, 435730, 2, -8, 4179460)
    text = " ".join(map(str, rotated.to_gdal()))
    array = plain(spatial_ref=xr.Variable((), 0, {"spatial_ref": UTM.to_wkt(), "GeoTransform": text}))
    assert array.geomedsr.scene().grid.affine == rotated == array.rio.transform()


@pytest.mark.parametrize("lazy", [False, True])
def test_masked_arrays_keep_their_mask(lazy: bool, tiny: Model) -> None:
    values = texture(2, 24, 20)
    masked = np.ma.masked_less(values, 1500)
    masked[:, 2:6, 3:9] = np.ma.masked
    given = da.from_array(masked, chunks=(1, 10, 20)) if lazy else masked
    scene = Scene.from_array(given)
    assert scene.masked
    assert (scene.valid.values[0] == ~masked.mask).all()
    assert (scene.data.values[0] == values).all()
    sr = geomedsr.upscale(scene, tiny)
    plain_sr = geomedsr.upscale(Scene.from_array(values, valid=~masked.mask), tiny)
    assert (sr.data.values == plain_sr.data.values).all()
    also = np.ones((24, 20), bool)
    also[20:] = False
    assert (Scene.from_array(given, valid=also).valid.values[0] == (~masked.mask & also)).all()
    assert not Scene.from_array(np.ma.array(values)).masked


def test_a_mask_may_be_lazy_and_must_fit() -> None:
    values = texture(2, 24, 20)
    asked = []

    def seen(block: np.ndarray) -> np.ndarray:
        asked.append(block.shape)
        return block

    valid = da.from_array(values > 1500, chunks=(1, 12, 20)).map_blocks(seen, dtype=bool, meta=np.empty((0,) * 3, bool))
    scene = Scene.from_array(da.from_array(values, chunks=(1, 12, 20)), valid=valid)
    assert asked == []
    assert (scene.valid.values[0] == (values > 1500)).all()
    with pytest.raises(InputError, match=r"a mask of shape \(3, 4\) for an array of shape \(2, 24, 20\)"):
        Scene.from_array(values, valid=np.ones((3, 4), bool))


def test_from_array_keeps_what_a_data_array_says() -> None:
    array = odc_stac()
    scene = Scene.from_array(array.transpose("x", "time", "y"))
    told = array.geomedsr.scene()
    assert scene.grid == told.grid
    assert scene.bands == told.bands
    assert (scene.data.values == told.data.values).all()
    assert scene.frames is not None
    assert scene.frames.name == "time"
    assert (scene.frames.places == array.time.values).all()
    three = xr.DataArray(texture(3, 9, 8), dims=("band", "y", "x"), coords={"band": ["B04", "B03", "B02"]})
    turned = Scene.from_array(three.transpose("y", "x", "band"))
    assert [band.name for band in turned.bands] == ["B04", "B03", "B02"]
    assert (turned.data.values[0] == three.values).all()
    valid = xr.DataArray(np.arange(9) > 3, dims=("y",))
    assert (Scene.from_array(three.transpose("x", "y", "band"), valid=valid).valid.values[0, 0, :, 0] == valid).all()
    mine = Scene.from_array(array, grid=Grid((24, 20)), bands=[Band("mine")], name="other")
    assert mine.grid == Grid((24, 20))
    assert (mine.bands, mine.name) == ((Band("mine"),), "other")


def test_axes_without_names_are_taken_by_position() -> None:
    array = xr.DataArray(texture(3, 9, 8), attrs={"nodata": 7, "crs": "EPSG:32618"})
    scene = Scene.from_array(array)
    assert scene.shape == (1, 3, 9, 8)
    assert (scene.data.values[0] == array.values).all()
    assert [band.nodata for band in scene.bands] == [7, 7, 7]
    assert Scene.from_array(array.variable).shape == (1, 3, 9, 8)


@pytest.mark.parametrize(
    ("y", "x"), [("Y", "X"), ("lat", "lon"), ("Latitude", "Longitude"), ("rlat", "rlon"), ("j", "i")]
)
def test_axes_are_known_by_name_in_any_case_or_by_what_cf_says(y: str, x: str) -> None:
    standard = {
        "rlat": "grid_latitude",
        "rlon": "grid_longitude",
        "j": "projection_y_coordinate",
        "i": "projection_x_coordinate",
    }
    coords = {
        axis: (axis, centres()[at][1], {"standard_name": standard.get(axis, "")}) for at, axis in (("y", y), ("x", x))
    }
    array = xr.DataArray(texture(1, 24, 20)[0].T, dims=(x, y), coords=coords)
    scene = array.geomedsr.scene()
    assert scene.shape == (1, 1, 24, 20)
    assert scene.grid.affine == PLACE


def test_geozarrs_attributes_tell_axes_place_and_crs(tiny: Model) -> None:
    attrs = {
        "spatial:dimensions": ["rows", "cols"],
        "spatial:transform": list(PLACE)[:6],
        "spatial:shape": [24, 20],
        "proj:code": "EPSG:32618",
    }
    array = xr.DataArray(texture(1, 24, 20)[0], dims=("rows", "cols"), attrs=attrs)
    scene = array.geomedsr.scene()
    assert scene.grid.affine == PLACE
    assert CRS.from_wkt(scene.grid.crs) == UTM
    made = array.geomedsr.upscale(tiny)
    assert made.attrs["spatial:transform"] == [2.5, 0, 435730, 0, -2.5, 4179460]
    assert made.attrs["spatial:shape"] == [96, 80]
    nodes = array.assign_attrs({"spatial:registration": "node", "spatial:transform": [10, 0, 435735, 0, -10, 4179455]})
    assert nodes.geomedsr.scene().grid.affine == PLACE
    assert nodes.geomedsr.upscale(tiny).attrs["spatial:transform"] == [2.5, 0, 435731.25, 0, -2.5, 4179458.75]


def test_flags_are_carried_over_as_cf_marks_them(tiny: Model) -> None:
    array = plain({"flag_masks": [1, 2, 4], "flag_meanings": "a b c"}, "uint8")
    made = array.geomedsr.upscale(tiny)
    assert (made.values == array.values.repeat(4, 0).repeat(4, 1)).all()


def dates(chunks: tuple[int, ...] | None = None) -> xr.DataArray:
    """Two bands of three dates, the second much brighter; the third has data in a corner alone."""
    values = texture(6, 40, 30, "float32").reshape(3, 2, 40, 30)
    values[1] = values[1] * 2.5 + 700
    values[2, :, 4:] = np.nan
    return xr.DataArray(
        values if chunks is None else da.from_array(values, chunks=chunks),
        dims=("time", "band", "y", "x"),
        coords={"time": np.array(["2024-05-01", "2024-05-06", "2024-05-11"], "datetime64[ns]"), "band": ["B4", "B8"]},
    )


@pytest.mark.parametrize("chunks", [None, (1, 1, 20, 30), (3, 2, 40, 15)])
def test_each_date_may_have_its_own_value_scale(chunks: tuple[int, ...] | None, tiny: Model) -> None:
    array = dates(chunks)
    with pytest.warns(
        SceneWarning, match="its 3 frames are seen on one value scale, so each comes out a little differ"
    ):
        shared = array.geomedsr.upscale(tiny)
    own = array.geomedsr.upscale(tiny, values_per_frame=True)
    for i in range(3):
        alone = dates().isel(time=i).geomedsr.upscale(tiny)
        np.testing.assert_array_equal(own.isel(time=i).values, alone.values)
    assert not np.array_equal(shared.values, own.values, equal_nan=True)
    ranges = json.loads(own.attrs["GEOMEDSR_VALUE_RANGE"])
    assert np.shape(ranges) == (2, 3, 2)
    first = json.loads(dates().isel(time=0).geomedsr.upscale(tiny).attrs["GEOMEDSR_VALUE_RANGE"])
    assert [band[0] for band in ranges] == first
    scene = array.geomedsr.scene().with_values_per_frame()
    assert scene.select(["B8"]).values.low == tuple((row[1],) for row in scene.values.low)
    with pytest.raises(InputError, match="leave one out"):
        array.geomedsr.upscale(tiny, values_per_frame=True, value_range=(0, 1))


def test_a_slice_has_no_value_scale_of_its_own() -> None:
    plane = Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    scene = Scene.from_array(texture(1, 8, 8), grid=Grid((8, 8), planes=(plane,)))
    with pytest.raises(InputError, match="values per frame for array, a series of slices"):
        scene.with_values_per_frame()


@pytest.mark.parametrize("name", ["SCL", "QA_PIXEL", "fmask"])
def test_class_bands_are_known_by_name_as_in_files(name: str) -> None:
    assert plain(dtype="uint8").rename(name).geomedsr.scene().bands[0].kind == "nearest"
    bands = xr.DataArray(texture(2, 9, 8), dims=("band", "y", "x"), coords={"band": ["red", name]})
    assert [band.kind for band in bands.geomedsr.scene().bands] == ["continuous", "nearest"]
    told = xr.DataArray(texture(1, 9, 8), dims=("band", "y", "x"), coords={"band": [1]})
    told.attrs |= {"long_name": [name], "band_kind": ["continuous"]}  # as our own stores say it
    assert told.geomedsr.scene().bands[0].kind == "continuous"


def test_complex_values_are_refused_as_such() -> None:
    array = plain().astype("complex64").assign_attrs(_FillValue=np.complex64(0))
    with pytest.raises(InputError, match="type complex64, expected 2 to 4 axes"):
        array.geomedsr.scene()
