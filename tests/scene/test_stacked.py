"""Scenes of one grid as the frames of one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from conftest import texture

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError

Raster = Callable[..., Path]


def image(raster: Raster, name: str, seed: int, time: str | None = None, **profile: Any) -> Path:
    """A raster of two bands, with the time that a product states."""

    def edit(dataset: Any) -> None:
        if time is not None:
            dataset.update_tags(ACQUISITION_TIME=time, PLATFORM="one", PRODUCT_ID=name)

    return raster(texture(2, 40, 50, seed=seed), f"{name}.tif", edit, nodata=0, **profile)


@pytest.mark.parametrize("pattern", [False, True])
def test_scenes_are_frames_in_the_order_of_their_times(pattern: bool, raster: Raster, tmp_path: Path) -> None:
    paths = [image(raster, "x_a", 1, "2024-03-01T10:00:00Z"), image(raster, "x_b", 2, "2024-01-05T11:00:00.5+01:00")]
    scene = geomedsr.open(str(tmp_path / "x_*.tif") if pattern else paths)
    assert scene.shape == (2, 2, 40, 50)
    np.testing.assert_array_equal(scene.data, np.stack([texture(2, 40, 50, seed=2), texture(2, 40, 50, seed=1)]))
    assert list(scene.data.coords["frame"].values.astype("datetime64[ms]").astype(str)) == [
        "2024-01-05T10:00:00.500",
        "2024-03-01T10:00:00.000",
    ]
    assert scene.tags[""]["PLATFORM"] == "one"
    assert "ACQUISITION_TIME" not in scene.tags[""]
    assert scene.tags["PRODUCTS"] == {"1": "x_b", "2": "x_a"}
    assert {str(path) for path in paths} <= set(scene.files)
    alone = geomedsr.open(paths[0])
    np.testing.assert_array_equal(scene.valid[1], alone.valid[0])
    again = pickle.loads(pickle.dumps(scene))
    np.testing.assert_array_equal(again.select(["2"]).data[1, 0], alone.data[0, 1])


def test_without_times_they_stay_in_their_order(raster: Raster) -> None:
    paths = [image(raster, "b", 1, "2024-03-01"), image(raster, "a", 2)]
    scene = geomedsr.open(paths, bands=["2"])
    assert scene.frames is None
    np.testing.assert_array_equal(scene.data[:, 0], np.stack([texture(2, 40, 50, seed=s)[1] for s in (1, 2)]))


def test_each_frame_comes_out_as_it_does_alone(raster: Raster, tiny_x2: Any) -> None:
    paths = [image(raster, "a", 1, "2024-03-01"), image(raster, "b", 2, "2024-04-01")]
    options = {"precision": "float32", "device": "cpu"}
    both = geomedsr.upscale(geomedsr.open(paths).with_range(0, 4000), tiny_x2, **options)
    for frame, path in enumerate(paths):
        alone = geomedsr.upscale(geomedsr.open(path).with_range(0, 4000), tiny_x2, **options)
        np.testing.assert_array_equal(both.data[frame], alone.data[0])


def test_xarray_takes_and_gives_it(raster: Raster) -> None:
    scene = geomedsr.open([image(raster, "a", 1, "2024-03-01"), image(raster, "b", 2, "2024-04-01")])
    array = scene.data.rename(frame="time")
    back = array.geomedsr.scene()
    assert back.frames is not None
    assert back.frames.name == "time"
    np.testing.assert_array_equal(back.frames.places, scene.frames.places)  # type: ignore[union-attr]
    np.testing.assert_array_equal(back.data, scene.data)


def test_info_tells_the_times(raster: Raster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(raster, "y_1", 1, "2024-03-01")
    image(raster, "y_2", 2, "2024-04-01")
    assert main(["info", str(tmp_path / "y_*.tif")]) == 0
    assert "2024-03-01 … 2024-04-01" in capsys.readouterr().out


def test_what_is_no_frame_of_one_is_refused(raster: Raster, tmp_path: Path) -> None:
    first = image(raster, "a", 1)
    moved = image(raster, "b", 2, transform=Affine(10, 0, 435740, 0, -10, 4179460))
    other = image(raster, "c", 2, crs="EPSG:32617")
    single = raster(texture(1, 40, 50), "d.tif", nodata=0)
    scaled = raster(texture(2, 40, 50), "e.tif", lambda d: setattr(d, "offsets", (-0.1, -0.1)), nodata=0)
    cases = {
        moved: "a.tif and b.tif, which lie on different grids",
        other: "a.tif and c.tif, which lie on different grids",
        single: r"which hold 1, 2 \(uint16\) and 1 \(uint16\)",
        scaled: r"whose band 1 means different things: × 1 \+ 0, no data 0, and × 1 \+ -0\.1",
    }
    for path, words in cases.items():
        with pytest.raises(InputError, match=words):
            geomedsr.open([first, path])
    with pytest.raises(InputError, match="a sequence of no scenes"):
        geomedsr.open([])
    with pytest.raises(InputError):
        geomedsr.open(tmp_path / "z_*.tif")
