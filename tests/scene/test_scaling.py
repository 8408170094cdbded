import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomedsr.errors import InputError
from geomedsr.scene.scaling import ValueScale

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


@given(st.sampled_from(DTYPES), st.integers(0, 2**32 - 1))
def test_normalising_inverts(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    low, high = (info.min / 2, info.max / 2) if info else (-1e5, 1e6)
    stored = (rng.random((1, 2, 9, 7)) * (high - low) + low).astype(dtype)
    scale = ValueScale.from_samples([stored[0, 0], stored[0, 1]])
    tensor = scale.normalise(stored)
    assert tensor.dtype.is_floating_point
    assert tensor.shape == stored.shape
    back = scale.invert(tensor)
    span = np.asarray(scale.high)[0] - np.asarray(scale.low)[0]
    error = np.abs(back - stored.astype(np.float64)) / span[:, None, None]
    assert error.max() < 1e-6


def test_percentiles_meet_zero_and_one_and_nothing_is_clamped() -> None:
    values = np.arange(0, 10_001, dtype=np.float32)
    scale = ValueScale.from_samples([values])
    assert scale.low == ((100.0,),)
    assert scale.high == ((9900.0,),)
    tensor = scale.normalise(np.array([-1e6, 100, 9900, 1e6], np.float32).reshape(1, 1, 1, 4)).ravel()
    assert tensor[1:3].tolist() == [0.0, 1.0]
    assert tensor[0] < -100
    assert tensor[3] > 100


@pytest.mark.parametrize("values", [np.empty(0), np.full(9, 7.0), np.zeros(5), np.r_[np.zeros(999), 50.0]])
def test_degenerate_samples_give_a_usable_range(values: np.ndarray) -> None:
    scale = ValueScale.from_samples([values])
    assert scale.low[0][0] < scale.high[0][0]
    if values.size and values.max() > values.min():
        assert (scale.low[0][0], scale.high[0][0]) == (0.0, 50.0)


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (float("nan"), 1), (0, float("inf")), (0, 1e-60), (-1e60, 0)])
def test_a_bad_range_is_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="LO < HI"):
        ValueScale.from_range(*limits, bands=1)


def test_each_frame_may_have_its_own_line() -> None:
    scale = ValueScale(((0.0,), (10.0,)), ((1.0,), (30.0,)))
    stored = np.array([0.5, 20.0]).reshape(2, 1, 1, 1)
    assert scale.normalise(stored).ravel().tolist() == [0.5, 0.5]
    assert scale.normalise(stored[1:], slice(1, 2)).ravel().tolist() == [0.5]


def test_ends_that_had_to_be_set_apart_are_known() -> None:
    samples = [np.array([]), np.full(9, 5), np.append(np.zeros(999), 1), np.arange(9)]
    scale = ValueScale.from_samples(samples)
    assert (scale.low[0][:3], scale.high[0][:3]) == ((0, 5, 0), (1, 10, 1))
    assert scale.widened == (True, True, False, False)
    assert scale.select([2, 1]).widened == (False, True)
