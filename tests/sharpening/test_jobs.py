"""A product that is sharpened in many regions: by processes, and by jobs that are killed and go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import texture
from products.safe import Safe, jp2
from sharpening.test_product import read

import geomedsr
from geomedsr.inference.memory import Need, reader_cache
from geomedsr.inference.passes import Job, passes
from geomedsr.io.registry import open_sink
from geomedsr.verification.verify import verify
from geomedsr_products import tiles

SIDE = 780
BANDS = ["B02", "B05", "B11", "B01"]
COMMAND = [sys.executable, "-m", "geomedsr.cli", "sharpen"]
WORDS = ["--bands", ",".join(BANDS), "--tile", "64", "--quiet"]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose result has four regions. It has one band of 10 m, which is no panchromatic one, two of 20 m, which a
    regression makes, and one of 60 m.
    """
    ground = texture(1, SIDE, SIDE, low=900, high=5000)[0].astype(float)
    bands = {}
    for name, size in (("B02", 10), ("B05", 20), ("B11", 20), ("B01", 60)):
        few = ground.reshape(SIDE * 10 // size, size // 10, SIDE * 10 // size, size // 10).mean((1, 3))
        bands[name] = np.rint(few).astype(np.uint16)
    root = Safe(level="1C", pixels=120).write(tmp_path_factory.mktemp("product"))
    for path in root.rglob("*.jp2"):
        path.unlink()
    (folder,) = (root / "GRANULE").iterdir()
    for name, array in bands.items():
        size = 10 * SIDE // len(array)
        jp2(folder / "IMG_DATA" / f"T32TQM_20240704T101031_{name}.jp2", array, size)
    return root


@pytest.fixture(scope="module")
def expected(product: Path) -> np.ndarray:
    with pytest.warns(geomedsr.errors.SceneWarning, match="no files of them"):
        scene = geomedsr.open(product)
    with pytest.warns(geomedsr.errors.SceneWarning, match="needs: B05, B11 are made by a regression"):
        made = geomedsr.sharpen(scene, bands=BANDS, tile=64)
    return read(made)


def started(product: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [*COMMAND, str(product), str(out), *WORDS, *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*.part/*/f*.tif"))


def test_processes_make_the_same_pixels(product: Path, expected: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    done = started(product, tmp_path / "out.tif", "--cluster", "local:2")
    _, told = done.communicate(timeout=300)
    assert done.returncode == 0, told
    np.testing.assert_array_equal(read(geomedsr.open(tmp_path / "out.tif")), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_a_killed_job_goes_on_to_the_same_pixels(product: Path, expected: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    job = started(product, out)
    deadline = time.monotonic() + 120
    while not stored(tmp_path) and job.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.communicate(timeout=60)
    kept = len(stored(tmp_path))
    if out.exists():  # it was faster
        out.unlink()
    else:
        assert kept > 0
    with pytest.warns(geomedsr.errors.SceneWarning, match="no files of them"):
        scene = geomedsr.open(product)
    with pytest.warns(geomedsr.errors.SceneWarning, match="made by a regression"):
        made = geomedsr.sharpen(scene, bands=BANDS, tile=64)
    written = geomedsr.write(made, out)
    assert (written.regions, written.resumed) == (4, kept)
    np.testing.assert_array_equal(read(geomedsr.open(out)), expected)
    with pytest.warns(geomedsr.errors.SceneWarning, match="no files of them"):
        checks = verify(product, out)
    assert [check for check in checks if check.kept is False] == []
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_memory_is_planned_with_the_tiles_of_all_that_is_read(
    product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of image and guide, each tile once, however many of the result's bands are made from it."""
    with pytest.warns(geomedsr.errors.SceneWarning, match="no files of them"):
        scene = geomedsr.open(product)
    with pytest.warns(geomedsr.errors.SceneWarning, match="made by a regression"):
        made = geomedsr.sharpen(scene, bands=["B05", "B11"], tile=64)
    fine, coarse = SIDE * SIDE, (SIDE // 2) ** 2
    assert reader_cache([made.source], 1) == 2 * (fine + 2 * coarse)
    sink = open_sink(made, tmp_path / "out.tif")
    needs: list[Need] = []
    monkeypatch.setattr(Need, "workers", lambda need, tile, memory: needs.append(need) or 1)
    passes([Job(made, sink)], None)
    sink.discard()
    assert [need.cache(1) for need in needs] == [2 * (fine + 2 * coarse)]
    monkeypatch.setattr(tiles, "_TILES", tiles._TILES._replace(most=1000))
    assert reader_cache([made.source], 1) == 1000
