from collections.abc import Callable

import numpy as np
import pytest
from fusion.conftest import SHIFTS

from geomedsr import Scene
from geomedsr.fusion.registration import pieces_of, registered


def test_shifts_and_radiometry_are_found(truth: np.ndarray, views_of: Callable[..., list[Scene]]) -> None:
    reference, *others = views_of(truth)
    pieces = pieces_of(reference.source, 0, [0, 1])
    for shift, other in zip(SHIFTS[1:], others, strict=True):
        found = registered(pieces, other.source, 0, (0, 0))
        assert found is not None
        assert found.shift == pytest.approx(shift, abs=0.04)
        assert found.back < 0.05
        assert found.gains == pytest.approx((1.1, 1.1), abs=0.03)
        assert max(found.turn, found.growth) < 0.2


def test_the_grids_word_comes_first(truth: np.ndarray, views_of: Callable[..., list[Scene]]) -> None:
    reference, other = views_of(truth, [(0.0, 0.0), (0.3, -0.4)])
    moved = Scene.from_array(np.roll(other.data.values[0], (-12, 9), (1, 2))[None])  # too far to be looked for
    pieces = pieces_of(reference.source, 0, [0, 1])
    found = registered(pieces, moved.source, 0, (12, -9))
    assert found is not None
    assert found.shift == pytest.approx((12.3, -9.4), abs=0.04)


def test_noise_tells_no_shift(truth: np.ndarray, views_of: Callable[..., list[Scene]]) -> None:
    (reference,) = views_of(truth, [(0.0, 0.0)])
    shape = reference.shape
    other = Scene.from_array(np.random.default_rng(0).integers(0, 5000, shape, dtype=np.uint16))
    found = registered(pieces_of(reference.source, 0, [0, 1]), other.source, 0, (0, 0))
    assert found is None or found.alike < 0.3 or found.back > 0.2


def test_a_turn_is_seen(truth: np.ndarray, views_of: Callable[..., list[Scene]]) -> None:
    (reference,) = views_of(truth, [(0.0, 0.0)], noise=2.0)
    height, width = truth.shape[1:]
    y, x = np.indices((height, width)) + 0.5
    angle = np.deg2rad(1.5)
    dy, dx = y - height / 2, x - width / 2
    rows = np.clip(np.rint(height / 2 + np.cos(angle) * dy - np.sin(angle) * dx - 0.5), 0, height - 1).astype(int)
    columns = np.clip(np.rint(width / 2 + np.sin(angle) * dy + np.cos(angle) * dx - 0.5), 0, width - 1).astype(int)
    (turned,) = views_of(truth[:, rows, columns], [(0.0, 0.0)], noise=2.0)
    found = registered(pieces_of(reference.source, 0, [0, 1]), turned.source, 0, (0, 0))
    corner = np.hypot(height, width) / 2 / 4 * angle
    assert found is not None
    assert found.turn == pytest.approx(corner, rel=0.4)
    assert found.growth < 0.4 * corner
