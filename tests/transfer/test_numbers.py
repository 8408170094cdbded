"""Values as whole numbers, and exact means of blocks."""

from typing import Any

import numpy as np
import pytest

from geomedsr.transfer.numbers import means, stored, whole

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_whole_numbers_keep_their_order_and_come_back(dtype: str) -> None:
    info = np.iinfo(dtype)
    values = np.array([info.min, info.min + 1, info.max // 2, info.max - 1, info.max], dtype)
    numbers = whole(values)
    assert numbers.dtype == np.int64
    assert (np.diff(numbers.astype(object)) > 0).all()
    assert (stored(numbers, np.dtype(dtype)) == values).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_keep_their_order_and_their_bits(dtype: str) -> None:
    values = np.array([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 1.0, 1.0001, 3e38, np.inf, np.nan], dtype)
    numbers = whole(values)
    assert (np.diff(numbers.astype(object)) > 0).all()
    assert stored(numbers, values.dtype).tobytes() == values.tobytes()


def rounded(values: np.ndarray) -> int:
    """The mean, halves up, in Python's integers."""
    numbers = [int(v) for v in values.ravel()]
    return (2 * sum(numbers) + len(numbers)) // (2 * len(numbers))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_means_are_exact(dtype: str, factor: int) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(3)
    values = rng.integers(info.min, info.max, (1, 2, 10, 7), dtype, endpoint=True)
    values[0, 1] = np.where(rng.random((10, 7)) < 0.5, info.min, info.max)
    found, data = means(values, np.ones(values.shape, bool), factor, [None, None], [False, False])
    assert data.all()
    for band in range(2):
        for row in range(found.shape[2]):
            for col in range(found.shape[3]):
                block = values[0, band, row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
                assert found[0, band, row, col] == rounded(block)


@pytest.mark.parametrize("dtype", ["uint16", "int64"])
def test_what_is_no_data_is_not_averaged(dtype: str) -> None:
    values = np.array([[10, 0, 0, 0], [20, 0, 0, 0]], dtype)[None, None]
    found, data = means(values, values != 0, 2, [0], [False])
    assert found.tolist() == [[[[15, 0]]]]
    assert data.tolist() == [[[[True, False]]]]


def test_a_mean_is_never_the_nodata_value() -> None:
    values = np.array([[-3, 3], [-3, 3]], "int16")[None, None]
    found, _ = means(values, np.ones(values.shape, bool), 2, [0], [False])
    assert found.item() == 1


def test_under_a_mask_what_is_stored_is_averaged() -> None:
    values = np.array([[4, 6], [8, 10]], "uint8")[None, None]
    found, data = means(values, np.zeros(values.shape, bool), 2, [None], [False])
    assert (found.item(), data.item()) == (7, False)


def test_floats_are_averaged_where_they_are_finite() -> None:
    values = np.array([[1, np.nan, np.nan, np.nan], [2, np.inf, np.nan, np.nan]], "float32")[None, None]
    found, data = means(values, np.isfinite(values), 2, [None], [False])
    assert found[0, 0, 0, 0] == 1.5
    assert np.isnan(found[0, 0, 0, 1])
    assert data.tolist() == [[[[True, False]]]]


def test_classes_are_taken_from_the_middle() -> None:
    values = np.arange(25, dtype="uint8").reshape(1, 1, 5, 5)
    found, _ = means(values, np.ones(values.shape, bool), 4, [None], [True])
    assert found[0, 0].tolist() == [[12, 14], [22, 24]]


@pytest.mark.parametrize("value", [255, 254])
def test_beside_the_greatest_nodata_value_there_is_room(value: Any) -> None:
    values = np.array([[value - 1, 255], [value - 1, 255]], "uint8")[None, None]
    found, _ = means(values, np.ones(values.shape, bool), 2, [value], [False])
    assert found.item() != value
