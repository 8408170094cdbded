"""Boxes: what they hold, share and cover, and how they go with finer and coarser grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomedsr.geometry import Box, Factors

spans = st.tuples(st.integers(-30, 30), st.integers(0, 25))
sides = st.tuples(*[st.integers(1, 9)] * 3)
factors = st.builds(Factors, *[st.integers(1, 5)] * 3)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    axes = [draw(spans) for _ in range(3)]
    return Box(tuple(a for a, _ in axes), tuple(a + n for a, n in axes))  # type: ignore[arg-type]


def pixels(box: Box) -> set[tuple[int, int, int]]:
    frames, rows, columns = map(range, box.start, box.stop)
    return {(f, y, x) for f in frames for y in rows for x in columns}


@given(boxes(), boxes())
def test_two_share_the_pixels_that_are_in_both(a: Box, b: Box) -> None:
    assert pixels(a & b) == pixels(a) & pixels(b)
    assert (a & b).empty == (not pixels(a) & pixels(b))
    assert a.pixels == len(pixels(a))


@given(boxes(), sides)
def test_tiles_and_parts_cover_it_once(box: Box, side: tuple[int, int, int]) -> None:
    for pieces in (list(box.tiles(side)), list(box.parts(side))):
        assert sum(piece.pixels for piece in pieces) == box.pixels
        assert set().union(*map(pixels, pieces)) == pixels(box)
        assert all(n <= most for piece in pieces for n, most in zip(piece.shape, side, strict=True))
        assert pieces == sorted(pieces, key=lambda piece: piece.start)


def test_tiles_are_whole_up_to_the_last_and_parts_nearly_equal() -> None:
    line = Box((0, 0, 3), (1, 1, 13))
    assert [(b.start[2], b.stop[2]) for b in line.tiles((1, 1, 4))] == [(3, 7), (7, 11), (11, 13)]
    assert [(b.start[2], b.stop[2]) for b in line.parts((1, 1, 4))] == [(3, 6), (6, 9), (9, 13)]
    assert [(b.start[2], b.stop[2]) for b in line.parts((1, 1, 4), 4)] == [(3, 7), (7, 13)]  # multiples after the first


@given(boxes(), factors)
def test_coarsened_is_the_least_that_covers(box: Box, by: Factors) -> None:
    coarse = box.coarsened(by)
    assert coarse.refined(by) & box == box
    if not box.empty:
        held = {tuple(p // f for p, f in zip(place, by, strict=True)) for place in pixels(box)}
        assert pixels(coarse) == held
    assert box.refined(by).coarsened(by) == box


def test_it_cuts_its_pixels_out_of_an_array() -> None:
    array = np.arange(5 * 2 * 7 * 6).reshape(5, 2, 7, 6)
    outer, box = Box((1, 2, 0), (4, 7, 6)), Box((2, 3, 1), (3, 5, 6))
    np.testing.assert_array_equal(array[box.index], array[2:3, :, 3:5, 1:6])
    np.testing.assert_array_equal(array[outer.index][box.within(outer).index], array[box.index])
    assert Box.whole(array.shape) == Box((0, 0, 0), (5, 7, 6)) == Box.whole((5, 7, 6))


def test_grown_may_leave_the_scene() -> None:
    box = Box((0, 2, 3), (1, 4, 6)).grown((0, 3, 1))
    assert box == Box((0, -1, 2), (1, 7, 7))
    assert not box.inside((1, 1, 9, 9))
    assert (box & Box.whole((1, 1, 9, 9))).inside((1, 9, 9))
    assert not Box((0, 1, 1), (1, 1, 2)).inside((1, 9, 9))  # it holds nothing


def test_its_name_is_that_of_stored_regions() -> None:
    assert Box((2, 512, 1024), (3, 768, 1536)).key == "f2-3_r512_c1024_512x256"


@given(factors)
def test_repeated_pixels_lie_within_their_own(by: Factors) -> None:
    coarse = np.arange(2 * 3 * 4 * 2).reshape(2, 3, 4, 2)
    fine = by.repeated(coarse)
    for at in np.ndindex(fine.shape):
        assert fine[at] == coarse[at[0] // by.frame, at[1], at[2] // by.y, at[3] // by.x]
    fine[...] = -1
    assert coarse.min() == 0  # a new array


def test_factors() -> None:
    assert tuple(Factors.in_plane(4)) == (1, 4, 4)
    assert Factors.in_plane(2) * Factors(5, 1, 1) == Factors(5, 2, 2)
    assert Factors(4, 2, 3).volume == 24
    for wrong in [(0, 1, 1), (1, 2.0, 2), (1, -1, 1), (True, 1, 1)]:
        with pytest.raises(ValueError, match="three whole numbers from 1"):
            Factors(*wrong)  # type: ignore[arg-type]
