import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from PIL import Image

import geomedsr
from geomedsr.errors import InputError
from geomedsr.geometry.grid import Grid, Window
from geomedsr.scene.scene import Band, Scene

pytest.importorskip("matplotlib")
from rasterio.crs import CRS

from viewing.conftest import Watched


def shown(figure: Any) -> Any:
    return figure.axes[0].images[0]


def test_true_colour_on_map_coordinates(sentinel: Scene) -> None:
    figure = sentinel.plot()
    image = shown(figure).get_array()
    red = sentinel.data.values[0, 2].astype(float)
    ends = np.percentile(red, (1, 99))
    assert np.asarray(image)[..., 0] == pytest.approx(np.clip((red - ends[0]) / (ends[1] - ends[0]), 0, 1) * 255, abs=1)
    west, south, east, north = sentinel.grid.bounds
    assert shown(figure).get_extent() == [west, east, south, north]
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x, m", "y, m")
    assert axis.get_aspect() == 1.0
    assert axis.get_title() == "input.tif, true colour"


def test_a_figure_shows_itself_in_a_notebook_once(sentinel: Scene) -> None:
    import matplotlib.pyplot as plt

    figure = sentinel.plot()
    picture = Image.open(io.BytesIO(figure._repr_png_()))
    assert min(picture.size) > 200
    assert plt.get_fignums() == []  # pyplot would show it a second time


def test_one_band_in_physical_units_with_a_bar() -> None:
    values = np.array([[[0, 10], [20, 30]]], np.uint16)
    scene = Scene.from_array(values, bands=[Band("ndvi", nodata=0, scale=0.1, offset=-1, units="W")])
    figure = scene.plot(percentiles=(0, 100))
    image = shown(figure)
    assert image.get_clim() == pytest.approx((0.0, 2.0))
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[True, False], [False, False]]
    assert image.get_array()[0, 1] == pytest.approx(0.0)
    assert figure.axes[1].get_ylabel() == "W"
    assert figure.axes[0].get_xlabel() == "column"


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("percentiles", [None, (2, 98)])
def test_a_figure_of_one_band_samples_its_scene_once(
    percentiles: tuple[float, float] | None, given: bool, rng: np.random.Generator
) -> None:
    values = rng.integers(0, 1000, (1, 40, 50)).astype(np.uint16)
    source = Watched(values[None], None, (None,))
    scene = replace(Scene.from_array(values), source=source)
    figure = (scene.with_range(0, 5000) if given else scene).plot(1, percentiles=percentiles)
    assert shown(figure).get_clim() == pytest.approx(np.percentile(values, percentiles or (1, 99)))
    assert source.counts == [40 * 50] * 2  # for the percentiles, and for the picture


def test_compared_scenes_have_the_same_limits(sentinel: Scene) -> None:
    sr = geomedsr.upscale(sentinel, "satellite-x4").crop(Window(0, 0, 64, 64))
    assert shown(sr.plot("B04")).get_clim() == shown(sentinel.plot("B04")).get_clim()
    other = Scene.from_array(np.full((4, 8, 8), 7, np.uint16))
    assert shown(other.plot(1, like=sentinel)).get_clim() == shown(sentinel.plot(1)).get_clim()
    with pytest.raises(InputError, match="a scene of 1 bands to show like one of 4"):
        Scene.from_array(np.ones((1, 8, 8), np.uint8)).plot(like=sentinel)


def test_a_slice_in_mm(ct: Scene) -> None:
    figure = ct.plot(level="lung", frame=1)
    image, axis = shown(figure), figure.axes[0]
    assert image.get_clim() == (-1350, 150)
    assert np.asarray(image.get_array()) == pytest.approx(ct.physical().values[1, 0])
    plane = ct.grid.planes[1]
    left, right, bottom, top = image.get_extent()
    assert left == pytest.approx(plane.corners((512, 512))[0][0])
    assert top == pytest.approx(plane.corners((512, 512))[0][1])
    assert right - left == pytest.approx(512 * plane.spacing[1])
    assert bottom - top == pytest.approx(512 * plane.spacing[0])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("mm, towards left", "mm, towards posterior")
    assert "slice 2 of 4" in axis.get_title()
    with pytest.raises(InputError, match=r"frame 4, expected one of 0 … 3"):
        ct.plot(frame=4)
    assert shown(ct.plot(frame=-1)).get_array()[100, 100] == shown(ct.plot(frame=3)).get_array()[100, 100]


def test_degrees_keep_the_shape_of_the_ground() -> None:
    grid = Grid((10, 10), Affine(0.1, 0, 10, 0, -0.1, 61), CRS.from_epsg(4326).to_wkt())
    figure = Scene.from_array(np.arange(100, dtype=np.uint8).reshape(1, 10, 10), grid=grid).plot()
    assert figure.axes[0].get_aspect() == pytest.approx(1 / np.cos(np.radians(60.5)), rel=1e-3)
    assert figure.axes[0].get_xlabel() == "longitude, °"


def bar_of(figure: Any) -> tuple[float, str]:
    bars = [a for a in figure.axes[0].artists if type(a).__name__ == "AnchoredSizeBar"]
    rectangle = bars[0].size_bar.get_children()[0]
    return rectangle.get_width(), bars[0].txt_label.get_text()


def test_the_scale_bar_has_a_round_length(sentinel: Scene, ct: Scene) -> None:
    assert bar_of(sentinel.plot()) == (500, "500 m")  # of 3840 m
    length, words = bar_of(ct.plot())
    assert (length, words) == (50, "5 cm")
    grid = Grid((10, 10), Affine(0.1, 0, 10, 0, -0.1, 61), CRS.from_epsg(4326).to_wkt())
    length, words = bar_of(Scene.from_array(np.zeros((1, 10, 10), np.uint8), grid=grid).plot())
    assert words == "10 km"
    assert length * 111.32 * np.cos(np.radians(60.5)) == pytest.approx(10)
    without = Scene.from_array(np.zeros((1, 10, 10), np.uint8)).plot()
    assert not [a for a in without.axes[0].artists if type(a).__name__ == "AnchoredSizeBar"]
    unplaced = Scene.from_array(np.zeros((1, 10, 10), np.uint8), grid=Grid((10, 10), None, sentinel.grid.crs)).plot()
    assert not [a for a in unplaced.axes[0].artists if type(a).__name__ == "AnchoredSizeBar"]  # its pixels have no size


def test_a_rotated_scene_is_shown_by_its_pixels() -> None:
    affine = Affine.translation(100, 200) @ Affine.rotation(30) @ Affine.scale(10, -10)
    scene = Scene.from_array(np.zeros((1, 4, 6), np.uint8), grid=Grid((4, 6), affine, CRS.from_epsg(32618).to_wkt()))
    figure = scene.plot()
    assert shown(figure).get_extent() == [0, 6, 4, 0]
    assert figure.axes[0].get_xlabel() == "column"
    affine = Affine.translation(10, 60) @ Affine.rotation(30) @ Affine.scale(0.001, -0.001)
    grid = Grid((4000, 10), affine, CRS.from_epsg(4326).to_wkt())
    figure = Scene.from_array(np.zeros((1, 4000, 10), np.uint8), grid=grid).plot()
    latitude = (affine @ (5, 2000))[1]  # not the row
    assert figure.axes[0].get_aspect() == pytest.approx(1 / np.cos(np.radians(latitude)), rel=1e-3)


def test_the_north_is_up_whichever_row_comes_first() -> None:
    grid = Grid((3, 4), Affine(-10, 0, 500, 0, 10, 1000), CRS.from_epsg(32618).to_wkt())
    figure = Scene.from_array(np.arange(12, dtype=np.uint8).reshape(1, 3, 4), grid=grid).plot()
    assert figure.axes[0].get_xlim() == (460, 500)
    assert figure.axes[0].get_ylim() == (1000, 1030)
    assert shown(figure).get_extent() == [500, 460, 1030, 1000]
    assert bar_of(figure) == (5, "5 m")
    figure.draw_without_rendering()
    bar = figure.axes[0].artists[0].size_bar.get_children()[0].get_window_extent()
    assert bar.width / figure.axes[0].get_window_extent().width == pytest.approx(5 / 40, rel=0.2)


def test_a_dollar_in_a_name_is_no_mathematics() -> None:
    scene = Scene.from_array(np.eye(4)[None], bands=[Band("$a_{$", units="$/m_{$")], name="a")
    figure = scene.plot()
    assert figure._repr_png_()[:4] == b"\x89PNG"
    assert figure.axes[0].get_title() == "a, $a_{$"
    scene.plot(title=r"$\alpha$")._repr_png_()


def test_a_large_scene_is_brought_down() -> None:
    values = np.broadcast_to(np.arange(3000, dtype=np.uint16), (1, 3000, 3000))
    figure = Scene.from_array(values).plot()
    assert np.asarray(shown(figure).get_array()).shape == (1000, 1000)
    assert shown(figure).get_extent() == [0, 3000, 3000, 0]
    assert float(shown(figure).get_array()[0, 0]) == 1.0  # the mean of 0, 1, 2


def test_in_axes_of_ones_own(sentinel: Scene, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert sentinel.plot(ax=axes[0], title="before") is figure
    sentinel.plot("false colour", ax=axes[1])
    assert [a.get_title() for a in axes] == ["before", "input.tif, false colour"]
    figure.savefig(tmp_path / "both.png")


def labels_of(axis: Any) -> list[tuple[str, Any]]:
    """The labels that are drawn at an axis's ticks, and the boxes they take."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [(tick.label1.get_text(), tick.label1.get_window_extent()) for tick in ticks]


@pytest.mark.parametrize(
    ("inches", "layout", "columns", "rows"),
    [
        ((6, 5), "constrained", [441_000 + 500 * i for i in range(8)], [4_647_000 + 500 * i for i in range(6)]),
        ((3, 3), "constrained", [442_000, 444_000], [4_648_000]),
        ((3, 3), None, [442_000, 444_000], [4_648_000]),
        ((2, 2), "constrained", [442_500], [4_647_500]),
    ],
)
def test_labels_keep_apart_and_whole(
    inches: tuple[float, float], layout: str | None, columns: list[int], rows: list[int]
) -> None:
    from matplotlib.figure import Figure

    grid = Grid((72, 96), Affine(40, 0, 440720, 0, -40, 4649776), CRS.from_epsg(32618).to_wkt())
    figure = Figure(figsize=inches, layout=layout)
    Scene.from_array(np.eye(96, dtype=np.uint8)[None, :72], grid=grid).plot(ax=figure.add_subplot())
    figure.draw_without_rendering()
    axes = figure.axes[0]
    drawn = labels_of(axes.xaxis), labels_of(axes.yaxis)
    assert tuple([int(text) for text, _ in labels] for labels in drawn) == (columns, rows)
    boxes = [box for labels in drawn for _, box in labels]
    boxes += [axis.label.get_window_extent() for axis in (axes.xaxis, axes.yaxis)]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_colours_that_cannot_be_told(sentinel: Scene) -> None:
    with pytest.raises(InputError, match="do not identify"):
        sentinel.select(["B02", "B08"]).plot("true colour")


def test_axes_without_extent_have_ticks() -> None:
    from matplotlib.figure import Figure

    from geomedsr.viewing.ticks import RoomyLocator

    axes = Figure().subplots()
    axes.yaxis.set_major_locator(RoomyLocator(lengthwise=False, size=10))
    ticks = axes.yaxis.get_major_locator().tick_values(5, 5)
    assert min(abs(tick - 5) for tick in ticks) < 0.5


def bar_words(figure: Any) -> tuple[list[str], int]:
    """What is written at a figure's colour bar, and of how many colours it is."""
    figure.draw_without_rendering()
    bar = figure.axes[1]
    colours = bar.collections[-1].to_rgba(np.linspace(*bar.get_ylim(), 50))
    return [t.get_text() for t in bar.get_yticklabels()], len(np.unique(colours, axis=0))


def test_the_bar_of_a_constant_scene_shows_its_value() -> None:
    five = np.full((1, 1500, 1200), 5, np.int16)
    scene = Scene.from_array(five, bands=[Band("a", scale=0.3, offset=0.1, units="K")])
    for other, how in ((scene, {}), (scene, {"percentiles": (0, 100)}), (scene.with_range(0, 9), {"like": scene})):
        figure = other.plot(**how)
        assert bar_words(figure) == (["1.6"], 1)
        assert figure.axes[1].get_ylabel() == "K"
        colour = figure.axes[1].collections[-1].to_rgba(1.6)
        assert colour == pytest.approx(shown(figure).to_rgba(1.6))
    tenths = Scene.from_array(np.full((1, 30, 2500), 0.1))  # means of nine of them differ in the last digit
    assert bar_words(tenths.plot()) == (["0.1"], 1)
    assert bar_words(scene.crop(Window(0, 0, 9, 9)).plot(level=(5, 10)))[0] == ["0", "2", "4", "6", "8", "10"]


def test_a_figure_without_data_says_so_and_has_no_bar(ct: Scene) -> None:
    empty = Scene.from_array(np.zeros((2, 8, 9), np.uint8), bands=[Band("a", nodata=0), Band("b", nodata=0)])
    figure = empty.plot("b")
    assert len(figure.axes) == 1
    assert [t.get_text() for t in figure.axes[0].texts] == ["no data"]
    seen = Scene.from_array(np.arange(144, dtype=np.uint8).reshape(2, 8, 9))
    for other in (seen.plot(1, like=empty), seen.plot(1), ct.plot()):
        assert len(other.axes[0].texts) == 0
        assert bar_words(other)[1] > 40
    assert bar_words(empty.plot(1, like=seen))[1] > 40  # those limits are values


def test_the_bar_of_a_scene_that_is_nearly_constant_shows_what_it_has() -> None:
    fires = np.zeros((1, 40, 50), np.uint8)
    fires[0, 3, 4] = 1
    assert shown(Scene.from_array(fires).plot()).get_clim() == (0, 1)
    words, colours = bar_words(Scene.from_array(fires).plot())
    assert (words[0], words[-1]) == ("0.0", "1.0")
    assert colours > 40
