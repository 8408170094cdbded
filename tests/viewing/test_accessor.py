import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from conftest import texture
from rasterio.crs import CRS

import geomedsr
from geomedsr.errors import InputError
from geomedsr.geometry.grid import Grid
from geomedsr.models import Model
from geomedsr.scene.scene import Band, Scene

UTM = CRS.from_epsg(32618).to_wkt()


def like_rioxarray(values: np.ndarray, nodata: int | None = None, lazy: bool = False) -> xr.DataArray:
    """As rioxarray opens a file."""
    bands, height, width = values.shape
    affine = Affine(10, 0, 435730, 0, -10, 4179460)
    place = {"crs_wkt": UTM, "spatial_ref": UTM, "GeoTransform": "435730.0 10.0 0.0 4179460.0 0.0 -10.0"}
    attrs: dict[str, object] = {"AREA_OR_POINT": "Area", "long_name": tuple(f"B{i}" for i in range(bands))}
    if nodata is not None:
        attrs["_FillValue"] = nodata
    return xr.DataArray(
        da.from_array(values, chunks=(1, 16, 16)) if lazy else values,
        dims=("band", "y", "x"),
        coords={
            "band": np.arange(1, bands + 1),
            "x": affine.c + 10 * (np.arange(width) + 0.5),
            "y": affine.f - 10 * (np.arange(height) + 0.5),
            "spatial_ref": xr.Variable((), 0, place),
            "acquired": "2024-05-01",
        },
        attrs=attrs,
        name="scene",
    )


def test_the_same_pixels_as_a_scene(tiny: Model) -> None:
    values = texture(2, 40, 50)
    array = like_rioxarray(values)
    made = array.geomedsr.upscale(tiny)
    grid = Grid((40, 50), Affine(10, 0, 435730, 0, -10, 4179460), UTM)
    scene = Scene.from_array(values, grid=grid, bands=[Band("B0"), Band("B1")])
    assert (made.values == geomedsr.upscale(scene, tiny).data.values[0]).all()
    assert made.dtype == array.dtype


def test_coordinates_and_attributes(tiny: Model) -> None:
    array = like_rioxarray(texture(2, 40, 50))
    made = array.geomedsr.upscale(tiny)
    assert made.dims == ("band", "y", "x")
    assert made.name == "scene"
    assert made.x.values == pytest.approx(435730 + 2.5 * (np.arange(200) + 0.5))
    assert made.y.values == pytest.approx(4179460 - 2.5 * (np.arange(160) + 0.5))
    assert made.band.values.tolist() == [1, 2]
    assert made.acquired.item() == "2024-05-01"
    assert made.spatial_ref.attrs["crs_wkt"] == UTM
    assert [float(v) for v in made.spatial_ref.attrs["GeoTransform"].split()] == [435730, 2.5, 0, 4179460, 0, -2.5]
    assert made.attrs["AREA_OR_POINT"] == "Area"
    assert made.attrs["GEOMEDSR_MODEL"] == "tiny"
    assert array.spatial_ref.attrs["GeoTransform"].startswith("435730.0 10.0")  # the input's is its own


def test_rioxarray_agrees(tiny: Model) -> None:
    pytest.importorskip("rioxarray")
    made = like_rioxarray(texture(1, 24, 24), nodata=0).geomedsr.upscale(tiny)
    assert made.rio.crs == CRS.from_epsg(32618)
    assert made.rio.transform() == Affine(2.5, 0, 435730, 0, -2.5, 4179460)
    assert made.rio.nodata == 0


def test_lazy_in_lazy_out(tiny: Model) -> None:
    read = []

    def watch(block: np.ndarray, block_info: dict | None = None) -> np.ndarray:
        if block_info:
            read.append(block_info[0]["chunk-location"])
        return block

    array = like_rioxarray(texture(1, 256, 256), lazy=True)
    array.data = array.data.map_blocks(watch, dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16))
    made = array.geomedsr.upscale(tiny, value_range=(0, 5000), tile=32)
    assert isinstance(made.data, da.Array)
    assert read == []
    part = made[0, :32, :32].values
    assert 0 < len(set(read)) < 64  # of 256
    assert part.reshape(8, 4, 8, 4).mean((1, 3)).tolist() == array.values[0, :8, :8].tolist()


@pytest.mark.parametrize("dims", [("y", "x"), ("time", "y", "x"), ("time", "band", "y", "x"), ("y", "x", "band")])
def test_axes_keep_their_order(tiny: Model, dims: tuple[str, ...]) -> None:
    sizes = {"time": 2, "band": 3, "y": 24, "x": 32}
    values = texture(6, 24, 32).reshape(2, 3, 24, 32)
    whole = xr.DataArray(values, dims=("time", "band", "y", "x"))
    array = whole.isel({axis: 0 for axis in sizes if axis not in dims}).transpose(*dims)
    made = array.geomedsr.upscale(tiny, value_range=(0, 5000))
    assert made.dims == dims
    assert [made.sizes[d] for d in dims] == [sizes[d] * (4 if d in "xy" else 1) for d in dims]
    back = made.coarsen(x=4, y=4).mean()
    assert (back == array).all()


def test_latitude_and_longitude(tiny: Model) -> None:
    array = xr.DataArray(
        texture(1, 24, 32)[0].astype(np.float32),
        dims=("lat", "lon"),
        coords={"lat": 60 - 0.01 * np.arange(24), "lon": 10 + 0.01 * np.arange(32)},
        attrs={"units": "K"},
    )
    made = array.geomedsr.upscale(tiny)
    assert made.lat.values[0] == pytest.approx(60 + 0.005 - 0.00125)
    assert made.lon.values[-1] == pytest.approx(10.31 + 0.005 - 0.00125)
    assert made.attrs["units"] == "K"


def test_no_data_stays_none(tiny: Model) -> None:
    values = texture(1, 24, 24)
    values[0, 5:9, 5:9] = 7
    made = like_rioxarray(values, nodata=7).geomedsr.upscale(tiny)
    assert (made.values[0] == 7).sum() == 16 * 16
    assert (made.values[0, 20:36, 20:36] == 7).all()
    floats = values[0].astype(np.float32)
    floats[5:9, 5:9] = np.nan
    masked = xr.DataArray(floats, dims=("y", "x")).geomedsr.upscale(tiny)
    assert int(masked.isnull().sum()) == 256


def test_what_is_no_grid_is_refused(tiny: Model) -> None:
    with pytest.raises(InputError, match="axes a, b, expected spatial ones"):
        xr.DataArray(np.zeros((3, 3)), dims=("a", "b")).geomedsr.upscale(tiny)
    with pytest.raises(InputError, match="at most one besides band"):
        xr.DataArray(np.zeros((2, 2, 3, 3)), dims=("a", "b", "y", "x")).geomedsr.upscale(tiny)
    uneven = xr.DataArray(np.zeros((3, 3)), dims=("y", "x"), coords={"x": [0.0, 1.0, 3.0], "y": [0.0, 1.0, 2.0]})
    with pytest.raises(InputError, match="coordinates of x that are not evenly spaced"):
        uneven.geomedsr.upscale(tiny)


def test_a_scenes_own_array_has_it_too(sentinel: Scene, tiny: Model) -> None:
    made = sentinel.data.geomedsr.upscale(tiny)
    assert (made.values == geomedsr.upscale(sentinel, tiny).data.values).all()
    scene = sentinel.data.geomedsr.scene()
    assert scene.grid.affine == sentinel.grid.affine
    assert scene.grid.crs == sentinel.grid.crs


def test_bands_of_our_own_stores_keep_what_they_show_and_are(tiny: Model, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    bands = [Band("x", role="red"), Band("scl", kind="nearest"), Band("y"), Band("z", role="nir")]
    geomedsr.write(Scene.from_array(texture(4, 20, 24), bands=bands), tmp_path / "in.zarr")
    image = xr.open_zarr(tmp_path / "in.zarr", mask_and_scale=False).image

    def told(array: xr.DataArray) -> list[tuple[str, str, str | None]]:
        return [(band.name, band.kind, band.role) for band in array.geomedsr.scene().bands]

    all_of_them = [(band.name, band.kind, band.role) for band in bands]
    assert told(image) == all_of_them
    assert told(image.sel(band=[4, 2])) == [all_of_them[3], all_of_them[1]]
    assert told(image.isel(band=[1, 0, 3, 2])) == [all_of_them[i] for i in (1, 0, 3, 2)]
    assert told(image.sel(band=2)) == [all_of_them[1]]
    assert told(image.assign_coords(band=[1.0, 2.0, 3.0, 4.0]).sel(band=[3, 1])) == [all_of_them[2], all_of_them[0]]
    assert told(image.drop_vars("band")) == all_of_them  # as many as are listed
    assert told(image.assign_coords(band=[0, 1, 2, 3])) == all_of_them  # no numbers from 1
    unknown: list[tuple[str, str, str | None]] = [("1", "continuous", None), ("2", "continuous", None)]
    assert told(image.drop_vars("band").isel(band=[1, 3])) == unknown
    assert told(image.assign_coords(band=[1.5, 2, 3, 4]).isel(band=[0, 1])) == [
        ("1.5", "continuous", None),
        ("2.0", "continuous", None),
    ]
    classes = image.sel(band=[2])
    made = classes.geomedsr.upscale(tiny)
    assert (made.values == classes.values.repeat(4, 1).repeat(4, 2)).all()  # carried over, not computed


@pytest.mark.parametrize(
    "order",
    [
        "import geomedsr, xarray",
        "import xarray, geomedsr",
        "import geomedsr.accessor, xarray",
        "import geomedsr; geomedsr.accessor; import xarray",
    ],
)
def test_it_is_there_whatever_is_imported_first(order: str) -> None:
    code = f"{order}; xarray.DataArray.geomedsr; print(type(xarray.DataArray([[1]]).geomedsr).__name__)"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert run.stdout == "DataArrayAccessor\n", run.stderr


def test_xarray_is_not_imported_for_it_nor_torch_with_xarray() -> None:
    code = "import sys, geomedsr; print(*(name in sys.modules for name in ('xarray', 'PIL', 'matplotlib')), end=' '); "
    code += "import xarray; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "False False False False\n", run.stderr


@pytest.mark.parametrize("fill", [-9999, float("nan"), float("inf"), 7.5, np.array([300.0])])
def test_a_fill_value_that_no_pixel_can_have_is_none(fill: object, tiny: Model) -> None:
    array = xr.DataArray(texture(1, 24, 24)[0].astype(np.uint8), dims=("y", "x"), attrs={"_FillValue": fill})
    assert array.geomedsr.scene().bands[0].nodata is None
    assert (array.geomedsr.upscale(tiny).coarsen(x=4, y=4).mean() == array).all()


def test_attributes_that_make_no_sense_are_refused() -> None:
    array = xr.DataArray(np.ones((4, 4), np.int16), dims=("y", "x"))
    for fill in ("n/a", np.array([-1, -2])):
        with pytest.raises(InputError, match=r"the fill value .*expected one number: correct the attribute"):
            array.assign_attrs(_FillValue=fill).geomedsr.scene()
    assert array.assign_attrs(_FillValue=np.array([3])).geomedsr.scene().bands[0].nodata == 3
    place = xr.Variable((), 0, {"GeoTransform": "a b c d e f"})
    with pytest.raises(InputError, match="the GeoTransform a b c d e f, expected six numbers"):
        array.assign_coords(spatial_ref=place).geomedsr.scene()


def test_coordinates_of_few_digits_are_even_as_far_as_they_go() -> None:
    def scene(step: float) -> Scene:
        lon, lat = (start + step * np.arange(400) for start in (170, 50))
        coords = {"lon": lon.astype(np.float32), "lat": lat.astype(np.float32)}
        made: Scene = xr.DataArray(np.zeros((400, 400)), dims=("lat", "lon"), coords=coords).geomedsr.scene()
        return made

    affine = scene(0.0025).grid.affine
    assert affine is not None
    assert affine.a == pytest.approx(0.0025, rel=1e-4)
    assert affine.c == pytest.approx(170 - 0.00125, abs=2e-5)
    with pytest.raises(InputError, match="not evenly spaced"):
        scene(0.00002)  # about what a float32 tells apart there


@pytest.mark.parametrize("picks", [[3, 0], [1, 0, 3, 2]])
def test_bands_are_called_what_they_are_wherever_xarray_moved_them(picks: list[int]) -> None:
    array = like_rioxarray(texture(4, 9, 8)).isel(band=picks)
    assert [band.name for band in array.geomedsr.scene().bands] == [f"B{i}" for i in picks]
