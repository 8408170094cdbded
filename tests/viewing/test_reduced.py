from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rasterio

import geomedsr
from geomedsr.geometry.grid import Window
from geomedsr.scene.scene import Band, Scene
from geomedsr.viewing import reduced as module
from geomedsr.viewing.reduced import thumbnail
from viewing.conftest import Watched


def test_means_of_valid_pixels() -> None:
    values = np.array([[[1, 3, 9, 9], [5, 0, 0, 0]]], np.uint16)
    scene = Scene.from_array(values, bands=[Band("a", nodata=0, scale=2.0, offset=1.0)])
    small = thumbnail(scene, [0], 0, 2)
    assert small is not None
    assert small.values.tolist() == [[[2 * 3 + 1, 2 * 9 + 1]]]
    assert small.valid.all()
    assert small.window == Window(0, 0, 4, 2)


def test_a_block_without_data_has_none() -> None:
    values = np.array([[[0, 0, 1, 1], [0, 0, 1, 1]]], np.uint16)
    small = thumbnail(Scene.from_array(values, bands=[Band("a", nodata=0)]), [0], 0, 2)
    assert small is not None
    assert small.valid.tolist() == [[[False, True]]]


def test_classes_are_not_averaged() -> None:
    values = np.array([[[3, 7, 9, 1], [5, 2, 4, 4]]], np.uint8)
    small = thumbnail(Scene.from_array(values, bands=[Band("a", kind="nearest")]), [0], 0, 2)
    assert small is not None
    assert small.values.tolist() == [[[3, 9]]]


def test_any_size_is_read_piece_by_piece(rng: np.random.Generator) -> None:
    values = rng.integers(0, 1000, (1, 1, 2500, 3100)).astype(np.uint16)
    scene = Scene.from_array(values[0])
    source = Watched(values, None, (None,))
    small = thumbnail(replace(scene, source=source), [0], 0, 200)
    assert small is not None
    factor = 16  # 3100 / 200, rounded up
    assert small.values.shape == (1, 157, 194)
    assert small.values[0, 0, 0] == values[0, 0, :factor, :factor].mean()
    assert small.values[0, -1, -1] == pytest.approx(values[0, 0, 156 * factor :, 193 * factor :].mean())
    assert max(source.counts) <= 1024**2
    assert sum(source.counts) == 2500 * 3100


def test_a_very_large_scene_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 512)
    values = np.zeros((1, 1, 1000, 2000), np.uint16)
    values[..., 500, 1000] = 999
    source = Watched(values, None, (None,))
    small = thumbnail(replace(Scene.from_array(values[0]), source=source), [0], 0, 250)
    assert small is not None
    assert small.window == Window(744, 244, 512, 512)
    assert sum(source.counts) == 512**2
    assert small.values.max() > 0  # the middle


def test_overviews_are_used(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "in.tif"
    values = rng.integers(1, 1000, (1, 2048, 2048)).astype(np.uint16)
    profile = {"driver": "GTiff", "count": 1, "height": 2048, "width": 2048, "dtype": "uint16", "tiled": True}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling.nearest)  # told from means
    small = thumbnail(geomedsr.open(path), [0], 0, 128)
    assert small is not None
    overview = values[0, ::8, ::8]
    assert small.values.shape == (1, 128, 128)
    assert small.values[0] == pytest.approx(overview.reshape(128, 2, 128, 2).mean((1, 3)), abs=400)
    whole = values[0].reshape(128, 16, 128, 16).mean((1, 3))
    assert np.abs(small.values[0] - whole).mean() > 50  # it was not read from the full resolution


def test_a_result_is_seen_through_its_input(sentinel: Scene) -> None:
    sr = geomedsr.upscale(sentinel, "satellite-x4")
    small, before = thumbnail(sr, [2], 0, 96), thumbnail(sentinel, [2], 0, 96)
    assert small is not None
    assert before is not None
    assert (small.values == before.values).all()
    assert small.window == Window(0, 0, 384, 288)
    fine = thumbnail(sr, [2], 0, 384)  # its input has too few pixels for that
    assert fine is not None
    assert fine.values.shape == (1, 288, 384)
    assert fine.values.reshape(72, 4, 96, 4).mean((1, 3)) == pytest.approx(sentinel.data.values[0, 2])


def test_a_crop_of_a_result_too(sentinel: Scene) -> None:
    sr = geomedsr.upscale(sentinel, "satellite-x4").crop(Window(40, 80, 160, 80))
    small = thumbnail(sr, [0], 0, 160, compute=False)
    assert small is not None
    assert (small.values[0] == sentinel.data.values[0, 0, 20:40, 10:50]).all()


def test_what_is_yet_to_be_computed_is_not_for_a_card() -> None:
    def fail(block: Any) -> Any:
        raise AssertionError("computed")

    lazy = da.zeros((1, 1000, 1000), chunks=500, dtype=np.uint16).map_blocks(fail, dtype=np.uint16, meta=np.empty(0))
    scene = Scene.from_array(lazy)
    assert thumbnail(scene, [0], 0, 100, compute=False) is None
    assert "yet to be computed" in scene._repr_html_()
    with pytest.raises(AssertionError, match="computed"):
        thumbnail(scene, [0], 0, 100)


def test_nor_what_is_to_be_made_from_it() -> None:
    def fail(block: Any) -> Any:
        raise AssertionError("computed")

    lazy = da.zeros((1, 64, 64), chunks=32, dtype=np.uint16).map_blocks(fail, dtype=np.uint16, meta=np.empty(0))
    given = Scene.from_array(lazy).with_range(0, 1000)
    for scene in (given, given.crop(Window(0, 0, 32, 32)), geomedsr.upscale(given, "satellite-x4")):
        card = scene._repr_html_()
        assert "yet to be computed" in card
        assert "1–99 %" not in card
