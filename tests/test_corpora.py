"""The driver for other projects' files tells right results from wrong ones."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import rasterio
from conftest import texture

DRIVER = Path(__file__).parents[1] / "benchmarks/corpora.py"
sys.path.insert(0, str(DRIVER.parent))
corpora = pytest.importorskip("corpora")
volumes = pytest.importorskip("corpora_volumes")

Raster = Callable[..., Path]


def test_a_folder_is_counted(raster: Raster, tmp_path: Path) -> None:
    raster(texture(1, 12, 14), name="right.tif")
    raster(np.zeros((1, 9, 9), np.complex64), name="complex.tif")
    (tmp_path / "no picture.bin").write_bytes(b"nothing")
    line = [sys.executable, str(DRIVER), str(tmp_path), "--seconds", "300"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused: complex.tif" in done.stdout
    assert "| raster | 2 | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 |" in done.stdout


def test_what_is_not_as_it_was_is_seen(raster: Raster) -> None:
    array = texture(2, 6, 8)
    source = raster(array, edit=lambda dataset: dataset.set_band_description(1, "B04"))
    with rasterio.open(source) as old:
        profile = {**old.profile, "width": 16, "height": 12, "transform": old.transform @ old.transform.scale(0.5)}
    fine = array.repeat(2, 1).repeat(2, 2)

    def wrong(change: dict[str, object], values: np.ndarray, name: str | None = "B04") -> list[str]:
        result = source.with_name("result.tif")
        with rasterio.open(result, "w", **{**profile, **change}) as dataset:
            dataset.write(values)
            if name:
                dataset.set_band_description(1, name)
        found: list[str] = corpora.raster_check(source, result, None)
        return found

    assert wrong({}, fine) == []
    assert wrong({}, fine, None) == ["names"]
    assert wrong({"crs": "EPSG:32633"}, fine) == ["CRS"]
    assert wrong({"transform": profile["transform"] @ profile["transform"].translation(1, 0)}, fine) == ["place"]
    assert wrong({"nodata": int(fine[0, 0, 0])}, fine)[0].startswith("masks of")
    off = fine.copy()
    off[1, 3, 3] += 1
    assert wrong({}, off) == ["block means of 1 pixels"]
    assert wrong({"dtype": "float32"}, fine)[0] == "type float32 of uint16"


def test_what_is_not_as_it_was_in_a_volume_is_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    voxels = rng.normal(100, 20, (6, 5, 4)).astype(np.float32)
    voxels[1:3, 2, 0] = np.nan
    affine = np.diag([-0.9, 0.8, 3, 1])
    finer = affine @ np.array([[0.5, 0, 0, -0.25], [0, 0.5, 0, -0.25], [0, 0, 1, 0], [0, 0, 0, 1]])
    fine = voxels.repeat(2, 0).repeat(2, 1)

    def wrong(values: np.ndarray, place: np.ndarray = finer, code: int = 4, intent: int = 5) -> list[str]:
        for name, array, matrix, (sform, kind) in (
            ("in.nii", voxels, affine, (4, 5)),
            ("out.nii", values, place, (code, intent)),
        ):
            image = nibabel.Nifti1Image(array, matrix)
            image.header["intent_code"] = kind
            image.set_sform(matrix, sform)
            image.set_qform(matrix, 1)
            nibabel.save(image, tmp_path / name)
        found: list[str] = volumes.volume_check(tmp_path / "in.nii", tmp_path / "out.nii", None)
        return found

    assert wrong(fine) == []
    assert wrong(fine, affine) == ["place", "sform", "qform"]
    assert wrong(fine, code=1) == ["sform_code 1 of 4"]
    assert wrong(fine, intent=0) == ["intent_code"]
    assert wrong(np.nan_to_num(fine)) == ["voxels that are no numbers"]
    off = fine.copy()
    off[9, 9, 3] += 1
    assert wrong(off) == ["block means"]
    assert wrong(fine.astype(np.float64))[0] == "type float64"
    assert wrong(voxels)[0].startswith("size")
    assert wrong(fine[:, :, :3])[0].startswith("size")
