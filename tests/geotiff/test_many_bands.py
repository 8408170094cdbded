"""Scenes of very many bands: headers and blocks in proportion to them."""

import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import FLOAT32, block_sums

import geomedsr
from geomedsr import Scene
from geomedsr.errors import InputError
from geomedsr.geometry.box import Box
from geomedsr.inference.memory import BASE, DEFAULT, Need, reader_cache
from geomedsr.inference.passes import Job, Pass, passes
from geomedsr.inference.runtime import Runtime
from geomedsr.io import open_sink
from geomedsr.io.blocks import BLOCK, block_side, chunk_side
from geomedsr.models import Model, load_model
from geomedsr_geotiff import handles
from geomedsr_geotiff.regions import Tiling

Raster = Callable[..., Path]


def noise(bands: int, side: int, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(300, 4000, (bands, side, side)).astype(dtype)


@pytest.mark.parametrize(
    ("count", "dtype", "side"),
    [(1, "float64", 512), (64, "uint16", 512), (65, "uint16", 256), (56, "float32", 256),
     (224, "uint16", 256), (65535, "uint8", 64)],
)  # fmt: skip
def test_a_block_of_all_bands_stays_within_the_cache(count: int, dtype: str, side: int) -> None:
    assert block_side(count, np.dtype(dtype).itemsize) == side


def test_headers_take_time_in_proportion_to_the_bands(raster: Raster) -> None:
    seconds = []
    for count in (500, 4000):
        path = raster(noise(count, 4), f"{count}.tif")
        taken = []
        for _ in range(3):  # the least, since other threads' time counts too
            start = time.process_time()
            assert len(geomedsr.open(path).bands) == count
            taken.append(time.process_time() - start)
        seconds.append(min(taken))
    assert seconds[1] < 24 * max(seconds[0], 0.02)  # squares would be 64 times


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_result_of_many_bands_is_whole(dtype: str, raster: Raster, tiny: Model, tmp_path: Path) -> None:
    count = 72 if dtype == "uint16" else 36
    array = noise(count, 140, dtype)
    scene = geomedsr.open(raster(array))
    sr = geomedsr.upscale(scene, tiny, tile=96)
    geomedsr.write(sr, tmp_path / "sr.tif", progress=False)
    with rasterio.open(tmp_path / "sr.tif") as result:
        assert result.block_shapes[0] == (256, 256)
        assert result.overviews(1) == [2, 4]
        assert result.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for band in (1, count):
            values = result.read(band)
            if dtype == "uint16":
                assert (block_sums(values, 4) == array[band - 1].astype(object) * 16).all()
            small = result.read(band, out_shape=(280, 280))
            exact = values.reshape(280, 2, 280, 2).astype(float).mean((1, 3))
            assert np.abs(small - exact).max() <= (0.5 if dtype == "uint16" else 1e-3)
        assert np.array_equal(result.read(7), geomedsr.upscale(scene.select([7]), tiny).data.values[0, 0])


def test_regions_of_small_blocks_hold_more_overviews() -> None:
    tiling = Tiling.of((5000, 4000), (512, 512), 128)
    assert (tiling.side, tiling.levels, tiling.overviews) == (512, 2, 6)
    assert Tiling.of((5000, 4000), (512, 512)).inner == BLOCK
    assert Tiling.of((5000, 4000), (256, 256), 128).side == 256
    assert Tiling.of((5000, 4000), (600, 600), 128).side == 768


@pytest.mark.parametrize(("bands", "dtype"), [(60, "uint16"), (72, "uint16"), (224, "uint16"), (60, "float32")])
def test_many_bands_are_planned_in_tiles_of_little_halo(
    bands: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With regions of 1024 pixels, no tile of 224 bands fitted 1.5 GiB, and the smallest was taken."""
    monkeypatch.setattr("geomedsr.inference.memory.cores", lambda: 2)
    need = Need.of(load_model("satellite-x4"), FLOAT32, bands, np.dtype(dtype).itemsize)
    tile, workers = need.choose((5000, 5000), DEFAULT)
    assert (tile, workers) == (128, 2)
    assert BASE + workers * need.worker(tile) < DEFAULT


def test_a_region_of_all_bands_is_bounded() -> None:
    for bands, itemsize in ((1, 2), (64, 2), (65, 2), (224, 4), (4000, 2)):
        side = chunk_side(bands, itemsize)
        assert side**2 * bands * itemsize <= 128 << 20
    assert [chunk_side(bands, 2) for bands in (1, 64, 65, 224, 400)] == [1024, 1024, 512, 512, 256]


def test_small_tiles_go_through_the_network_two_bands_at_once(
    raster: Raster, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One alone is computed twice, for equal bits; two at once have the same."""
    scene, counts = geomedsr.open(raster(noise(5, 60))), []
    alone = [geomedsr.upscale(scene.select([i + 1]), tiny, precision="float32").data.values[0, 0] for i in range(5)]
    ordinary = Runtime.__call__

    def counted(self: Runtime, model: Model, inputs: Any) -> Any:
        counts.append(len(inputs["image"]))
        return ordinary(self, model, inputs)

    monkeypatch.setattr(Runtime, "__call__", counted)
    together = geomedsr.upscale(scene, tiny, precision="float32").data.values[0]
    assert counts == [2, 2, 1]
    assert np.array_equal(together, np.stack(alone))
    counts.clear()
    large = geomedsr.open(raster(noise(2, 250), "large.tif"))
    assert geomedsr.upscale(large, tiny, tile=256, precision="float32").data.values.shape == (1, 2, 1000, 1000)
    assert counts == [1, 1]


def test_the_cache_holds_the_blocks_of_what_is_read(raster: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "_blocks", {})
    path = raster(noise(72, 600), tiled=True, blockxsize=512, blockysize=512, interleave="pixel", compress="zstd")
    scene = geomedsr.open(path)
    block = 512 * 512 * 72 * 2
    assert handles._cache() == 2 * block
    part = scene.source.read(Box.of(0, geomedsr.Window(500, 500, 50, 50)))
    assert np.array_equal(part[0], noise(72, 600)[:, 500:550, 500:550])


def planned(scene: Scene, path: Path) -> Pass:
    sink = open_sink(scene, path)
    (each,) = passes([Job(scene, sink)], None)
    sink.discard()
    return each


def test_memory_is_planned_with_the_blocks_that_the_cache_holds(
    raster: Raster, tiny: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    monkeypatch.setattr("geomedsr.inference.memory.cores", lambda: 8)
    profile = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "zstd"}
    array = np.repeat(noise(1, 600), 72, 0)
    scene = geomedsr.open(raster(array, interleave="pixel", **profile))
    block, usual, most = 512 * 512 * 72 * 2, 64 << 20, 512 << 20
    part = scene.select([3]).crop(geomedsr.Window(5, 5, 20, 20))
    for workers, held in ((1, 3 * block), (4, 6 * block), (50, most)):
        assert reader_cache([scene.source], workers) == reader_cache([part.source], workers) == held - usual
    need = Need.of(tiny, FLOAT32, 72, 2, cache=lambda workers: reader_cache([scene.source], workers))
    enough = BASE + 4 * need.worker(128) + 6 * block - usual
    assert [need.workers(128, enough), need.workers(128, enough - 1)] == [4, 3]
    plain = Need.of(tiny, FLOAT32, 72, 2)
    assert need.least(128) == plain.least(128) + 3 * block - usual
    needed = replace(plain, region=(128, 128)).least(128) // 2**20 + 8  # as GeoTIFF's regions are: 512 pixels of output
    choices: dict[str, Any] = {"tile": 128, "memory": f"{needed}MiB", "precision": "float32"}
    assert "more than the" in (planned(geomedsr.upscale(scene, tiny, **choices), tmp_path / "a.tif").short or "")
    apart = geomedsr.open(raster(array, "apart.tif", interleave="band", **profile))
    assert reader_cache([apart.source], 4) == 0
    assert planned(geomedsr.upscale(apart, tiny, **choices), tmp_path / "a.tif").short is None
    monkeypatch.setenv("GDAL_CACHEMAX", "100")
    assert reader_cache([scene.source], 4) == 0


def test_a_header_of_blocks_that_nothing_holds_is_refused_at_once(tmp_path: Path) -> None:
    """A few hundred bytes that claim 65 535 bands, interleaved by pixel."""
    path = tmp_path / "in.tif"
    entries = [(256, 65535), (257, 40), (258, 8), (259, 8), (262, 1), (273, 8), (277, 65535), (278, 40), (279, 8)]
    fields = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4))
    with pytest.raises(InputError, match=r"65535 bands take 160 GiB, expected less than 2 GiB"):
        geomedsr.open(path)
