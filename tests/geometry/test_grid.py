from dataclasses import replace

import pytest
from affine import Affine

from geomedsr.errors import InputError
from geomedsr.geometry.grid import ControlPoint, Grid, Plane, Window, finer_centre, finer_corner

ROTATED = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10) @ Affine.shear(5, 0)


@pytest.mark.parametrize("affine", [ROTATED, Affine(10, 0, 5, 0, 10, 7)])
@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_scaling_keeps_corners_and_moves_centres(affine: Affine, factor: int) -> None:
    grid = Grid((60, 40), affine)
    fine = grid.scaled(factor)
    assert fine.shape == (60 * factor, 40 * factor)
    for corner in [(0, 0), (40, 0), (0, 60), (40, 60)]:
        assert fine.affine @ (corner[0] * factor, corner[1] * factor) == pytest.approx(affine @ corner, abs=1e-9)
    centre = affine @ (3.5, 7.5)  # centre of pixel (7, 3)
    col, row = finer_centre(3, factor), finer_centre(7, factor)
    assert fine.affine @ (col + 0.5, row + 0.5) == pytest.approx(centre, abs=1e-9)


def test_the_mean_of_a_blocks_centres_is_the_coarse_centre() -> None:
    for factor in (2, 3, 4):
        block = [5 * factor + k for k in range(factor)]  # fine indices under coarse pixel 5
        assert sum(block) / factor == finer_centre(5, factor)
    assert finer_corner(5, 4) == 20


def test_rpcs_and_gcps_are_scaled_each_in_its_own_coordinates() -> None:
    rpcs = {"LINE_OFF": "100", "SAMP_OFF": "50.5", "LINE_SCALE": "200", "SAMP_SCALE": "80", "LAT_OFF": "38.1"}
    grid = Grid((10, 10), rpcs=rpcs, gcps=(ControlPoint(row=2.5, col=1.0, x=-75, y=38, z=3),))
    fine = grid.scaled(4)
    assert float(fine.rpcs["LINE_OFF"]) == 100.5 * 4 - 0.5
    assert float(fine.rpcs["SAMP_OFF"]) == 51 * 4 - 0.5
    assert (float(fine.rpcs["LINE_SCALE"]), float(fine.rpcs["SAMP_SCALE"])) == (800, 320)
    assert fine.rpcs["LAT_OFF"] == "38.1"
    assert (fine.gcps[0].row, fine.gcps[0].col, fine.gcps[0].x, fine.gcps[0].z) == (10.0, 4.0, -75, 3)
    part = grid.cropped(Window(3, 2, 5, 5))
    assert float(part.rpcs["LINE_OFF"]) == 98
    assert float(part.rpcs["SAMP_OFF"]) == 47.5
    assert (part.gcps[0].row, part.gcps[0].col) == (0.5, -2.0)


def test_cropping_then_scaling_is_scaling_then_cropping() -> None:
    grid, window = Grid((60, 40), ROTATED), Window(7, 11, 20, 30)
    one, other = grid.cropped(window).scaled(4), grid.scaled(4).cropped(window.scaled(4))
    assert one.shape == other.shape
    assert tuple(one.affine) == pytest.approx(tuple(other.affine))


def test_a_box_takes_the_pixels_it_touches() -> None:
    grid = Grid((100, 200), Affine(10, 0, 1000, 0, -10, 5000))
    assert grid.window_of(1020, 4900, 1050, 4980) == Window(2, 2, 3, 8)
    assert grid.window_of(1021, 4901, 1049, 4979) == Window(2, 2, 3, 8)
    assert grid.window_of(0, 0, 1005, 9999) == Window(0, 0, 1, 100)
    south_up = Grid((100, 200), Affine(10, 0, 1000, 0, 10, 4000))
    assert south_up.window_of(1020, 4010, 1050, 4030) == Window(2, 1, 3, 2)


@pytest.mark.parametrize("box", [(0, 0, 10, 10), (1020, 4980, 1050, 4900), (1050, 4900, 1020, 4980)])
def test_a_box_outside_or_inside_out_is_refused(box: tuple[float, ...]) -> None:
    grid = Grid((100, 200), Affine(10, 0, 1000, 0, -10, 5000))
    with pytest.raises(InputError, match="bounding box"):
        grid.window_of(*box)


def test_a_box_needs_an_affine() -> None:
    with pytest.raises(InputError, match="--window"):
        Grid((10, 10)).window_of(0, 0, 1, 1)


def test_coarser_windows_cover() -> None:
    assert Window(5, 9, 6, 3).coarser(4) == Window(1, 2, 2, 1)
    assert Window(4, 8, 8, 4).coarser(4).scaled(4) == Window(4, 8, 8, 4)


@pytest.mark.parametrize(
    "affine", [Affine(0, 0, 5, 0, 0, 6), Affine(1, 2, 0, 2, 4, 0), Affine(float("nan"), 0, 0, 0, 1, 0)]
)
def test_pixels_without_an_area_are_refused(affine: Affine) -> None:
    with pytest.raises(InputError, match=r"the affine .*expected one under which pixels have an area"):
        Grid((3, 4), affine)


def test_how_far_two_grids_lie_apart_is_told_in_pixels_of_the_first() -> None:
    grid = Grid((60, 40), ROTATED)
    assert grid.apart(grid.scaled(4)) == pytest.approx(0, abs=1e-6)
    moved = Grid((120, 80), ROTATED @ Affine.translation(3, -4) @ Affine.scale(0.5))
    assert grid.apart(moved) == pytest.approx(5)
    assert moved.apart(grid) == pytest.approx(10)
    turned = Grid((60, 40), ROTATED @ Affine.scale(1, 1.01))
    assert grid.apart(turned) == pytest.approx(0.6)  # at the lower corners
    assert grid.apart(Grid((60, 40))) is None


def test_slices_lie_apart_by_their_worst_corner() -> None:
    planes = tuple(Plane((0, 0, 3.0 * i), (1, 0, 0), (0, 1, 0), (2, 1)) for i in range(2))
    grid = Grid((10, 20), planes=planes)
    assert grid.apart(grid.scaled(2)) == pytest.approx(0, abs=1e-12)
    assert grid.apart(replace(grid, planes=(planes[0], planes[1].moved((0, 0.6, 0.8))))) == pytest.approx(1)
    assert grid.apart(Grid((10, 20), ROTATED)) is None
    with pytest.raises(ValueError, match="shorter"):
        grid.apart(replace(grid, planes=planes[:1]))
