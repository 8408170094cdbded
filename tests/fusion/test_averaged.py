"""Frames of MR are averaged in k-space, then made finer by a model that keeps it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SAMPLE

import geomedsr
from geomedsr import Scene
from geomedsr.errors import InputError
from geomedsr.fusion.averaged import shifted
from geomedsr.fusion.fuse import fuse_with_report
from geomedsr.fusion.simulation import acquisition
from geomedsr.geometry import Box, Window
from geomedsr.metrics.grid import ratio, steps

SHIFTS = [(0.0, 0.0), (0.31, -0.44), (-0.23, 0.12), (0.4, 0.25), (-0.37, -0.18), (0.05, 0.5)]
NOISE = 12.0


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """``(y, x)``, float64."""
    return geomedsr.open(SAMPLE.parent / "mr_thigh").data.values[0, 0].astype(np.float64)


@pytest.fixture(scope="module")
def frames(truth: np.ndarray) -> list[Scene]:
    """Six acquisitions of half the size, each with noise of its own and, but for the first, another gain."""
    rng = np.random.default_rng(3)
    return [acquisition(truth, shift, 2, NOISE, rng, 1 / 1.1 if number else 1) for number, shift in enumerate(SHIFTS)]


def error(made: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((made - truth) ** 2)))


def test_several_frames_are_nearer_to_the_truth_than_one(truth: np.ndarray, frames: list[Scene]) -> None:
    made, report = fuse_with_report(frames)
    for found, (down, right) in zip(report.frames[0], SHIFTS[1:], strict=True):
        assert (found.dropped, found.y, found.x) == (
            None,
            pytest.approx(down, abs=0.05),
            pytest.approx(right, abs=0.05),
        )
        assert found.gains == pytest.approx((1.1,), abs=0.02)
    fused, one = made.data.values[0, 0], geomedsr.upscale(frames[0], "mr-x2").data.values[0, 0]
    assert fused.shape == truth.shape
    assert 20 * np.log10(error(one, truth) / error(fused, truth)) > 2.6  # 2.2 if frames are not shifted
    assert made.provenance.model.name == "mr-x2"
    assert report.deviation[0] == pytest.approx(NOISE, rel=0.35)


def test_the_grid_of_input_pixels_does_not_show(frames: list[Scene]) -> None:
    made = geomedsr.fuse(frames).data.values
    assert ratio(steps(made, np.True_, 2)).item() < 1.1


def test_each_box_is_the_whole_of_it(frames: list[Scene]) -> None:
    made = geomedsr.fuse(frames)
    whole = made.source.read(Box.whole(made.shape))
    part = Box.of(0, Window(31, 17, 64, 50))
    averaged = made.source.scene.source
    assert averaged.touches(part) == Box.whole(averaged.shape)
    np.testing.assert_array_equal(made.source.read(part), whole[:, :, 17:67, 31:95])
    tiled = geomedsr.fuse(frames, tile=48)
    assert int(np.abs(tiled.data.values.astype(int) - whole).max()) <= 1


def test_a_shift_in_k_space_moves_a_wave_exactly() -> None:
    rows, columns = np.mgrid[:24, :32]
    wave = np.cos(2 * np.pi * (3 * rows / 24 + 5 * columns / 32))
    moved = np.cos(2 * np.pi * (3 * (rows - 0.4) / 24 + 5 * (columns + 0.3) / 32))
    np.testing.assert_allclose(shifted(wave, (0.4, -0.3)), moved, atol=1e-12)


def test_what_moves_is_not_averaged(frames: list[Scene]) -> None:
    changed = frames[1].data.values.copy()
    changed[..., 40:70, 40:70] = changed[..., 70:100, 70:100] + 300
    made, one = (
        geomedsr.fuse([frames[0], *others, *frames[2:4]]).data.values[0, 0].astype(float)
        for others in ([Scene.from_array(changed, domain="MR", name="moved")], [])
    )
    inside = np.s_[92:128, 92:128]
    assert np.abs(made[inside] - one[inside]).mean() < NOISE / 2


def test_pixels_without_data_have_no_part(frames: list[Scene]) -> None:
    hole = frames[1].data.values.copy()
    valid = np.ones(hole.shape, bool)
    hole[..., 30:60, 30:60], valid[..., 30:60, 30:60] = 0, False
    damaged = Scene.from_array(hole, valid=valid, domain="MR", name="damaged")
    made, one = (geomedsr.fuse(given).data.values[0, 0] for given in ([frames[0], damaged], frames[:1]))
    inside = np.s_[70:110, 70:110]
    assert np.abs(made[inside].astype(float) - one[inside]).mean() < NOISE / 2
    assert np.abs(made.astype(float) - one).mean() > NOISE / 8


def test_keeping_the_reference_is_refused(frames: list[Scene]) -> None:
    with pytest.raises(InputError, match="conserve for MR"):
        geomedsr.fuse(frames, conserve=True)
