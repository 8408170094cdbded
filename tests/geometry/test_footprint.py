"""Outlines of grids on the globe."""

from itertools import pairwise

import pytest
from affine import Affine
from pyproj import CRS, Transformer

from geomedsr.geometry.footprint import footprint
from geomedsr.geometry.grid import Grid


def placed(code: int, affine: Affine, shape: tuple[int, int] = (100, 200)) -> Grid:
    return Grid(shape, affine, CRS.from_epsg(code).to_wkt())


def area(ring: list[list[float]]) -> float:
    """Signed, in square degrees: positive where the inside lies to the left."""
    assert ring[0] == ring[-1]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2


def test_of_degrees_it_is_the_box_itself() -> None:
    found = footprint(placed(4326, Affine(0.01, 0, 10, 0, -0.01, 50)))
    assert found is not None
    geometry, bbox = found
    (ring,) = geometry["coordinates"]
    assert geometry["type"] == "Polygon"
    assert bbox == [10, 49, 12, 50]
    assert area(ring) == pytest.approx(2)
    assert {(10, 50), (10, 49), (12, 49), (12, 50)} <= {tuple(point) for point in ring}


def test_of_metres_its_corners_are_where_proj_says() -> None:
    rotated = Affine(8, 6, 400000, 6, -8, 5000000)
    found = footprint(placed(32631, rotated))
    assert found is not None
    (ring,) = found[0]["coordinates"]
    ways = Transformer.from_crs(32631, 4326, always_xy=True)
    for corner in ((0, 0), (200, 0), (0, 100), (200, 100)):
        x, y = ways.transform(*(rotated @ corner))
        assert min(abs(x - a) + abs(y - b) for a, b in ring) < 2e-7
    assert area(ring) > 0


def test_across_the_180th_meridian_it_is_cut_in_two() -> None:
    found = footprint(placed(32760, Affine(1000, 0, 700000, 0, -1000, 8200000), (100, 300)))  # 179° to 182° east
    assert found is not None
    geometry, (west, south, east, north) = found
    assert geometry["type"] == "MultiPolygon"
    (left,), (right,) = geometry["coordinates"]
    assert max(x for x, _ in left) == 180
    assert min(x for x, _ in right) == -180
    assert min(area(left), area(right)) > 0.1
    assert 178.8 < west < 179
    assert -178.4 < east < -178
    assert -17.2 < south < north < -16


def test_of_the_whole_globe_it_is_the_map() -> None:
    found = footprint(placed(4326, Affine(1, 0, -180, 0, -1, 90), (180, 360)))
    assert found is not None
    assert found[0]["type"] == "Polygon"
    assert found[1] == [-180, -90, 180, 90]
    assert area(found[0]["coordinates"][0]) == 360 * 180


def test_of_degrees_beyond_180_it_is_cut_there() -> None:
    found = footprint(placed(4326, Affine(1, 0, 170, 0, -1, 50), (10, 30)))
    assert found is not None
    assert found[1] == [170, 40, -160, 50]
    assert [area(ring) for (ring,) in found[0]["coordinates"]] == [100, 200]


def test_around_a_pole_it_is_all_that_is_beyond_the_nearest_corner() -> None:
    found = footprint(placed(3413, Affine(10000, 0, -1000000, 0, -10000, 1000000), (200, 200)))
    assert found is not None
    assert found[1][0] == -180
    assert found[1][2:] == [180, 90]
    assert 76 < found[1][1] < 78


def test_of_no_place_there_is_none() -> None:
    assert footprint(Grid((3, 3))) is None
    assert footprint(Grid((3, 3), Affine(1, 0, 0, 0, -1, 0))) is None
    assert footprint(placed(4326, Affine(1, 0, 0, 0, -1, 100))) is None
    assert footprint(placed(3857, Affine(1e30, 0, 1e30, 0, -1e30, 1e30))) is None
