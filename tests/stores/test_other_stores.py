"""Zarr stores as others write them, and what others read of ours."""

import json
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from affine import Affine
from conftest import texture
from rasterio.crs import CRS

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, SceneWarning
from geomedsr.scene.frames import Frames
from geomedsr.scene.scene import Band, Scene

pytest.importorskip("zarr")
pytest.importorskip("rioxarray")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata"),
    pytest.mark.filterwarnings("ignore:The data type .*FixedLengthUTF32"),
]

UTM = CRS.from_epsg(32632)
PLACE = Affine(10, 0, 699960, 0, -10, 4700040)
PROJ = {
    "proj:bbox": [699960.0, 4699800.0, 700160.0, 4700040.0],
    "proj:epsg": 32632,
    "proj:shape": [24, 20],
    "proj:transform": [10.0, 0.0, 699960.0, 0.0, -10.0, 4700040.0, 0.0, 0.0, 1.0],
    "proj:wkt2": pyproj.CRS(32632).to_wkt(),
}


def axes(step: int = 10, height: int = 24, width: int = 20) -> dict[str, Any]:
    return {
        "y": ("y", (4700040 - step * np.arange(height) - step // 2).astype(np.int64)),
        "x": ("x", (699960 + step * np.arange(width) + step // 2).astype(np.int64)),
    }


def eopf(path: Path) -> dict[str, np.ndarray]:
    """A Sentinel-2 product as EOPF lays it out: Zarr version 2, a group for each resolution, no grid mapping."""
    names = ("b02", "b03", "b04", "b08")
    values = dict(zip(names, texture(4, 24, 20, low=1000), strict=True))
    values["b02"][:3] = 0
    attrs = {
        "_eopf_attrs": {"add_offset": -0.1, "scale_factor": 0.0001, "dimensions": ["y", "x"], "fill_value": 0},
        "add_offset": -0.1,
        "scale_factor": 0.0001,
        "dtype": "<u2",
        "fill_value": 0,
        "units": "digital_counts",
        "valid_max": 65535,
        "valid_min": 1,
        **PROJ,
    }
    told = {name: {**attrs, "long_name": f"BOA reflectance at spectral band {name}"} for name in names}
    fine = xr.Dataset({name: (("y", "x"), values[name], told[name]) for name in names}, axes())
    half = {"proj:shape": [12, 10], "proj:transform": [20.0, 0.0, 699960.0, 0.0, -20.0, 4700040.0, 0.0, 0.0, 1.0]}
    coarse = xr.Dataset({"b05": (("y", "x"), values["b04"][:12, :10], told["b04"] | half)}, axes(20, 12, 10))
    scl = xr.Dataset({"scl": (("y", "x"), np.full((12, 10), 4, np.uint8), PROJ | half)}, axes(20, 12, 10))
    xr.Dataset(attrs={"other_metadata": {"mission": "S2A"}}).to_zarr(path, zarr_format=2, mode="w")
    for group, data in (
        ("measurements/reflectance/r10m", fine),
        ("measurements/reflectance/r20m", coarse),
        ("conditions/mask/l2a_classification/r20m", scl),
    ):
        data.to_zarr(path, group=group, zarr_format=2, mode="a")
    return values


def test_eopf_products_open_by_group_and_by_band(tiny: geomedsr.Model, tmp_path: Path) -> None:
    path = tmp_path / "S2A_MSIL2A.zarr"
    values = eopf(path)
    with pytest.raises(InputError, match=r"in the groups conditions/mask.*, measurements/reflectance/r10m, .*r20m,"):
        geomedsr.open(path)
    scene = geomedsr.open(path / "measurements/reflectance/r10m")
    assert [band.name for band in scene.bands] == list(values)
    np.testing.assert_array_equal(scene.data.values[0], np.stack(list(values.values())))
    assert scene.grid.affine == PLACE
    assert CRS.from_wkt(scene.grid.crs) == UTM
    assert {(b.scale, b.offset, b.nodata, b.units) for b in scene.bands} == {(1e-4, -0.1, 0, "digital_counts")}
    assert not scene.valid.values[0, 0, :3].any()
    assert scene.physical().values[0, 1, 5, 5] == pytest.approx(values["b03"][5, 5] * 1e-4 - 0.1)
    assert geomedsr.open(path / "measurements/reflectance/r10m", nodata="none").valid.values.all()
    one = geomedsr.open(f"{path}/measurements/reflectance/r10m/b04")
    assert (one.data.values[0, 0] == values["b04"]).all()
    assert one.grid == scene.grid
    assert [band.name for band in geomedsr.open(path / "measurements/reflectance/r20m").bands] == ["b05"]
    out = tmp_path / "fine.zarr"
    geomedsr.write(geomedsr.upscale(scene, tiny), out)
    checks = geomedsr.verify(path / "measurements/reflectance/r10m", out)
    assert [check for check in checks if check.kept is False] == []


def test_a_command_says_which_groups_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "S2A_MSIL2A.zarr"
    eopf(path)
    assert main(["info", str(path)]) == 2
    assert "one group: name it, as in" in capsys.readouterr().err
    assert main(["info", str(path / "measurements/reflectance/r10m")]) == 0
    assert "b08" in capsys.readouterr().out


def test_a_rioxarray_data_set_of_bands_as_variables(raster: Any, tmp_path: Path) -> None:
    import rioxarray

    path = raster(texture(3, 24, 20), nodata=0, crs=UTM, transform=PLACE)
    rioxarray.open_rasterio(path, band_as_variable=True).to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    scene, source = geomedsr.open(tmp_path / "a.zarr"), geomedsr.open(path)
    assert [band.name for band in scene.bands] == ["band_1", "band_2", "band_3"]
    np.testing.assert_array_equal(scene.data.values, source.data.values)
    assert scene.grid.affine == source.grid.affine
    assert CRS.from_wkt(scene.grid.crs) == UTM
    assert {band.nodata for band in scene.bands} == {0}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "dims", [("Y", "X"), ("lat", "lon"), ("time", "y", "x"), ("time", "band", "y", "x"), ("x", "y")]
)
def test_axes_of_any_name_and_order(dims: tuple[str, ...], version: int, tmp_path: Path) -> None:
    sizes = {"time": 3, "band": 2, **dict(zip(dims[-2:] if dims[-1] != "y" else ("y", "x"), (24, 20), strict=True))}
    shape = [sizes[dim] for dim in dims]
    values = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    y, x = ("y", "x") if dims == ("x", "y") else dims[-2:]
    coords: dict[str, Any] = {y: (y, axes()["y"][1]), x: (x, axes()["x"][1])}
    if "time" in dims:
        coords["time"] = np.array(["2024-05-01", "2024-05-06", "2024-05-11"], "datetime64[ns]")
    if "band" in dims:
        coords["band"] = ["B04", "B08"]
    data = xr.DataArray(values, dims=dims, coords=coords)
    data.to_dataset(name="red").to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=version == 2)
    scene = geomedsr.open(tmp_path / "a.zarr")
    lifted = data.transpose(..., y, x).values.reshape(sizes["time"] if "time" in dims else 1, -1, 24, 20)
    np.testing.assert_array_equal(scene.data.values, lifted)
    np.testing.assert_array_equal(scene.select([1]).data.values, lifted[:, :1])
    assert scene.grid.affine == PLACE
    assert [band.name for band in scene.bands] == (["B04", "B08"] if "band" in dims else ["red"])
    if "time" in dims:
        assert scene.frames is not None
        assert (scene.frames.places == data.time.values).all()


def test_variables_of_times_are_bands_and_come_back_with_their_times(tiny: geomedsr.Model, tmp_path: Path) -> None:
    """As an odc-stac data set is stored; the classes beside it are left out, and told."""
    values = texture(4, 24, 20).reshape(2, 2, 24, 20)
    values[:, :, :2] = 0
    times = np.array(["2024-05-01", "2024-05-06"], "datetime64[ns]")
    place = xr.Variable((), np.int32(32632), {"spatial_ref": UTM.to_wkt(), **pyproj.CRS(32632).to_cf()})
    coords = {**axes(), "time": times, "spatial_ref": place}
    of = {"nodata": 0, "grid_mapping": "spatial_ref"}
    data = xr.Dataset(
        {name: (("time", "y", "x"), values[:, i], of) for i, name in enumerate(("nir", "red"))}
        | {"scl": (("time", "y", "x"), np.zeros((2, 24, 20), np.uint8), {"grid_mapping": "spatial_ref"})},
        coords,
    )
    data.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    with pytest.warns(
        SceneWarning, match=r"nir, red are bands of one scene; left out.*scl \(time, y, x: 2 × 24 × 20, uint8"
    ):
        scene = geomedsr.open(tmp_path / "a.zarr").with_range(0, 4000)
    np.testing.assert_array_equal(scene.data.values, values)
    assert CRS.from_wkt(scene.grid.crs) == UTM
    assert geomedsr.open(tmp_path / "a.zarr" / "scl").dtype == np.uint8
    sr = geomedsr.upscale(scene, tiny)
    geomedsr.write(sr, tmp_path / "b.zarr")
    with xr.open_zarr(tmp_path / "b.zarr", mask_and_scale=False) as stored:
        assert stored.image.dims == ("time", "band", "y", "x")
        assert (stored.time.values == times).all()
        np.testing.assert_array_equal(stored.image.values, sr.data.values)
        assert stored.rio.crs == UTM
    again = geomedsr.open(tmp_path / "b.zarr")
    np.testing.assert_array_equal(again.data.values, sr.data.values)
    assert again.bands == sr.bands
    with pytest.warns(SceneWarning, match="left out"):
        checks = geomedsr.verify(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert [check for check in checks if check.kept is False] == []


@pytest.mark.parametrize("name", ["crs", "transverse_mercator", "projection_info"])
def test_grid_mappings_of_any_name(name: str, tmp_path: Path) -> None:
    cf = {key: value for key, value in pyproj.CRS(32632).to_cf().items() if key != "crs_wkt"}
    data = xr.Dataset(
        {"v": (("y", "x"), texture(1, 24, 20)[0], {"grid_mapping": name})}, {**axes(), name: ((), 0, cf)}
    ).reset_coords(name)
    data.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    wkt = geomedsr.open(tmp_path / "a.zarr").grid.crs
    assert wkt is not None
    assert CRS.from_wkt(wkt) == xr.open_zarr(tmp_path / "a.zarr", decode_coords="all").rio.crs
    assert CRS.from_wkt(wkt).to_dict() == UTM.to_dict()


def test_geozarr_attributes_of_a_group(tmp_path: Path) -> None:
    attrs = {
        "zarr_conventions": [{"name": "spatial:"}, {"name": "proj:"}],
        "spatial:dimensions": ["row", "col"],
        "spatial:transform": list(PLACE)[:6],
        "proj:code": "EPSG:32632",
    }
    data = xr.Dataset({"b": (("row", "col"), texture(1, 24, 20)[0])}, attrs=attrs)
    data.to_zarr(tmp_path / "a.zarr", group="level/0", zarr_format=3, consolidated=False)
    scene = geomedsr.open(tmp_path / "a.zarr")  # the one group that holds a raster
    assert scene.grid.affine == PLACE
    assert CRS.from_wkt(scene.grid.crs) == UTM


def test_irregular_coordinates_and_stores_of_no_rasters_are_refused(tmp_path: Path) -> None:
    x = axes()["x"][1].astype(float)
    x[10:] += 4
    data = xr.DataArray(texture(1, 24, 20)[0], dims=("y", "x"), coords=axes() | {"x": ("x", x)})
    data.to_dataset(name="v").to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(InputError, match="coordinates of x that are not evenly spaced"):
        geomedsr.open(tmp_path / "a.zarr")
    xr.Dataset({"a": ("station", np.arange(5))}).to_zarr(tmp_path / "b.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(InputError, match="expected an array with axes such as"):
        geomedsr.open(tmp_path / "b.zarr")
    xr.Dataset({"a": (("u", "v"), np.ones((4, 5)))}).to_zarr(tmp_path / "c.zarr", zarr_format=2)
    for path in (tmp_path / "c.zarr", tmp_path / "c.zarr" / "a"):
        with pytest.raises(InputError, match="rename"):
            geomedsr.open(path)
    both = {"a": (("y", "x"), np.ones((4, 5))), "b": (("y", "x"), np.ones((4, 5), np.uint8))}
    xr.Dataset(both).to_zarr(tmp_path / "d.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(InputError, match=r"several shapes or types: a \(y, x: 4 × 5, float64\), b \("):
        geomedsr.open(tmp_path / "d.zarr")
    cubes = {name: (("band", "y", "x"), np.ones((2, 4, 5))) for name in ("a", "b")}
    xr.Dataset(cubes).to_zarr(tmp_path / "e.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(InputError, match="several arrays of bands"):
        geomedsr.open(tmp_path / "e.zarr")


def test_times_of_a_unit_of_ones_own_stay_numbers(tmp_path: Path) -> None:
    time = ("time", [0, 1], {"units": "revolutions since launch"})
    data = xr.Dataset({"v": (("time", "y", "x"), texture(2, 24, 20))}, axes() | {"time": time})
    data.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    scene = geomedsr.open(tmp_path / "a.zarr")
    assert scene.frames is not None
    assert scene.frames.places.tolist() == [0, 1]


@pytest.mark.parametrize("format", ["zarr", "zarr2"])
def test_xarray_reads_physical_values(format: str, raster: Any, tiny: geomedsr.Model, tmp_path: Path) -> None:
    def edit(dataset: Any) -> None:
        dataset.scales, dataset.offsets, dataset.units = (1e-4,) * 2, (-0.1,) * 2, ("1",) * 2

    values = texture(2, 24, 20)
    values[:, :4] = 0
    path = raster(values, nodata=0, edit=edit)
    sr = geomedsr.upscale(geomedsr.open(path), tiny)
    geomedsr.write(sr, tmp_path / "a.zarr", format=format)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored = xr.open_zarr(tmp_path / "a.zarr")
    np.testing.assert_allclose(stored.image.values, sr.physical().values[0], rtol=1e-6)
    assert stored.image.isnull().values[:, :16].all()
    assert stored.image.attrs["units"] == "1"
    again = geomedsr.open(tmp_path / "a.zarr")
    assert [(b.scale, b.offset, b.nodata, b.units) for b in again.bands] == [(1e-4, -0.1, 0, "1")] * 2
    assert [check for check in geomedsr.verify(path, tmp_path / "a.zarr") if check.kept is False] == []
    version = 2 if format == "zarr2" else 3
    stored.image.to_dataset().to_zarr(
        tmp_path / "b.zarr", zarr_format=version, consolidated=False
    )  # by one who knows nothing of our lists
    np.testing.assert_array_equal(geomedsr.open(tmp_path / "b.zarr").data.values, sr.data.values)


def test_bands_of_different_scales_and_fill_values_are_arrays_of_their_own(tmp_path: Path) -> None:
    values = texture(3, 24, 20)
    bands = [
        Band("SR/B4", scale=2e-5, offset=-0.2, nodata=0, units="1", role="red"),
        Band("ST_B10", scale=0.003, offset=149.0, nodata=65535, units="K"),
        Band("x", kind="nearest"),
    ]
    scene = Scene.from_array(values, bands=bands)
    geomedsr.write(scene, tmp_path / "a.zarr")
    stored = xr.open_zarr(tmp_path / "a.zarr")
    assert list(stored.data_vars) == ["SR_B4", "ST_B10", "x_3"]
    np.testing.assert_allclose(stored.ST_B10.values, values[1] * 0.003 + 149, rtol=1e-6)
    assert stored.ST_B10.attrs["units"] == "K"
    again = geomedsr.open(tmp_path / "a.zarr")
    assert again.bands == scene.bands
    np.testing.assert_array_equal(again.data.values, scene.data.values)


@pytest.mark.parametrize(
    ("kind", "nodata"), [("uint16", 0), ("int16", -999), ("uint8", None), ("float32", None), ("float64", -1.5)]
)
def test_gdal_opens_version_2(kind: str, nodata: float | None, tiny: geomedsr.Model, tmp_path: Path) -> None:
    values = texture(3, 60, 50, kind, low=10, high=200)
    grid = geomedsr.Grid((60, 50), PLACE, UTM.to_wkt())
    bands = [Band(name, nodata=nodata) for name in ("red", "green", "blue")]
    sr = geomedsr.upscale(Scene.from_array(values, grid=grid, bands=bands), tiny)
    out = tmp_path / "sr.zarr"
    assert geomedsr.write(sr, out, format="zarr2").regions
    assert not any(out.rglob("zarr.json"))
    with rasterio.open(f'ZARR:"{out}":/image') as found:
        np.testing.assert_array_equal(found.read(), sr.data.values[0])
        assert found.crs == UTM
        assert found.transform == PLACE @ Affine.scale(0.25)
        assert found.nodata == nodata or (nodata is None and (found.nodata is None or np.isnan(found.nodata)))
    with xr.open_zarr(out, mask_and_scale=False) as stored:
        np.testing.assert_array_equal(stored.image.values, sr.data.values[0])
    again = geomedsr.open(out)
    np.testing.assert_array_equal(again.data.values, sr.data.values)
    assert again.bands == sr.bands
    assert again.grid == sr.grid
    if shutil.which("gdalinfo"):
        told = subprocess.run(["gdalinfo", f'ZARR:"{out}":/image:0'], capture_output=True, text=True)
        assert "Size is 200, 240" in told.stdout, told.stderr


def test_a_store_of_version_2_is_replaced_and_goes_on(tiny: geomedsr.Model, tmp_path: Path) -> None:
    out = tmp_path / "sr.zarr"
    sr = geomedsr.upscale(Scene.from_array(texture(1, 30, 40)), tiny)
    geomedsr.write(sr, out, format="zarr2")
    geomedsr.write(sr, out, format="zarr2", overwrite=True)
    geomedsr.write(sr, out, overwrite=True)
    assert (out / "zarr.json").exists()
    np.testing.assert_array_equal(geomedsr.open(out).data.values, sr.data.values)
    with pytest.raises(geomedsr.GeomedsrError, match="zarr or zarr2"):
        geomedsr.write(sr, out, format="zarr4", overwrite=True)


def test_a_stack_with_a_mask(tmp_path: Path) -> None:
    values = texture(4, 24, 20).reshape(2, 2, 24, 20)
    valid = np.ones((2, 2, 24, 20), bool)
    valid[1, :, 5:9] = False
    places = np.array(["2024-05-01", "2024-05-06"], "datetime64[ns]")
    scene = Scene.from_array(values, valid=valid, frames=Frames("acquired", places))
    geomedsr.write(scene, tmp_path / "a.zarr")
    again = geomedsr.open(tmp_path / "a.zarr")
    np.testing.assert_array_equal(again.valid.values, valid)
    assert again.frames is not None
    assert again.frames.name == "acquired"
    assert (again.frames.places == places).all()


def test_dates_on_values_of_their_own(tiny_path: Path, tmp_path: Path) -> None:
    values = texture(2, 24, 20)[:, None]
    values[1] *= 3
    data = xr.DataArray(values[:, 0], dims=("time", "y", "x"), name="red")
    data.to_dataset().to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    words = ["upscale", str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr"), "--model", str(tiny_path), "--quiet"]
    assert main([*words, "--values-per-frame"]) == 0
    made = geomedsr.open(tmp_path / "b.zarr").data.values
    for i in range(2):
        alone = geomedsr.upscale(Scene.from_array(values[i]), tiny_path)
        np.testing.assert_array_equal(made[i], alone.data.values[0])


def test_stacks_are_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = np.array(["2024-05-01", "2024-05-06T10:30"], "datetime64[ns]")
    data = xr.Dataset({"scl": (("time", "y", "x"), np.ones((2, 24, 20), np.uint8))}, axes() | {"time": times})
    data.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    assert geomedsr.open(tmp_path / "a.zarr").bands[0].kind == "nearest"  # by its name
    assert main(["info", str(tmp_path / "a.zarr")]) == 0
    assert "  time   2: 2024-05-01 … 2024-05-06T10:30:00" in capsys.readouterr().out
    assert main(["info", "--json", str(tmp_path / "a.zarr")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frame_axis"], told["places"]) == ("time", ["2024-05-01", "2024-05-06T10:30:00"])
    assert main(["upscale", str(tmp_path / "a.zarr"), str(tmp_path / "a.tif"), "--values-per-frame"]) == 2
    assert "a stack of 2 frames for a raster, expected one of them: name a Zarr store" in capsys.readouterr().err
