"""Polygons: which pixels they hold, in which CRS, what is made of the others, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import texture
from pyproj import Transformer

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.models import Model
from geomedsr.scene.areas import inside, polygons_of, text_of

Raster = Callable[..., Path]
LEFT, TOP, STEP = 435730, 4179460, 10  # of the rasters, in UTM 18N


def utm(*points: tuple[float, float]) -> list[list[float]]:
    """A closed ring of points ``(column, row)``."""
    return [[LEFT + col * STEP, TOP - row * STEP] for col, row in (*points, points[0])]


def degrees(ring: list[list[float]]) -> list[list[float]]:
    """It in longitude and latitude."""
    back = Transformer.from_crs(32618, 4326, always_xy=True)
    return [list(back.transform(*point)) for point in ring]


DIAMOND = ((10, 3.75), (22.25, 16), (10, 28.25), (-2.25, 16))
HOLE = ((8.0, 14.0), (12.0, 14.0), (12.0, 18.0), (8.0, 18.0))
DONUT = {"type": "Polygon", "coordinates": [degrees(utm(*DIAMOND)), degrees(utm(*HOLE))]}


def wanted(height: int = 40, width: int = 50) -> np.ndarray:
    """The pixels whose centres lie in the diamond, and not in its hole."""
    y, x = np.mgrid[:height, :width] + 0.5
    return (abs(x - 10) + abs(y - 16) < 12.25) & ~((abs(x - 10) < 2) & (abs(y - 16) < 2))


def saved(folder: Path, told: Any) -> str:
    path = folder / "aoi.geojson"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return str(path)


def test_pixels_are_inside_by_their_centres() -> None:
    square = np.array([(1.0, 1), (3, 1), (3, 3), (1, 3), (1, 1)])
    cut = np.array([(0.0, 0), (1.6, 0), (1.6, 1), (0, 1), (0, 0)])
    text = text_of([[square], [cut]])
    assert text == "[[[1,1,3,1,3,3,1,3,1,1]],[[0,0,1.6,0,1.6,1,0,1,0,0]]]"
    assert inside(text, np.arange(4), np.arange(4)).astype(int).tolist() == [
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]
    assert inside(text, np.arange(2, 4), np.arange(2, 3)).tolist() == [[True], [False]]
    for text in ("7", "[[[1]]]", "[[[1,NaN]]]", "{", '[["a"]]'):
        with pytest.raises(ValueError, match=r".*"):
            polygons_of(text)


def test_the_rest_has_the_nodata_value(tiny_path: Path, tmp_path: Path, raster: Raster) -> None:
    path = raster(texture(2, 40, 50), nodata=7)
    words = ["upscale", str(path), "--model", str(tiny_path)]
    assert main([*words, str(tmp_path / "whole.tif")]) == 0
    assert main([*words, str(tmp_path / "part.tif"), "--aoi", saved(tmp_path, DONUT)]) == 0
    rows, cols = slice(4, 28), slice(0, 22)
    known = wanted()[rows, cols].repeat(4, 0).repeat(4, 1)
    with rasterio.open(tmp_path / "part.tif") as part, rasterio.open(tmp_path / "whole.tif") as whole:
        assert tuple(part.bounds) == (LEFT, TOP - 280, LEFT + 220, TOP - 40)
        expected = np.where(known, whole.read()[:, 16:112, :88], 7)  # as the whole's, to the last pixel inside
        assert np.array_equal(part.read(), expected)
        assert part.tags()["GEOMEDSR_WINDOW"] == "0,4,22,24"
    checks = geomedsr.verify(path, tmp_path / "part.tif")
    assert not [c for c in checks if c.kept is False]
    with rasterio.open(tmp_path / "part.tif", "r+", IGNORE_COG_LAYOUT_BREAK=True) as part:
        part.write(np.full((1, 4, 4), 7, np.uint16), [1], window=rasterio.windows.Window(40, 8, 4, 4))
    broken, *_ = (c.promise for c in geomedsr.verify(path, tmp_path / "part.tif") if c.kept is False)
    assert broken == "data where the source has data, and nowhere else"


def test_or_is_masked(tiny_path: Path, tiny: Model, tmp_path: Path, raster: Raster) -> None:
    path = raster(texture(1, 40, 50))
    out = tmp_path / "part.tif"
    collection = {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [0, 0]}, DONUT]}
    told = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": None, "geometry": collection}]}
    assert main(["upscale", str(path), str(out), "--model", str(tiny_path), "--aoi", saved(tmp_path, told)]) == 0
    known = wanted()[4:28, :22].repeat(4, 0).repeat(4, 1)
    with rasterio.open(out) as part:
        assert part.nodata is None
        assert np.array_equal(part.dataset_mask() == 255, known)
        assert (part.read()[:, ~known] == 0).all()
        values = part.read()
    assert not [c for c in geomedsr.verify(path, out) if c.kept is False]
    scene = geomedsr.open(path)
    sr = geomedsr.upscale(scene, tiny)
    square = {"type": "MultiPolygon", "coordinates": [[], [utm((5, 5), (9, 5), (9, 9), (5, 9))]]}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32618"}}
    for part in (sr.within(DONUT), sr.crop(geomedsr.Window(0, 8, 100, 150)).within(DONUT)):
        rows = part.shape[2]
        assert np.array_equal(part.data.values[0, :, -rows:], values[:, -rows:])
        assert np.array_equal(part.valid.values[0, 0], known[-rows:])
    for part in (sr.within(square, crs=32618), sr.within({**square, "crs": crs})):
        assert part.shape == (1, 1, 16, 16)
        assert part.valid.values.all()
        assert part.provenance["GEOMEDSR_WINDOW"] == "5,5,4,4"
    masked = scene.within(DONUT)
    assert np.array_equal(masked.valid.values[0, 0], wanted()[4:28, :22])
    geomedsr.write(geomedsr.upscale(masked, tiny), tmp_path / "masked.tif")
    assert not [c for c in geomedsr.verify(path, tmp_path / "masked.tif") if c.kept is False]


def test_edges_bend_with_the_crs(raster: Raster) -> None:
    path = raster(texture(1, 1000, 1000), crs="EPSG:32661", transform=rasterio.Affine(100, 0, 2.0e6, 0, -100, 1.4e6))
    scene = geomedsr.open(path)
    back = Transformer.from_crs(32661, 4326, always_xy=True)
    lon, lat = back.transform(*(scene.grid.affine @ (500, 500)))
    box = [[lon - 3, lat - 0.1], [lon + 3, lat - 0.1], [lon + 3, lat + 0.1], [lon - 3, lat + 0.1]]
    part = scene.within({"type": "Polygon", "coordinates": [box]})  # not closed
    x, y = np.meshgrid(part.data.x, part.data.y)
    lons, lats = back.transform(x, y)
    expected = (abs(lons - lon) < 3) & (abs(lats - lat) < 0.1)
    assert (part.valid.values[0, 0] != expected).mean() < 0.001


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("nothing", "not JSON"),
        ("[1]", "not a GeoJSON object"),
        ({"type": "FeatureCollection", "features": []}, "without a polygon"),
        ({"type": "Point", "coordinates": [1, 2]}, "without a polygon"),
        ({"type": "Polygon", "coordinates": []}, "without a polygon"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}, "Polygon is not valid GeoJSON"),
        ({"type": "Polygon", "coordinates": "x"}, "Polygon is not valid GeoJSON"),
        ({"type": "Polygon"}, "Polygon is not valid GeoJSON"),
        ({"type": "Feature"}, "Feature is not valid GeoJSON"),
        ({"type": "Topology"}, "Topology is not valid GeoJSON"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 4], [5, 1]]]}, "hold no pixel's centre"),
        ({**DONUT, "crs": {"type": "name", "properties": {"name": "EPSG:9"}}}, "the CRS EPSG:9"),
        ({**DONUT, "crs": 3}, "crs has no name"),
        ({"type": "Polygon", "coordinates": [[[-75, 900], [3, 4], [5, 1]]]}, "not convert to EPSG:32618"),
    ],
)
def test_bad_polygons_are_one_line(
    told: Any, message: str, tmp_path: Path, raster: Raster, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = raster(texture(1, 40, 50)), tmp_path / "out.tif"
    assert main(["upscale", str(path), str(out), "--aoi", saved(tmp_path, told)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line)
    assert "expected" in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aoi.geojson", "in.tif"]


def test_scenes_that_lie_nowhere_are_refused(tmp_path: Path, raster: Raster) -> None:
    path = raster(texture(1, 40, 50), crs=None)
    with pytest.raises(InputError, match="no CRS"):
        geomedsr.open(path).within(DONUT)
    with pytest.raises(InputError, match="no affine"):
        geomedsr.Scene.from_array(np.zeros((4, 4))).within(DONUT)
    with pytest.raises(InputError, match="No such file"):
        geomedsr.open(path).within(tmp_path / "none.geojson")
