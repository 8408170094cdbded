import numpy as np
import pytest
from conftest import block_sums
from hypothesis import given
from hypothesis import strategies as st

from geomedsr.geometry import Factors
from geomedsr.operators.conserve import conserve, unconserved
from geomedsr.operators.sub_pixel import split

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


def random_integers(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values all over the type, many of them at its ends."""
    info = np.iinfo(dtype)
    base = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    near_low, near_high, kind = rng.integers(0, 4, shape), rng.integers(0, 4, shape), rng.integers(0, 3, shape)
    near_low = (near_low.astype(object) + info.min).astype(dtype)
    near_high = (info.max - near_high.astype(object)).astype(dtype)
    return np.where(kind == 0, near_low, np.where(kind == 1, near_high, base))


SHAPES = [(1, 2, 2), (1, 3, 3), (1, 4, 4), (1, 1, 1), (2, 1, 1), (5, 1, 1), (2, 2, 2), (3, 1, 2)]


@given(
    st.sampled_from(INTEGERS),
    st.sampled_from(SHAPES),
    st.sampled_from([0.01, 3.0, 1e4, 1e12]),
    st.integers(0, 10**6),
)
def test_integer_blocks_sum_to_the_input_exactly(
    dtype: str, shape: tuple[int, int, int], span: float, seed: int
) -> None:
    rng, factors = np.random.default_rng(seed), Factors(*shape)
    base = random_integers(rng, dtype, (3, 2, 6, 5))
    fine = rng.normal(size=(3 * factors.frame, 2, 6 * factors.y, 5 * factors.x)).astype(np.float32)
    out = conserve(base, split(fine, factors), factors, np.full((3, 2, 1, 1), span))
    assert out.dtype == base.dtype
    blocks = out.astype(object).reshape(3, factors.frame, 2, 6, factors.y, 5, factors.x)
    assert (blocks.sum((1, 4, 6)) == base.astype(object) * factors.volume).all()
    if span == 3.0 and factors.volume > 1:  # it is not just the input repeated
        assert (out != base.repeat(factors.frame, 0).repeat(factors.y, -2).repeat(factors.x, -1)).any()


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 2, 2), (1, 1, 1)])
def test_float_blocks_average_to_the_input_along_all_axes(shape: tuple[int, int, int]) -> None:
    rng, factors = np.random.default_rng(0), Factors(*shape)
    base = rng.normal(size=(3, 1, 6, 5)).astype(np.float32)
    fine = rng.normal(size=(3 * factors.frame, 1, 6 * factors.y, 5 * factors.x)).astype(np.float32)
    out = conserve(base, split(fine, factors), factors, np.full((1, 1, 1, 1), 2.0))
    blocks = out.astype(np.float64).reshape(3, factors.frame, 1, 6, factors.y, 5, factors.x)
    assert np.abs(blocks.mean((1, 4, 6)) - base).max() <= np.spacing(np.abs(out).max())
    means = fine.astype(np.float64).reshape(blocks.shape).mean((1, 4, 6), keepdims=True)
    expected = 2 * (fine.reshape(blocks.shape) - means) + base[:, None, :, :, None, :, None]
    assert np.abs(blocks - expected).max() < 1e-5  # the deviations are the network's


@given(st.sampled_from(INTEGERS), st.integers(-3, 3), st.integers(0, 10**6))
def test_no_valid_pixel_takes_the_nodata_value(dtype: str, where: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    nodata = {-3: info.min, 3: info.max}.get(where, max(info.min, 40 + where))
    base = np.clip(rng.integers(30, 50, (1, 1, 8, 8)), info.min, info.max).astype(dtype)
    base[0, 0, 0, :2] = info.min, info.max
    base[base == nodata] = 37
    fine = rng.normal(size=(1, 1, 32, 32)).astype(np.float32)
    out = conserve(base, split(fine, Factors.in_plane(4)), Factors.in_plane(4), np.full((1, 1, 1, 1), 9.0), nodata)
    assert not (out == nodata).any()
    assert (block_sums(out, 4) == base.astype(object) * 16).all()


def test_rounded_deviations_are_floor_or_ceiling() -> None:
    rng = np.random.default_rng(3)
    base = np.full((1, 1, 30, 30), 20_000, np.uint16)
    fine = rng.normal(size=(1, 1, 120, 120)).astype(np.float32)
    out = conserve(base, split(fine, Factors.in_plane(4)), Factors.in_plane(4), np.full((1, 1, 1, 1), 100.0)).astype(
        float
    )
    mean = fine.reshape(30, 4, 30, 4).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    assert np.abs(out[0, 0] - 20_000 - (fine[0, 0] - mean) * 100).max() < 1.001


def test_large_values_keep_their_digits() -> None:
    base = np.array([[2**31 - 17, -(2**31) + 5]], np.int32)[None, None]
    fine = np.random.default_rng(0).normal(size=(1, 1, 4, 8)).astype(np.float32)
    out = conserve(base, split(fine, Factors.in_plane(4)), Factors.in_plane(4), np.full((1, 1, 1, 1), 2.0))
    assert (block_sums(out, 4) == base.astype(object) * 16).all()
    assert len(np.unique(out)) > 4


@given(st.sampled_from(["float32", "float64"]), st.sampled_from([1e-30, 1.0, 1e12]), st.integers(0, 10**6))
def test_float_block_means_are_within_one_ulp(dtype: str, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = (rng.normal(size=(1, 1, 7, 6)) * size + size * 3).astype(dtype)
    fine = rng.normal(size=(1, 1, 28, 24)).astype(np.float32)
    out = conserve(base, split(fine, Factors.in_plane(4)), Factors.in_plane(4), np.full((1, 1, 1, 1), size))
    assert out.dtype == base.dtype
    blocks = out.reshape(7, 4, 6, 4).astype(np.longdouble)
    ulp = np.spacing(np.abs(out).reshape(7, 4, 6, 4).max((1, 3)))
    assert (np.abs(blocks.mean((1, 3)) - base[0, 0]) <= ulp).all()
    assert blocks.std() > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_blocks_near_the_end_of_the_type_keep_their_mean(dtype: str) -> None:
    limit = np.finfo(dtype).max
    base = (np.array([[[[0.97, 0.5, -0.99]]]]) * limit).astype(dtype)
    fine = np.zeros((1, 1, 4, 12), np.float32)
    fine[..., 3, 3::4] = 1
    out = conserve(base, split(fine, Factors.in_plane(4)), Factors.in_plane(4), np.full((1, 1, 1, 1), float(limit) / 4))
    blocks = out.reshape(4, 3, 4).astype(np.longdouble).mean((0, 2))
    assert (np.abs(blocks - base[0, 0, 0]) <= np.spacing(np.abs(out).reshape(4, 3, 4).max((0, 2)))).all()
    assert (out[..., 4:8] != base[0, 0, 0, 1]).any()


def test_floats_step_off_the_nodata_value_within_the_promise() -> None:
    base = np.zeros((1, 1, 2, 2), np.float32) + 1
    fine = np.zeros((1, 1, 4, 4), np.float32)
    fine[..., ::2, :] = 1  # deviations ±½, so half of the pixels are exactly 0
    out = conserve(base, split(fine, Factors.in_plane(2)), Factors.in_plane(2), np.full((1, 1, 1, 1), 2.0), nodata=0.0)
    assert not (out == 0).any()
    assert np.abs(out.reshape(2, 2, 2, 2).mean((1, 3)) - 1).max() <= np.spacing(np.float32(2))


def test_without_conserving_values_are_rounded_and_clipped_never_wrapped() -> None:
    fine = np.array([-0.5, 0.1, 0.5, 0.506, 2.0], np.float32).reshape(1, 1, 1, 5)
    got = unconserved(fine, np.zeros((1, 1, 1, 1)), np.full((1, 1, 1, 1), 255.0), np.dtype("uint8"))
    assert got.ravel().tolist() == [0, 26, 128, 129, 255]
    off = unconserved(fine, np.zeros((1, 1, 1, 1)), np.full((1, 1, 1, 1), 255.0), np.dtype("uint8"), nodata=0)
    assert off.ravel().tolist() == [1, 26, 128, 129, 255]


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_without_conserving_64_bit_ends_do_not_wrap(dtype: str) -> None:
    fine = np.array([-9.0, 9.0], np.float32).reshape(1, 1, 1, 2)
    got = unconserved(fine, np.zeros((1, 1, 1, 1)), np.full((1, 1, 1, 1), 1e19), np.dtype(dtype)).ravel()
    assert got[0] == np.iinfo(dtype).min
    assert got[1] > np.iinfo(dtype).max - 4096
