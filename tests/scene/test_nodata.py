"""``--nodata`` and ``scene.with_nodata``: values that files forget to tell."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr
from conftest import texture

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError
from geomedsr.models import Model
from geomedsr.scene.provenance import provenance_of

Raster = Callable[..., Path]


def holed(dtype: str = "uint16", value: float = 0, height: int = 40, width: int = 50) -> np.ndarray:
    array = texture(2, height, width, dtype)
    array[:, :, 30:] = value
    array[0, 5, 5] = value
    return array


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint16", 0), ("int16", -9999), ("float32", -9999.0), ("float64", math.nan)]
)
def test_a_file_that_forgets_it_gives_the_result_of_one_that_does_not(
    dtype: str, value: float, raster: Raster, tiny_path: Path, tmp_path: Path
) -> None:
    array = holed(dtype, value)
    bare, told = raster(array, "bare.tif"), raster(array, "told.tif", nodata=value)
    words = ["--model", str(tiny_path), "--quiet"]
    assert main(["upscale", str(told), str(tmp_path / "a.tif"), *words]) == 0
    assert main(["upscale", str(bare), str(tmp_path / "b.tif"), "--nodata", str(value), *words]) == 0
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        assert np.array_equal(a.read(), b.read(), equal_nan=dtype.startswith("f"))
        assert np.array_equal([a.nodata], [b.nodata], equal_nan=True)
        assert b.tags()["GEOMEDSR_NODATA"] == repr(value)
    assert [c.promise for c in geomedsr.verify(bare, tmp_path / "b.tif") if c.kept is False] == []
    geomedsr.write(geomedsr.upscale(geomedsr.open(bare, nodata=value), tiny_path), tmp_path / "c.tif")
    with rasterio.open(tmp_path / "b.tif") as b, rasterio.open(tmp_path / "c.tif") as c:
        assert np.array_equal(b.read(), c.read(), equal_nan=True)


def test_every_command_takes_it(
    raster: Raster, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = raster(holed(height=80, width=90)), tmp_path / "sr.tif"
    assert main(["info", str(path), "--nodata", "0", "--json"]) == 0
    assert [band["nodata"] for band in json.loads(capsys.readouterr().out)["bands"]] == [0, 0]
    assert main(["upscale", str(path), str(out), "--nodata", "0", "--model", str(tiny_path)]) == 0
    assert main(["verify", str(path), str(out), "--nodata", "0"]) == 0
    assert main(["verify", str(path), str(out), "--nodata", "7"]) == 1
    assert main(["report", str(path), str(out), "--nodata", "0", "-o", str(tmp_path / "a.html")]) == 0
    capsys.readouterr()
    scores = []
    for value in ("0", "none"):
        assert main(["evaluate", "--model", str(tiny_path), str(path), "--nodata", value, "--json"]) == 0
        scores.append(capsys.readouterr().out)
    assert scores[0] != scores[1]


def test_it_replaces_what_the_file_says(raster: Raster) -> None:
    path = raster(holed(), nodata=7)
    scene = geomedsr.open(path, nodata=0)
    assert [band.nodata for band in scene.bands] == [0, 0]
    assert not scene.valid.values[0, :, :, 30:].any()
    assert scene.valid.values[0, 1, :, :30].all()
    plain = geomedsr.open(raster(holed(), "other.tif", nodata=0), nodata="none")
    assert [band.nodata for band in plain.bands] == [None, None]
    assert plain.valid.values.all()
    assert provenance_of(plain)["GEOMEDSR_NODATA"] == "none"


def test_it_holds_for_bands_windows_and_arrays() -> None:
    array = holed()
    for scene in (Scene.from_array(array), Scene.from_array(array).crop(geomedsr.Window(0, 0, 50, 40))):
        chosen = scene.with_nodata(0).select([2]).crop(geomedsr.Window(20, 0, 20, 40))
        assert np.array_equal(chosen.valid.values[0, 0, 0], np.arange(20) < 10)
    whole = 2**63 - 1
    large = Scene.from_array(np.array([[whole, 1]])).with_nodata(str(whole))
    assert large.bands[0].nodata == whole
    assert large.valid.values.tolist() == [[[[False, True]]]]


@pytest.mark.parametrize("value", ["-1", "0.5", "70000", "nan", "zero", ""])
def test_a_value_that_no_pixel_can_have_is_refused(
    value: str, raster: Raster, capsys: pytest.CaptureFixture[str]
) -> None:
    path = raster(holed())
    assert main(["info", str(path), "--nodata", value]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: got the nodata value {value}".rstrip())
    assert "expected a value that uint16 holds, or none" in said.err
    with pytest.raises(InputError):
        geomedsr.open(path, nodata=value)


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint64", 2**60 + 1), ("uint64", 2**64 - 1), ("int64", -(2**63)), ("int64", 2**53)]
)
def test_a_value_that_rasters_cannot_tell_exactly_is_refused_before_any_work(
    dtype: str, value: int, tmp_path: Path, tiny: Model
) -> None:
    scene = Scene.from_array(holed("uint16").astype(dtype)).with_nodata(value)
    with pytest.raises(OutputError, match=f"the nodata value {value} for a raster, .*write a .zarr"):
        geomedsr.write(geomedsr.upscale(scene, tiny), tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == []
    largest = scene.with_nodata(2**53 - 1)
    geomedsr.write(geomedsr.upscale(largest, tiny), tmp_path / "out.tif")
    assert geomedsr.open(tmp_path / "out.tif").bands[0].nodata == 2**53 - 1


def test_what_is_no_number_and_no_array_is_refused_in_a_line() -> None:
    import torch

    with pytest.raises(InputError, match=r"the nodata value \[1, 2\] for array of type uint16"):
        Scene.from_array(holed()).with_nodata([1, 2])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got a Tensor, expected an array: convert it"):
        Scene.from_array(torch.zeros(3, 4, 4))


def test_a_series_has_none(tmp_path: Path) -> None:
    plane = geomedsr.geometry.grid.Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    grid = geomedsr.Grid((3, 4), planes=(plane,))
    with pytest.raises(InputError, match="a nodata value for the series"):
        Scene.from_array(np.zeros((3, 4), np.int16), grid=grid).with_nodata(0)


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">f8"])
def test_the_order_of_bytes_does_not_matter(dtype: str, tiny: Model) -> None:
    array = holed("float64").astype(dtype)
    native = array.astype(np.dtype(dtype).newbyteorder("="))
    expected = geomedsr.upscale(Scene.from_array(native), tiny).data.values
    labelled = xr.DataArray(array, dims=("band", "y", "x"))
    masked = np.ma.masked_equal(array, 0)
    for given in (array, da.from_array(array), labelled):
        scene = Scene.from_array(given)
        assert scene.dtype == native.dtype
        assert np.array_equal(geomedsr.upscale(scene, tiny).data.values, expected)
    assert np.array_equal(Scene.from_array(masked).valid.values[0], native != 0)
