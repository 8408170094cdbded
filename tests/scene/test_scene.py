import pickle

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from conftest import SAMPLE, texture
from hypothesis import given
from hypothesis import strategies as st

import geomedsr
from geomedsr import Band, Scene, Window
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.scene.sampling import sample


def test_the_sample_is_what_it_says() -> None:
    scene = geomedsr.open(SAMPLE / "input.tif")
    assert scene.shape == (1, 4, 72, 96)
    assert [b.name for b in scene.bands] == ["B02", "B03", "B04", "B08"]
    assert scene.data.dims == ("frame", "band", "y", "x")
    assert isinstance(scene.data.data, da.Array)
    assert scene.data.dtype == np.uint16
    assert float(scene.data.x[0]) == 436130 + 20
    assert float(scene.data.y[0]) == 4169380 - 20
    assert "B04" in repr(scene)


@given(st.data())
def test_tensor_inverts_to_source_units(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]))
    array = texture(2, 20, 30, dtype, seed=data.draw(st.integers(0, 99)), low=10, high=120)
    scene = Scene.from_array(array)
    window = Window(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9)), 20, 11)
    tensor = scene.tensor(window)
    assert tensor.dtype == torch.float32
    back = scene.values.invert(tensor)
    expected = array[None, :, window.row : window.row + 11, window.col : window.col + 20]
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-4)


def test_a_tensor_of_a_window_is_a_part_of_the_scenes(tmp_path: object) -> None:
    array = texture(1, 50, 60, "float32")
    array[0, 10:20, 20:50] = np.nan
    scene = Scene.from_array(array)
    whole = scene.tensor(Window(-30, -30, 120, 110))
    part = scene.tensor(Window(13, 5, 40, 9))
    assert torch.equal(part, whole[..., 35:44, 43:83])
    assert whole.isfinite().all()


def test_arrays_of_any_kind_wrap() -> None:
    array = texture(3, 8, 9)
    lazy = da.from_array(array, chunks=4)
    for given_array in (array, lazy, xr.DataArray(lazy, dims=("band", "y", "x"))):
        scene = Scene.from_array(given_array)
        assert (scene.data.values[0] == array).all()
    assert Scene.from_array(array[0]).shape == (1, 1, 8, 9)
    for bad in (np.zeros(3), np.zeros((2, 0, 3)), np.zeros((3, 3), complex), np.zeros((3, 3), bool)):
        with pytest.raises(InputError, match="axes"):
            Scene.from_array(bad)


def test_a_bands_nodata_value_is_no_data() -> None:
    scene = Scene.from_array(np.array([[[0, 1], [2, 0]]], np.int16), bands=[Band("a", nodata=0)])
    assert scene.valid.values[0, 0].tolist() == [[False, True], [True, False]]
    for bad in ("float16", "longdouble"):
        with pytest.raises(InputError, match="convert it"):
            Scene.from_array(np.ones((2, 2), bad))


def test_physical_is_scaled_and_masked() -> None:
    array = np.array([[[1, 2], [3, 0]]], np.int16)
    scene = Scene.from_array(array, valid=array != 0, bands=[Band("t", scale=0.5, offset=10)])
    physical = scene.physical().values[0, 0]
    assert physical[0].tolist() == [10.5, 11.0]
    assert np.isnan(physical[1, 1])


def test_bands_are_picked_by_name_any_case_or_number() -> None:
    scene = geomedsr.open(SAMPLE / "input.tif")
    picked = scene.select(["b08", 1, "B03"])
    assert [b.name for b in picked.bands] == ["B08", "B02", "B03"]
    whole = scene.data.values[0]
    assert (picked.data.values[0] == whole[[3, 0, 1]]).all()
    assert picked.values == scene.values.select([3, 0, 1])
    for bad in ("B99", 0, 5, "0"):
        with pytest.raises(InputError, match="B08"):
            scene.select([bad])
    with pytest.raises(InputError):
        scene.select([])


def test_a_number_that_is_also_a_name_is_a_name() -> None:
    scene = Scene.from_array(texture(2, 4, 4), bands=[Band("2"), Band("1")])
    assert scene.band_index("1") == 1
    assert scene.band_index(1) == 0


def test_crops_keep_place_and_scale() -> None:
    scene = geomedsr.open(SAMPLE / "input.tif")
    part = scene.crop(Window(10, 20, 30, 40))
    assert (part.data.values == scene.data.values[..., 20:60, 10:40]).all()
    assert part.values == scene.values
    assert part.grid.affine @ (0, 0) == scene.grid.affine @ (10, 20)
    for bad in (Window(0, 0, 97, 1), Window(-1, 0, 5, 5), Window(0, 0, 0, 5), Window(90, 70, 10, 10)):
        with pytest.raises(InputError, match="inside the scene"):
            scene.crop(bad)


def test_lazy_data_is_picklable_and_computes_only_what_is_asked() -> None:
    class Counting(type(Scene.from_array(texture(1, 8, 8)).source)):  # type: ignore[misc]
        reads = 0

        def read(self, box: Box) -> np.ndarray:
            Counting.reads += 1
            return super().read(box)

    array = texture(1, 2000, 2000)[None]
    scene = Scene(Counting(array), geomedsr.Grid((2000, 2000)), (Band("1"),))
    corner = scene.data[..., :100, :100].values
    assert (corner == array[..., :100, :100]).all()
    assert Counting.reads == 1
    real = geomedsr.open(SAMPLE / "input.tif")
    assert (pickle.loads(pickle.dumps(real)).data.values == real.data.values).all()


def test_sampling_is_capped_and_finds_rare_data() -> None:
    array = np.zeros((1, 1, 3000, 3000), np.uint16)
    array[..., 2900:2950, 1700:1720] = 77
    scene = Scene.from_array(array[0], valid=array[0] != 0)
    values = sample(scene.source, pixels=1 << 18)
    assert values[0].size > 0
    assert (values[0] == 77).all()
    everywhere = sample(Scene.from_array(array[0]).source, pixels=1 << 18)
    assert everywhere[0].size <= 1 << 18


def test_what_is_no_array_is_refused() -> None:
    dataset = xr.Dataset({"data": (("y", "x"), np.zeros((3, 4)))})
    with pytest.raises(InputError, match=r"got a Dataset, expected an array: .*take one of its variables"):
        Scene.from_array(dataset)
    with pytest.raises(InputError, match="got a list, expected an array"):
        Scene.from_array([[1, 2], [3, 4]])
    some = da.ones((6, 4), chunks=2)[da.arange(6, chunks=2) % 2 == 0]  # how many rows, is not known
    with pytest.raises(InputError, match=r"shape \(nan, 4\).*of known lengths"):
        Scene.from_array(some)
