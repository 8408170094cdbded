"""A regression on a guide: what it finds, and that it runs as any model does."""

import pickle

import numpy as np
import pytest
import torch
from guided import fine_and_coarse, placed

from geomedsr import process
from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.sharpening.regression import regression


def test_what_a_guide_explains_is_found() -> None:
    fine, _ = fine_and_coarse(6, bands=2, side=30)
    wanted = 0.5 * fine[:1] + 0.25 * fine[1:] + 100.0
    few = wanted.reshape(1, 30, 6, 30, 6).mean((2, 4)).astype(np.float32)
    coarse, guide = placed(few, 60), placed(fine, 10)
    model = regression(coarse, guide, 6)
    made = process(model, image=coarse, guide=guide)["image"]
    values = made.source.read(Box.whole(made.shape))[0]
    assert np.abs(values - wanted).max() < 0.01 * wanted.std()  # at the edges, too
    np.testing.assert_allclose(values.reshape(1, 30, 6, 30, 6).mean((2, 4)), few, rtol=1e-6)


def test_tiles_equal_the_whole_and_block_means_the_input() -> None:
    fine, few = fine_and_coarse(3, bands=3, side=33)
    coarse, guide = placed(few[:2] + 40, 30, nodata=0), placed(fine, 10)
    model = regression(coarse, guide, 3)
    whole, tiled = (process(model, image=coarse, guide=guide, tile=tile)["image"] for tile in (64, 9))
    box = Box.whole(whole.shape)
    values = whole.source.read(box)
    assert np.abs(values.astype(int) - tiled.source.read(box)).max() <= 1
    np.testing.assert_array_equal(values[0].reshape(2, 33, 3, 33, 3).astype(int).sum((2, 4)), (few[:2] + 40) * 9)
    assert values.std() > (few[:2]).std() * 0.9


def test_threads_change_no_bit() -> None:
    fine, few = fine_and_coarse(6, bands=10, side=20)
    model = regression(placed(few[:2], 60), placed(fine, 10), 6)
    image, guide = torch.from_numpy(few[None, :2] / 3e3).float(), torch.from_numpy(fine[None] / 3e3).float()
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(model.module(image, guide).numpy())
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*found)


def test_it_travels_whole_and_is_named_by_its_weights() -> None:
    fine, few = fine_and_coarse()
    model = regression(placed(few, 20), placed(fine, 10), 2)
    again = pickle.loads(pickle.dumps(model))
    assert again.sha256 == model.sha256
    np.testing.assert_array_equal(again.module.weights.numpy(), model.module.weights.numpy())
    other = regression(placed(few[::-1].copy(), 20), placed(fine, 10), 2)
    assert other.sha256 != model.sha256


def test_pixels_without_data_count_for_nothing() -> None:
    fine, few = fine_and_coarse(bands=1)
    holed = few.copy()
    holed[:, 5:15, 5:15] = 65535
    mask = holed < 65535
    found = [
        regression(placed(array, 20, valid=mask), placed(fine, 10), 2).module.weights.numpy() for array in (holed, few)
    ]
    np.testing.assert_array_equal(*found)
    with pytest.raises(InputError, match=r"got 0 pixels of array on which the guide array is data"):
        regression(placed(few, 20), placed(np.zeros_like(fine), 10, nodata=0), 2)
