"""Windows that leave a scene, and scenes on another grid: values, validity, and that boxes agree bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import texture

from geomedsr import Window
from geomedsr.geometry import Box
from geomedsr.scene.masking import Masking
from geomedsr.scene.resampling import Axis, PlacedSource, ResampledSource
from geomedsr.scene.sources import ArraySource


def whole(source: object) -> np.ndarray:
    return source.read(Box.whole(source.shape))


def test_a_window_that_leaves_a_scene_is_no_data_there() -> None:
    array = texture(2, 12, 9)[None]
    placed = PlacedSource(ArraySource(array), Window(-2, 5, 14, 10), (7, 8))
    values, valid = whole(placed), placed.valid(Box.whole(placed.shape))
    np.testing.assert_array_equal(values[..., :7, 2:11], array[..., 5:12, :])
    assert (values[0, 0][~valid[0, 0]] == 7).all()
    assert (values[0, 1][~valid[0, 1]] == 8).all()
    assert valid[..., :7, 2:11].all()
    assert valid.sum() == 2 * 7 * 9
    beside = Box((0, 8, 0), (1, 10, 1))  # wholly outside
    assert not placed.valid(beside).any()
    assert placed.masking == (Masking.MASK, Masking.MASK)
    np.testing.assert_array_equal(whole(placed.select([1]))[0, 0], values[0, 1])


def line(length: int, scale: float, shift: float, count: int) -> tuple[ResampledSource, np.ndarray]:
    """A parabola along the columns on another grid, and where its pixels' centres then lie."""
    there = np.arange(length) + 0.5
    source = ArraySource(np.broadcast_to(there**2, (1, 1, 5, length)).astype(np.float32))
    made = ResampledSource(source, Axis(5, 1, 0), Axis(count, scale, shift), "float32", (0,))
    return made, (np.arange(count) + 0.5) * scale + shift


@pytest.mark.parametrize(("scale", "shift"), [(1, 0.5), (1, -0.25), (0.5, 0), (0.9973, 0.1)])
def test_what_a_parabola_was_it_stays(scale: float, shift: float) -> None:
    made, places = line(40, scale, shift, 40)
    inner = (places > 2.5) & (places < 37.5)
    np.testing.assert_allclose(whole(made)[0, 0, 2][inner], places[inner] ** 2, rtol=1e-5)


def test_half_a_pixel_off_the_edge_is_data_and_further_is_none() -> None:
    made, _ = line(39, 1, -0.5, 40)  # as Landsat's panchromatic pixels lie on the others'
    valid = made.valid(Box.whole(made.shape))
    assert valid.all()
    made, _ = line(39, 1, -0.6, 40)
    np.testing.assert_array_equal(made.valid(Box.whole(made.shape))[0, 0, 0], np.arange(40) > 0)


def test_finer_pixels_are_averaged_not_picked() -> None:
    stripes = np.broadcast_to(np.arange(60) % 2 * 100.0, (1, 1, 60, 60)).astype(np.float32)
    made = ResampledSource(ArraySource(stripes), Axis(20, 3, 0), Axis(20, 3, 0), "float32", (0,))
    inner = whole(made)[0, 0, 3:-3, 3:-3]
    assert np.abs(inner - 50).max() < 12  # the nearest pixels would be 0 and 100


@pytest.mark.parametrize("kind", ["float32", "uint16"])
def test_boxes_agree_bit_for_bit_and_what_is_no_data_has_no_weight(kind: str) -> None:
    array = texture(1, 50, 60)[None]
    mask = np.ones(array.shape, bool)
    mask[..., 20:31, 15:26] = False
    bare = np.where(mask, array, 0)
    axes = Axis(64, 0.7, 2.3), Axis(70, 0.8, -1.4)
    made = ResampledSource(ArraySource(array, mask), *axes, kind, (0,))
    values, valid = whole(made), made.valid(Box.whole(made.shape))
    for box in Box.whole(made.shape).tiles((1, 17, 13)):
        np.testing.assert_array_equal(made.read(box), values[box.index])
        np.testing.assert_array_equal(made.valid(box), valid[box.index])
    again = ResampledSource(ArraySource(bare, mask), *axes, kind, (0,))
    np.testing.assert_array_equal(whole(again), values)
    assert not valid.all()
    assert values.dtype == np.dtype(kind)
    assert (values[~valid] == 0).all()
    assert (values[valid] != 0).all()
