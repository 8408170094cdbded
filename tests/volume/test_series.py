"""What DICOM series become in NIfTI: padding, series in time, and what other programs make of the same slices."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom.conftest import pixels, save, slice_of
from pydicom.dataset import Dataset

import geomedsr
from geomedsr.errors import OutputError
from geomedsr.models import Model
from geomedsr.verification.verify import verify
from volume.conftest import broken, stored


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Path]:
    def make(edit: Callable[[Dataset, int], None], count: int = 4) -> Path:
        for index in range(count):
            ds = slice_of(pixels(seed=index), index)
            edit(ds, index)
            save(ds, tmp_path / "series" / f"{index:02}.dcm")
        return tmp_path / "series"

    return make


@pytest.mark.parametrize("limit", [None, 5])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_padding_keeps_its_values(
    series: Callable[..., Path], tmp_path: Path, ct: Model, limit: int | None, suffix: str
) -> None:
    def pad(ds: Dataset, index: int) -> None:
        values = pixels(seed=index) + 10
        values[:5, :7] = 0
        values[-4:, -3:] = 0 if limit is None else 5
        ds.PixelData = values.tobytes()
        ds.PixelPaddingValue = 0
        if limit is not None:
            ds.PixelPaddingRangeLimit = limit

    source, out = series(pad), tmp_path / f"out{suffix}"
    scene = geomedsr.open(source)
    assert not scene.valid.values.all()
    geomedsr.write(geomedsr.upscale(scene, ct), out)
    check = next(c for c in verify(source, out) if c.promise.startswith("data where"))
    assert check.kept
    count = 4 * 4 * (5 * 7 + 4 * 3)
    assert check.detail == f"{count} pixels without data hold what they held; the format cannot tell them"
    assert broken(source, out) == []
    if suffix == ".nrrd":
        return
    image = nibabel.load(out)
    values = stored(image).copy()
    slope, offset = scene.slopes_and_offsets
    expected = scene.physical().fillna(scene.data * slope.item() + offset.item()).values[:, 0]
    hidden = ~scene.valid.values[:, 0]
    fine = values.transpose(2, 1, 0)
    np.testing.assert_array_equal(
        fine[hidden.repeat(2, 1).repeat(2, 2)], expected.repeat(2, 1).repeat(2, 2)[hidden.repeat(2, 1).repeat(2, 2)]
    )
    values[0, 0, 0] += 1
    nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), tmp_path / "changed.nii.gz")
    wrong = broken(source, tmp_path / "changed.nii.gz")
    assert [c.detail for c in wrong if c.promise.startswith("data where")] == [
        f"1 pixels differ; {count - 1} pixels without data hold what they held; the format cannot tell them"
    ]


@pytest.mark.parametrize(("told", "depth"), [("4.5", 4.5), ("0", 1), (None, 1)])
@pytest.mark.parametrize("times", [1, 3])
def test_of_a_single_slice_the_thickness_is_kept(
    series: Callable[..., Path], tmp_path: Path, ct: Model, told: str | None, depth: float, times: int
) -> None:
    def thick(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-60.5, -50.25, 10]
        ds.TemporalPositionIdentifier = index + 1
        ds.SliceThickness = told

    source, out = series(thick, times), tmp_path / "out.nii"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct), out)
    image = nibabel.load(out)
    np.testing.assert_allclose(image.affine[:3, :3], np.diag([-0.35, -0.4, depth]), atol=1e-6)
    np.testing.assert_allclose(image.affine[:3, 3], [60.5 + 0.175, 50.25 + 0.2, 10], atol=1e-5)
    assert broken(source, out) == []


def test_a_series_in_time_becomes_four_axes(series: Callable[..., Path], tmp_path: Path, ct: Model) -> None:
    def place(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, 4.0 * (index % 4)]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.TemporalPositionIdentifier = 1 + index // 4

    source, out = series(place, 12), tmp_path / "out.nii.gz"
    scene = geomedsr.open(source)
    geomedsr.write(geomedsr.upscale(scene, ct), out)
    image = nibabel.load(out)
    assert image.shape == (48, 40, 4, 3)
    assert image.header.get_zooms()[2] == 4
    hu = scene.physical().values[:, 0].reshape(3, 4, 20, 24)
    means = stored(image).astype(float).reshape(24, 2, 20, 2, 4, 3).mean((1, 3))
    np.testing.assert_array_equal(means, hu.transpose(3, 2, 1, 0))
    assert broken(source, out) == []
    again = geomedsr.open(out, series="2", force=True)
    assert again.shape == (4, 1, 40, 48)
    np.testing.assert_array_equal(again.data.values[:, 0], stored(image)[..., 1].T)
    with pytest.raises(OutputError, match=r"of 3 volumes, for \.mha, expected one: write \.nii\.gz"):
        geomedsr.write(scene, tmp_path / "out.mha")


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_dcm2niix_finds_the_same_values_in_the_same_places(
    series: Callable[..., Path], tmp_path: Path, ct: Model
) -> None:
    source, out = series(lambda ds, i: None), tmp_path / "out.nii.gz"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct), out)
    (tmp_path / "peer").mkdir()
    command = ["dcm2niix", "-f", "peer", "-o", str(tmp_path / "peer"), "-b", "n", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = (tmp_path / "peer").glob("*.nii*")
    peer, ours = nibabel.load(path), nibabel.load(out)
    hu, finer = np.asarray(peer.dataobj), stored(ours).astype(float)
    for index in np.ndindex(hu.shape):
        middle = np.linalg.inv(ours.affine) @ peer.affine @ [*index, 1]
        x, y, z = np.floor(middle[0]), np.floor(middle[1]), np.rint(middle[2])
        np.testing.assert_allclose(middle[:3], (x + 0.5, y + 0.5, z), atol=2e-3)
        block = finer[int(x) : int(x) + 2, int(y) : int(y) + 2, int(z)]
        assert block.mean() == hu[index]
