"""How far a guide lies off: measured, moved, or refused."""

import numpy as np
import pytest
from guided import placed

from geomedsr import Scene
from geomedsr.errors import InputError
from geomedsr.sharpening.guides import relation
from geomedsr.sharpening.registration import measured, registered


def pair(by: tuple[float, float], side: int = 64, holes: bool = False) -> tuple[Scene, Scene]:
    """Two coarse bands, and a guide whose content lies so many coarse pixels (x, y) right of and below its grid."""
    noise = np.random.default_rng(0).normal(size=(2, side * 2, side * 2))
    down, along = np.meshgrid(np.fft.fftfreq(side * 2), np.fft.rfftfreq(side * 2), indexing="ij")
    smooth = np.exp(-80 * (down**2 + along**2))

    def moved(plane: np.ndarray, x: float, y: float) -> np.ndarray:
        ramp = np.exp(-2j * np.pi * (down * y + along * x))
        return np.fft.irfft2(np.fft.rfft2(plane) * ramp, plane.shape)

    ground = np.stack([np.fft.irfft2(np.fft.rfft2(plane) * smooth, plane.shape) for plane in noise]) * 4000 + 6000
    few = ground.reshape(2, side, 2, side, 2).mean((2, 4))
    pan = 0.3 * ground[0] - 0.6 * ground[1] + 9000  # contrast of another sign, too
    pan = moved(pan, 2 * by[0], 2 * by[1])
    mask = np.ones(few.shape, bool)
    if holes:
        mask[:, 10:30, 20:50] = False
        few = np.where(mask, few, 60000)
    return (
        placed(np.rint(few).astype(np.uint16), 30, valid=mask),
        placed(np.rint(pan)[None].astype(np.int16), 15),
    )


@pytest.mark.parametrize(
    ("by", "holes"), [((0, 0), False), ((0.4, -0.3), True), ((-0.9, 0.8), False), ((3, -5.5), False)]
)
def test_shifts_are_measured(by: tuple[float, float], holes: bool) -> None:
    coarse, guide = pair(by, holes=holes)
    found = measured(coarse, guide, relation(coarse, guide), 2)
    assert found is not None
    assert (found.x, found.y) == pytest.approx(by, abs=0.03)
    assert found.alike > 0.9


def test_a_shift_moves_the_guide_and_a_large_one_is_refused() -> None:
    coarse, guide = pair((0.4, -0.3))
    before = relation(coarse, guide)
    after, words = registered(coarse, guide, before, 2)
    assert after.shift == pytest.approx((0.8, -0.6), abs=0.06)  # in pixels of the guide
    assert words.startswith("moved by the +0.")
    coarse, guide = pair((1.5, 0))
    with pytest.raises(InputError, match=r"\+1\.5., .* coarse pixels off those of array, expected at most 1"):
        registered(coarse, guide, relation(coarse, guide), 2)


def test_what_shows_no_shift_stays_where_it_is() -> None:
    coarse, guide = pair((0, 0))
    assert registered(coarse, guide, relation(coarse, guide), 2)[0] == relation(coarse, guide)
    noise = placed(np.random.default_rng(7).integers(0, 99, (1, 128, 128)).astype(np.int16), 15)
    same, words = registered(coarse, noise, relation(coarse, noise), 2)
    assert same == relation(coarse, noise)
    assert "does not show" in words
    small = coarse.crop(coarse.grid.window_of(0, -90, 90, 0))  # 3 × 3 pixels
    assert measured(small, guide, relation(small, guide), 2) is None
