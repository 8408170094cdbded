"""Gaps as scanners leave them: how wide, how often, and that a draw gives the same ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geomedsr.degradations.gaps import HALF_WIDTH, PERIOD, Gaps, missing, slc_off


def runs(line: np.ndarray) -> list[tuple[int, int]]:
    """Starts and lengths of what is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]])))
    return [(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]


def test_a_whole_scene_lacks_22_percent_in_wedges() -> None:
    whole = slc_off((648, 2 * HALF_WIDTH), 0.0, 0.0, 0.0)
    assert whole.mean() == pytest.approx(0.216, abs=0.004)
    assert whole[:, HALF_WIDTH - 60 : HALF_WIDTH + 60].mean() < 0.01  # hardly any in the middle
    left, right = runs(whole[:, 5]), runs(whole[:, -5])
    for edge in (left, right):
        starts = np.array([start for start, _ in edge[1:-1]])
        assert np.diff(starts).mean() == pytest.approx(PERIOD, abs=0.1)
        assert {length for _, length in edge[1:-1]} <= {13, 14, 15}
    centres = [np.array([start + length / 2 for start, length in edge[1:-1]]) for edge in (left, right)]
    apart = np.abs(centres[0][:, None] - centres[1]).min(1)
    assert (np.abs(apart - PERIOD / 2) < 1.5).all()  # halfway between those of the other edge
    widths = [np.mean([length for _, length in runs(whole[:, col])[1:-1]]) for col in (600, 1200, 1800)]
    np.testing.assert_allclose(widths, [14 * (1 - col / HALF_WIDTH) for col in (600, 1200, 1800)], atol=0.6)


def test_gaps_turn_with_the_image() -> None:
    turned = slc_off((300, 300), 2500.0, 0.0, 10.0)
    first = [next(start for start, length in runs(turned[:, col]) if start > 40) for col in (100, 130)]
    assert abs(first[0] - first[1] - 30 * np.tan(np.deg2rad(10))) < 2.5


@pytest.mark.parametrize("shape", ["slc-off", "lines", "blobs", "salt"])
def test_every_shape_leaves_most_pixels(shape: str) -> None:
    rng = np.random.default_rng(3)
    shares = [missing(shape, (64, 64), rng, 9).mean() for _ in range(40)]  # type: ignore[arg-type]
    assert 0 < np.mean(shares) < 0.4
    assert max(shares) < 0.75


def test_what_is_missing_is_0_and_marked_twice() -> None:
    part, rng = Gaps(shapes=("blobs",)), np.random.default_rng(1)
    drawn, image = part.draw(rng), torch.rand(2, 3, 40, 50) + 1
    broken, marks = part.apply(image, drawn), part.marks(image, drawn)
    assert list(marks) == ["mask", "missing"]
    torch.testing.assert_close(marks["mask"], marks["missing"])
    torch.testing.assert_close(broken == 0, marks["mask"] > 0)
    torch.testing.assert_close(broken[broken != 0], image[marks["mask"] == 0])
    assert (marks["mask"] == marks["mask"][:1, :1]).all()  # the same in all bands
    assert (part.apply(image, part.draw(rng)) == 0).sum() != (broken == 0).sum()


def test_odd_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="largest 65"):
        Gaps(largest=65)
