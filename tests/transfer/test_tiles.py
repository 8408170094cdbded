"""Tiles come back bit for bit, whatever is in them; what is not a tile is told."""

from typing import Any

import numpy as np
import pytest
from conftest import texture
from hypothesis import given
from hypothesis import strategies as st

from geomedsr.transfer.coding import Damaged
from geomedsr.transfer.numbers import means
from geomedsr.transfer.tiles import decode, encode

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


def through(values: np.ndarray, factor: int = 4, nodata: float | int | None = None) -> int:
    """Encode, decode, compare; how many bytes it took."""
    own = [nodata] * len(values)
    valid = np.isfinite(values) if nodata is None or nodata != nodata else values != nodata
    coarse = means(values[None], valid[None], factor, own, [False] * len(values))[0][0]
    packed = encode(values, coarse, factor, own)
    again = decode(memoryview(packed), coarse, values.shape[1:], factor, own)
    assert again.dtype == values.dtype
    assert again.tobytes() == values.tobytes()
    return len(packed)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("factor", [2, 3, 4, 5, 6, 8])
def test_every_type_and_factor(dtype: str, factor: int) -> None:
    through(texture(3, 41, 38, dtype, low=3, high=120), factor)


@pytest.mark.parametrize("dtype", TYPES)
def test_the_whole_range_of_a_type(dtype: str) -> None:
    rng = np.random.default_rng(1)
    through(np.frombuffer(rng.bytes(2 * 31 * 29 * np.dtype(dtype).itemsize), dtype).reshape(2, 31, 29))


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint16", 0), ("int16", -32768), ("float32", -9999.0), ("float32", np.nan)]
)
def test_no_data_comes_back(dtype: str, nodata: Any) -> None:
    values = texture(2, 50, 47, dtype)
    values[:, :20, 13:] = nodata
    values[0, 30, 30] = nodata
    through(values, 4, nodata)


def test_no_data_takes_no_room() -> None:
    values = texture(1, 256, 256)
    full = through(values, 4, 0)
    values[:, :, 64:] = 0
    assert through(values, 4, 0) < 0.3 * full


def test_nothing_but_no_data() -> None:
    assert through(np.zeros((2, 64, 64), "uint16"), 4, 0) < 200


def test_floats_of_every_kind() -> None:
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38], "float32")
    values = np.random.default_rng(0).choice(odd, (2, 40, 40))
    values.view("u4")[0, 3, 3] = 0x7FC12345  # a NaN that carries something
    through(values)
    through(values, nodata=np.nan)


def test_numbers_that_are_multiples_take_no_more() -> None:
    plain = texture(1, 96, 96, "uint32")
    assert through(plain << 8) <= through(plain) + 20


def test_a_band_like_the_one_before_takes_little() -> None:
    one = texture(1, 128, 128)
    assert through(np.concatenate([one, one])) < 1.25 * through(one)


def test_real_pixels_take_less_than_zstd(sample: np.ndarray) -> None:
    """Of 8 and 16 bits; the ratio to a COG is in benchmarks/transfer.py."""
    import zlib

    assert through(sample) < 0.9 * len(zlib.compress(np.diff(sample.astype("i2"), axis=-1).tobytes(), 6))


@pytest.fixture
def sample() -> np.ndarray:
    import rasterio
    from conftest import SAMPLE

    with rasterio.open(SAMPLE / "reference.tif") as dataset:
        found: np.ndarray = dataset.read()[:, :256, :256]
        return found


@given(st.data())
def test_anything_comes_back(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(TYPES))
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 13), st.integers(1, 13)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    raw = np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)
    few = data.draw(st.booleans())
    values = rng.choice(raw.ravel()[:3], shape) if few else raw
    through(values, data.draw(st.integers(2, 9)), data.draw(st.sampled_from([None, *raw.ravel()[:1].tolist()])))


def test_damage_is_told() -> None:
    """Any byte may be wrong: other pixels come out, or it is told; nothing else is raised."""
    values = texture(2, 24, 24)
    coarse = means(values[None], np.ones((1, *values.shape), bool), 4, [0, 0], [False] * 2)[0][0]
    packed = encode(values, coarse, 4, [0, 0])
    told = 0
    for at in range(0, len(packed), 3):
        wrong = bytearray(packed)
        wrong[at] ^= 0x55
        try:
            decode(memoryview(bytes(wrong)), coarse, (24, 24), 4, [0, 0])
        except Damaged:
            told += 1
    assert told > 20
    for size in range(0, len(packed), 7):
        with pytest.raises(Damaged):
            decode(memoryview(packed[:size]), coarse, (24, 24), 4, [0, 0])
