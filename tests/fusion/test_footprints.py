import numpy as np
import pytest

from geomedsr.fusion.footprints import Footprints


def test_a_pixel_is_the_mean_over_its_own_footprint() -> None:
    fine = np.arange(36.0).reshape(6, 6) ** 2
    # A shift of ¼ coarse pixel is ½ fine pixel: half of the first, one whole, half of the third.
    made = Footprints((0.25, 0.0), 2).seen(fine, (0, 0), (0, 0), (2, 3))
    rows = np.stack([(0.5 * fine[0] + fine[1] + 0.5 * fine[2]) / 2, (0.5 * fine[2] + fine[3] + 0.5 * fine[4]) / 2])
    np.testing.assert_allclose(made, rows.reshape(2, 3, 2).mean(2))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, -2.0), (0.5, 0.25)])
def test_shifts_by_whole_fine_pixels_are_block_means(shift: tuple[float, float]) -> None:
    fine = np.random.default_rng(0).normal(size=(32, 32))
    down, right = (int(part * 4) for part in shift)
    made = Footprints(shift, 4).seen(fine, (0, 0), (2, 2), (3, 3))
    cut = fine[8 + down : 20 + down, 8 + right : 20 + right]
    np.testing.assert_allclose(made, cut.reshape(3, 4, 3, 4).mean((1, 3)), rtol=1e-12)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.7), (-1.26, 0.99)])
def test_spreading_is_the_transpose_of_seeing(shift: tuple[float, float]) -> None:
    rng, seen_by = np.random.default_rng(1), Footprints(shift, 3)
    rows, columns = seen_by.pixels(0, 4, 12), seen_by.pixels(1, 5, 11)
    first, count = (rows[0], columns[0]), (rows[1] - rows[0], columns[1] - columns[0])
    fine, coarse = rng.normal(size=(24, 18)), rng.normal(size=count)
    one = (seen_by.seen(fine, (12, 15), first, count) * coarse).sum()
    other = (fine * seen_by.spread(coarse, (12, 15), first, fine.shape)).sum()
    assert one == pytest.approx(other, rel=1e-12)


def test_only_whole_footprints_count() -> None:
    assert Footprints((0.3, 0.0), 4).pixels(0, 0, 5) == (0, 4)  # the last would end at 5.3
    assert Footprints((-0.3, 0.0), 4).pixels(0, 0, 5) == (1, 5)
    assert Footprints((2.0, 0.0), 4).pixels(0, 0, 5) == (-2, 3)
