"""Sources on dask arrays: each chunk is computed once or twice, few are held, and the pixels are those of memory."""

import threading
import weakref
from collections import Counter
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr
from conftest import texture

import geomedsr
from geomedsr.models import Model
from geomedsr.scene import lazy
from geomedsr.scene.sampling import sample
from geomedsr.scene.scene import Scene


class Watched:
    """A dask array that counts how often each of its chunks is computed, and how many are alive."""

    def __init__(self, values: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.computed: Counter[tuple[int, ...]] = Counter()
        self.alive = self.most = 0
        self._lock = threading.Lock()
        empty = np.empty((0,) * values.ndim, values.dtype)
        self.array = da.from_array(values, chunks=chunks).map_blocks(self._seen, dtype=values.dtype, meta=empty)

    def _seen(self, block: np.ndarray, block_info: dict | None = None) -> np.ndarray:
        if not block_info:
            return block
        made = block.copy()
        with self._lock:
            self.computed[tuple(block_info[0]["chunk-location"])] += 1
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(made, self._gone)
        return made

    def _gone(self) -> None:
        with self._lock:
            self.alive -= 1

    def counts(self) -> tuple[int, int]:
        """How many chunks were computed since the last call, and how often at most."""
        found = len(self.computed), max(self.computed.values(), default=0)
        self.computed.clear()
        return found


def test_a_chunk_is_computed_once_whatever_the_tiles(tiny: Model) -> None:
    values = texture(1, 256, 256)
    watched = Watched(values, (1, 256, 256))
    array = xr.DataArray(watched.array, dims=("band", "y", "x"))
    fine = array.geomedsr.upscale(tiny, tile=32)  # 64 of them
    assert watched.counts() == (1, 1)  # for the value scale
    made = fine.compute()
    assert watched.counts() == (1, 1)
    eager = xr.DataArray(values, dims=("band", "y", "x")).geomedsr.upscale(tiny, tile=32)
    assert (made.values == eager.values).all()


def test_chunks_are_computed_once_when_written_and_few_are_held(tiny: Model, tmp_path: Path) -> None:
    values = texture(2, 1100, 1300)
    watched = Watched(values, (1, 64, 64))
    scene = Scene.from_array(watched.array).with_range(0, 4000)
    geomedsr.write(geomedsr.upscale(scene, tiny, tile=256), tmp_path / "a.tif", workers=2)
    assert watched.counts() == (2 * 18 * 21, 1)
    assert watched.most < 2 * 18 * 21 / 2
    with rasterio.open(tmp_path / "a.tif") as written:
        expected = geomedsr.upscale(Scene.from_array(values).with_range(0, 4000), tiny, tile=256)
        assert (written.read() == expected.data.values[0]).all()


def test_strips_of_chunks_bound_what_is_held(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = texture(1, 512, 2048)
    watched = Watched(values, (1, 64, 64))
    scene = Scene.from_array(watched.array).with_range(0, 4000)
    monkeypatch.setattr(lazy, "HELD", 18 * 64 * 64 * 2)  # strips of four chunks
    geomedsr.write(geomedsr.upscale(scene, tiny, tile=256), tmp_path / "a.tif", workers=1, format="gtiff")
    assert watched.counts() == (8 * 32, 2)
    assert watched.most <= 40
    with rasterio.open(tmp_path / "a.tif") as written:
        expected = geomedsr.upscale(Scene.from_array(values).with_range(0, 4000), tiny, tile=256)
        assert (written.read() == expected.data.values[0]).all()


def test_the_value_scale_takes_each_chunk_once() -> None:
    values = texture(1, 2000, 2000)
    watched = Watched(values, (1, 1000, 1000))
    found = sample(Scene.from_array(watched.array).source)
    assert watched.counts() == (4, 1)
    assert (found[0] == sample(Scene.from_array(values).source)[0]).all()


def test_masks_times_and_several_bands_in_a_chunk(tiny: Model) -> None:
    values = texture(6, 100, 90, "float32").reshape(3, 2, 100, 90)
    values[1, 0, 20:30, 20:30] = np.nan
    valid = np.ones((100, 90), bool)
    valid[60:70, :40] = False
    watched, mask = Watched(values, (2, 2, 70, 33)), Watched(np.broadcast_to(valid, values.shape), (1, 2, 50, 90))
    made = geomedsr.upscale(Scene.from_array(watched.array, valid=mask.array).with_range(0, 4000), tiny, tile=32)
    expected = geomedsr.upscale(Scene.from_array(values, valid=valid).with_range(0, 4000), tiny, tile=32)
    np.testing.assert_array_equal(made.data.values, expected.data.values)
    assert watched.counts() == (12, 1)
    assert mask.counts() == (6, 1)
    assert (made.valid.values == expected.valid.values).all()
    window = geomedsr.Window(101, 50, 130, 120)
    np.testing.assert_array_equal(made.crop(window).data.values, expected.data.values[..., 50:170, 101:231])


def test_a_result_of_a_result_and_some_of_its_bands(tiny: Model, tiny_x2: Model) -> None:
    values = texture(3, 60, 50)
    watched = Watched(values, (1, 20, 20))

    def twice(array: object) -> np.ndarray:
        once = geomedsr.upscale(Scene.from_array(array).with_range(0, 4000), tiny_x2, tile=16)
        again = geomedsr.upscale(once.select([3, 1]).with_range(0, 4000), tiny, tile=32)
        found: np.ndarray = again.data.values
        return found

    made = twice(watched.array)
    assert watched.counts()[1] == 1
    assert (made == twice(values)).all()


def test_only_what_a_corner_needs_is_computed(tiny: Model) -> None:
    watched = Watched(texture(1, 640, 640), (1, 64, 64))
    made = geomedsr.upscale(Scene.from_array(watched.array).with_range(0, 4000), tiny, tile=32)
    made.data[..., :256, :256].compute()
    assert watched.counts() == (4, 1)


def test_workers_of_a_cluster_get_their_part(tiny: Model, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    values = texture(1, 600, 500)
    array = da.from_array(values, chunks=(1, 200, 200))
    scene = Scene.from_array(array).with_range(0, 4000)
    with distributed.Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as client:
        geomedsr.write(geomedsr.upscale(scene, tiny, tile=256), tmp_path / "a.tif", cluster=client)
    with rasterio.open(tmp_path / "a.tif") as written:
        expected = geomedsr.upscale(Scene.from_array(values).with_range(0, 4000), tiny, tile=256)
        assert (written.read() == expected.data.values[0]).all()
