import base64
import io
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

import geomedsr
from geomedsr.errors import InputError, OutputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import ControlPoint, Grid, Window
from geomedsr.scene.scene import Band, Scene
from geomedsr.viewing.packing import Codes, pack


def data_of(comparison: geomedsr.Comparison) -> dict[str, Any]:
    found = re.search(r'\nbegin\("[^"]+", (\{.*\})\);\n', comparison.html())
    assert found is not None
    return dict(json.loads(found[1]))


def unpacked(text: str, height: int, width: int) -> np.ndarray:
    """As the page's script does it."""
    low, high = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, height, width)
    return np.cumsum(low.astype(np.uint16) + 256 * high.astype(np.uint16), axis=1, dtype=np.uint16)


def values_of(data: dict[str, Any], layer: int, plane: int, frame: int = 0) -> np.ndarray:
    shape = data["layers"][layer]["height"], data["layers"][layer]["width"]
    codes = unpacked(data["layers"][layer]["frames"][frame][plane], *shape)
    code = data["codes"][plane]
    return np.where(codes == 0, np.nan, code["low"] + (codes.astype(float) - 1) * code["step"])


def test_planes_come_back(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 65536, (7, 11)).astype(np.uint16)
    assert (unpacked(pack(codes), 7, 11) == codes).all()


def test_integers_are_exact_and_no_data_is_none() -> None:
    scene = Scene.from_array(np.zeros((1, 1, 4), np.int16), bands=[Band("a", scale=0.5, offset=3)])
    physical = np.array([[-5.0, 3.0, 3.5, 9.0]])
    valid = np.array([[True, True, True, False]])
    codes = Codes.of([physical[valid]], scene, 0)
    assert codes.exact
    coded = codes.encode(physical, valid)
    assert coded[0, 3] == 0
    assert (codes.low + (coded[0, :3].astype(float) - 1) * codes.step).tolist() == [-5.0, 3.0, 3.5]


def test_what_has_more_values_than_codes_is_told_in_steps() -> None:
    wide = Scene.from_array(np.zeros((1, 1, 1), np.int32))
    codes = Codes.of([np.array([0.0, 1e6])], wide, 0)
    assert not codes.exact
    assert codes.encode(np.array([[1e6]]), np.array([[True]])).max() <= 65535
    flat = Codes.of([np.array([2.0, 2.0])], Scene.from_array(np.zeros((1, 1, 1), np.float32)), 0)
    assert flat.encode(np.array([[2.0]]), np.array([[True]])).tolist() == [[1]]


def told(codes: Codes, values: np.ndarray) -> np.ndarray:
    coded = codes.encode(values, np.ones(values.shape, bool)).astype(float)
    return np.asarray(codes.low + (coded - 1) * codes.step)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_stray_value_does_not_take_the_steps_from_what_is_shown(dtype: type) -> None:
    scene = Scene.from_array(np.zeros((1, 1, 1), dtype))
    shown = np.linspace(0, 1000, 101)
    codes = Codes.of([np.append(shown, [-2147483648.0, 9000.0])], scene, 0, (0.0, 1000.0))
    assert not codes.exact
    assert told(codes, shown) == pytest.approx(shown, abs=0.2)
    assert told(codes, np.array([-2147483648.0, 8000.0])) == pytest.approx([-7000, 8000], abs=0.2)  # the nearest code
    elsewhere = Codes.of([shown], scene, 0, (1e6, 1e6 + 1))
    assert told(elsewhere, shown) == pytest.approx(shown, abs=0.1)


def test_values_between_the_first_scenes_steps_are_kept() -> None:
    mask = Scene.from_array(np.zeros((1, 1, 1), np.uint8))
    shares = np.array([0.1, 0.25, 0.9])
    codes = Codes.of([np.array([0.0, 1.0]), shares], mask, 0)
    assert not codes.exact
    assert told(codes, shares) == pytest.approx(shares, abs=1e-4)


def test_what_is_no_number_once_it_is_scaled_is_no_data() -> None:
    scene = Scene.from_array(np.ones((1, 4, 4), np.uint8), bands=[Band("a", scale=float("nan"))])
    assert np.isnan(values_of(data_of(geomedsr.compare(scene, scene, level=(0, 1))), 0, 0)).all()
    with pytest.raises(InputError, match="from nan to nan, expected a range that a float holds"):
        geomedsr.compare(scene, scene)
    far = Scene.from_array(np.repeat([[[-1.7e308, 1.7e308]]], 50, axis=2))
    with pytest.raises(InputError, match=r"from -1\.7e\+308 to inf, expected a range that a float holds"):
        geomedsr.compare(far, far)


def test_the_values_of_both_travel_exactly(sentinel: Scene, truth: Scene) -> None:
    comparison = geomedsr.compare(sentinel, truth, names=["before", "after"], window=Window(8, 4, 32, 24))
    data = data_of(comparison)
    assert [layer["name"] for layer in data["layers"]] == ["before", "after"]
    assert [(v["name"], v["planes"]) for v in data["views"]][:2] == [
        ("true colour", [2, 1, 0]),
        ("false colour", [3, 2, 1]),
    ]
    for plane in range(4):
        assert (values_of(data, 0, plane) == sentinel.physical().values[0, plane, 4:28, 8:40]).all()
        assert (values_of(data, 1, plane) == truth.physical().values[0, plane, 16:112, 32:160]).all()
    assert data["ground"] == [32 * 40, 24 * 40]
    assert data["ground_unit"] == "m"
    west, _, _, north = sentinel.grid.bounds
    assert data["place"] == [[west + 8 * 40, north - 4 * 40, 32 * 40, 0, 0, -24 * 40]]


def test_the_north_is_up_whichever_row_comes_first() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    grid = Grid((3, 4), Affine(-10, 0, 500, 0, 10, 1000))  # the first pixel in the south-east
    scene = Scene.from_array(values, grid=grid)
    data = data_of(geomedsr.compare(scene, scene, window=Window(1, 0, 2, 2)))
    assert values_of(data, 0, 0).tolist() == [[6, 5], [2, 1]]
    assert data["place"] == [[470, 1020, 20, 0, 0, -20]]


def test_black_and_white_are_the_first_scenes(sentinel: Scene, truth: Scene) -> None:
    red = sentinel.physical().values[0, 2]
    assert data_of(geomedsr.compare(sentinel, truth))["limits"][2] == pytest.approx(np.percentile(red, (1, 99)))
    narrow = data_of(geomedsr.compare(sentinel, truth, percentiles=(10, 90)))["limits"][2]
    assert narrow == pytest.approx(np.percentile(red, (10, 90)))


def test_only_the_tiles_that_are_shown_are_computed(sentinel: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from geomedsr.inference.prediction import Prediction

    sr = geomedsr.upscale(sentinel, "satellite-x4")
    read, windows = Prediction.compute, []

    def watch(self: Prediction, box: Box) -> Any:
        windows.append((box.window, len(self.scene.bands)))
        return read(self, box)

    monkeypatch.setattr(Prediction, "compute", watch)
    comparison = geomedsr.compare(sentinel, sr, window=Window(0, 0, 16, 8), bands="B04")
    assert windows == []
    data_of(comparison)
    comparison.png()
    assert [w for w, _ in windows] == [Window(0, 0, 64, 32)]  # once


def test_a_series_has_slices_windows_and_millimetres(ct: Scene) -> None:
    sr = geomedsr.upscale(ct)
    comparison = geomedsr.compare(ct, sr, window=Window(200, 180, 24, 16), frames=[1, 3], level="bone")
    data = data_of(comparison)
    assert data["slices"] == [2, 4]
    assert data["limits"] == [[-500, 1300]]
    assert [level["name"] for level in data["levels"]] == ["soft tissue", "lung", "bone", "brain"]
    assert data["unit"] == "HU"
    hu = ct.physical().values
    for position, frame in enumerate((1, 3)):
        before = values_of(data, 0, 0, position)
        assert (before == hu[frame, 0, 180:196, 200:224]).all()
        after = values_of(data, 1, 0, position)
        assert (after.reshape(16, 2, 24, 2).mean((1, 3)) == before).all()  # conserved
    origin = ct.grid.planes[3].at(180 - 0.5, 200 - 0.5)
    assert data["place"][1][:3] == pytest.approx(list(origin))
    spacing = ct.grid.planes[0].spacing
    assert data["ground"] == pytest.approx([24 * spacing[1], 16 * spacing[0]])
    assert data["ground_unit"] == "mm"


def test_degrees_become_metres_for_the_eye() -> None:
    grid = Grid((10, 20), Affine(0.001, 0, 10, 0, -0.001, 60.005), CRS.from_epsg(4326).to_wkt())
    scene = Scene.from_array(np.zeros((1, 10, 20), np.uint8), grid=grid)
    data = data_of(geomedsr.compare(scene, scene))
    assert data["ground_unit"] == "m"
    assert data["ground"] == pytest.approx([20 * 111.32 * 0.5, 10 * 111.32], rel=1e-3)


def test_the_middle_of_a_large_scene() -> None:
    scene = Scene.from_array(np.zeros((1, 5000, 9000), np.uint8))
    assert geomedsr.compare(scene, scene).window == Window(3732, 1732, 1536, 1536)


def test_a_region_too_large_for_a_page_is_refused() -> None:
    scene = Scene.from_array(np.zeros((1, 5000, 9000), np.uint8))
    with pytest.raises(InputError, match=r"a region of 45 million values.*at most 40 million.*smaller window"):
        geomedsr.compare(scene, scene, window=Window(0, 0, 9000, 5000))
    strip = Scene.from_array(np.zeros((1, 2, 16_385), np.uint8))
    geomedsr.compare(strip, strip, window=Window(0, 0, 16_384, 2))
    with pytest.raises(InputError, match=r"of 16385 pixels a side.*at most 16384, which browsers draw: give a smaller"):
        geomedsr.compare(strip, strip, window=Window(0, 0, 16_385, 2))


def test_numpys_numbers_are_numbers(ct: Scene) -> None:
    window = Window(200, 180, 8, 8)
    comparison = geomedsr.compare(ct, ct, window=window, bands=np.int64(1), frames=np.int64(2))  # type: ignore[arg-type]
    assert (comparison.frames, comparison.view.bands) == ((2,), (0,))


def moved(scene: Scene, by: float) -> Scene:
    assert scene.grid.affine is not None
    return replace(scene, grid=replace(scene.grid, affine=scene.grid.affine @ Affine.translation(by, 0)))


def in_zone(scene: Scene, zone: int, version: str = "WKT1_GDAL") -> Scene:
    crs = CRS.from_epsg(32600 + zone).to_wkt(version=version)
    return replace(scene, grid=replace(scene.grid, crs=crs))


def test_only_the_same_ground_is_compared(sentinel: Scene, truth: Scene, ct: Scene) -> None:
    geomedsr.compare(moved(truth, 0.01), sentinel)
    with pytest.raises(InputError, match="which lie elsewhere"):
        geomedsr.compare(sentinel, moved(truth, 1))
    with pytest.raises(InputError, match="the same bands and frames"):
        geomedsr.compare(sentinel, truth.select(["B02"]))
    with pytest.raises(InputError, match="a whole multiple of the other"):
        geomedsr.compare(sentinel, truth.crop(Window(0, 0, 100, 100)))
    with pytest.raises(InputError, match="which lie elsewhere"):
        geomedsr.compare(ct, replace(ct, grid=ct.grid.cropped(Window(5, 0, 512, 512))))
    with pytest.raises(InputError, match=r"input.tif in EPSG:32618 and reference.tif in EPSG:32619, expected one CRS"):
        geomedsr.compare(sentinel, in_zone(truth, 19))
    geomedsr.compare(in_zone(sentinel, 18, "WKT2_2019"), truth)  # the same, otherwise written
    with pytest.raises(InputError, match=r"a str to compare, expected scenes: open it with geomedsr\.open"):
        geomedsr.compare("input.tif", truth)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 scene to compare, expected two"):
        geomedsr.compare(sentinel)
    with pytest.raises(InputError, match="3 names for 2"):
        geomedsr.compare(sentinel, truth, names=["a", "b", "c"])
    with pytest.raises(InputError, match="a height of -5 pixels"):
        geomedsr.compare(sentinel, truth, height=-5)
    with pytest.raises(InputError, match="the window 90,0,10,10"):
        geomedsr.compare(sentinel, truth, window=Window(90, 0, 10, 10))


def test_what_sizes_alone_lay_on_each_other_is_told(sentinel: Scene, truth: Scene) -> None:
    nowhere = replace(truth, grid=Grid(truth.grid.shape), name="truth.png")
    points = tuple(ControlPoint(row, col, col * 10.0, row * -10.0) for row, col in ((0, 0), (0, 96), (72, 0)))
    by_points = replace(sentinel, grid=Grid((72, 96), gcps=points, gcp_crs="EPSG"))
    pairs: list[tuple[tuple[Scene, ...], str]] = [
        ((sentinel, nowhere), "input.tif by an affine, truth.png without a place"),
        ((sentinel, truth, nowhere), "input.tif by an affine, truth.png without a place"),
        ((replace(sentinel, grid=Grid((72, 96))), truth), "input.tif without a place, reference.tif by an affine"),
        ((by_points, truth), "input.tif by GCPs or RPCs, reference.tif by an affine"),
    ]
    for scenes, said in pairs:
        with pytest.warns(SceneWarning) as told:
            geomedsr.compare(*scenes)
        assert [str(w.message) for w in told] == [f"scenes placed by sizes alone: {said}"]
    finer = replace(nowhere, grid=by_points.grid.scaled(4))
    geomedsr.compare(by_points, finer)  # a warning would be an error
    geomedsr.compare(replace(sentinel, grid=Grid((72, 96))), nowhere)


def test_a_bounding_box(sentinel: Scene, truth: Scene) -> None:
    west, _, _, north = sentinel.grid.bounds
    comparison = geomedsr.compare(sentinel, truth, bbox=(west + 80, north - 200, west + 240, north - 40))
    assert comparison.window == Window(2, 1, 4, 4)
    from pyproj import Transformer

    back = Transformer.from_crs(sentinel.grid.crs, 4326, always_xy=True)
    box = back.transform_bounds(west + 85, north - 195, west + 235, north - 45)
    assert geomedsr.compare(sentinel, truth, bbox=box, bbox_crs="EPSG:4326").window == Window(2, 1, 4, 4)
    with pytest.raises(InputError, match="one of them"):
        geomedsr.compare(sentinel, truth, bbox=(0, 0, 1, 1), window=Window(0, 0, 1, 1))


def test_a_picture_where_scripts_do_not_run(sentinel: Scene, truth: Scene, tmp_path: Path) -> None:
    comparison = geomedsr.compare(sentinel, truth)
    html = comparison.html()
    bundle = comparison._repr_mimebundle_()
    image = np.asarray(Image.open(io.BytesIO(bundle["image/png"])))
    assert image.shape == (315, 844, 4)
    red, ends = sentinel.data.values[0, 2].astype(float), np.percentile(sentinel.data.values[0, 2], (1, 99))
    shade = np.clip((red - ends[0]) / (ends[1] - ends[0]), 0, 1) * 255
    assert image[2, 2, 0] == pytest.approx(shade[0, 0], abs=1)
    assert base64.b64encode(bundle["image/png"]).decode() in html
    assert html.index("<img") < html.index("<script")
    assert (
        bundle["text/plain"] == "<geomedsr.Comparison input.tif | reference.tif: the whole of input.tif, true colour>"
    )
    comparison.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == bundle["image/png"]


def test_the_page_needs_nothing_else(sentinel: Scene, truth: Scene, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    geomedsr.compare(sentinel, truth, names=["a</script><b>", "ü"]).save(path)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|src=\"(?!data:)|<link|@import|url\(", text)
    assert "a</script>" not in text
    assert text.count("<script>") == text.count("</script>") == 1
    with pytest.raises(OutputError, match=r"one in \.html or \.png"):
        geomedsr.compare(sentinel, truth).save(tmp_path / "page.pdf")
    with pytest.raises(OutputError, match="exists and can be written"):
        geomedsr.compare(sentinel, truth).save(tmp_path / "no" / "page.html")


def test_a_page_that_is_stopped_leaves_nothing(
    sentinel: Scene, truth: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        geomedsr.compare(sentinel, truth).save(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_results_made_jointly_are_compared_too(tmp_path: Path, sentinel: Scene) -> None:
    from conftest import save_tiny

    joint = geomedsr.load_model(save_tiny(tmp_path / "joint.safetensors", channels=4))
    sr = geomedsr.upscale(sentinel, joint)
    data = data_of(geomedsr.compare(sentinel, sr, window=Window(0, 0, 8, 8), bands="B04"))
    assert (values_of(data, 1, 2) == sr.data.values[0, 2, :32, :32]).all()
