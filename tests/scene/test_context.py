"""Neighbouring frames: which, in what order, and what happens at the ends."""

import pytest
import torch

from geomedsr.geometry.grid import Plane
from geomedsr.scene.context import around, as_channels, middle


@pytest.mark.parametrize(
    ("frames", "count", "reach", "read", "places"),
    [
        (slice(3, 4), 9, 0, (3, 4), [[0]]),
        (slice(3, 4), 9, 1, (2, 5), [[0, 1, 2]]),
        (slice(0, 1), 9, 2, (0, 3), [[0, 0, 0, 1, 2]]),
        (slice(8, 9), 9, 1, (7, 9), [[0, 1, 1]]),
        (slice(0, 1), 1, 3, (0, 1), [[0] * 7]),
        (slice(None), 3, 1, (0, 3), [[0, 0, 1], [0, 1, 2], [1, 2, 2]]),
        (slice(1, 4, 2), 5, 1, (0, 5), [[0, 1, 2], [2, 3, 4]]),
    ],
)
def test_which_frames_are_read_and_where_in_them_each_ones_neighbours_are(
    frames: slice, count: int, reach: int, read: tuple[int, int], places: list[list[int]]
) -> None:
    got, found = around(frames, count, reach)
    assert (got.start, got.stop) == read
    assert found.tolist() == places


def test_the_last_slice_of_a_volume_is_no_neighbour_of_the_next_ones_first() -> None:
    planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(3))
    got, found = around(slice(1, 5), 6, 2, planes * 2)
    assert (got.start, got.stop) == (0, 6)
    assert found.tolist() == [[0, 0, 1, 2, 2], [0, 1, 2, 2, 2], [3, 3, 3, 4, 5], [3, 3, 4, 5, 5]]
    got, found = around(slice(3, 4), 6, 1, planes * 2)
    assert (got.start, got.stop, found.tolist()) == (3, 5, [[0, 0, 1]])
    _, found = around(slice(None), 3, 1, planes[:1] * 3)  # one place at three times: those are neighbours
    assert found.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    assert around(slice(None), 3, 1, planes)[1].tolist() == found.tolist()


def test_channels_are_frame_by_frame_each_with_its_bands() -> None:
    images = torch.tensor([[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]])[:, :, None, None]  # frames of two bands
    _, places = around(slice(None), 3, 1)
    seen = as_channels(images, places)
    assert seen[:, :, 0, 0].tolist() == [
        [10, 11, 10, 11, 20, 21],
        [10, 11, 20, 21, 30, 31],
        [20, 21, 30, 31, 30, 31],
    ]
    assert torch.equal(middle(seen, 2), images)
    assert torch.equal(middle(images, 2), images)
