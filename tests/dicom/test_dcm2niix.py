"""What dcm2niix makes of a source it makes of its result: the same values, b-values and directions, twice as fine."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import geomedsr
from dicom.conftest import OURS, enhanced, files, pixels, save
from geomedsr.models import Model
from geomedsr.verification.verify import verify
from geomedsr_dicom.derive import MAKER

Series = Callable[..., Path]


def dcm2niix(source: Path, out: Path) -> list[Path]:
    """The volumes that dcm2niix makes."""
    if shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix (Debian's) is not installed")
    out.mkdir()
    subprocess.run(["dcm2niix", "-f", "v", "-o", out, source], capture_output=True, check=True)
    return sorted(out.glob("*.nii"))


def converted(source: Path, out: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any], dict[str, np.ndarray]]:
    """The one volume ``(x, y, z[, t])``, its affine, its side file, and b-values and directions."""
    (path,) = dcm2niix(source, out)
    image = nibabel.load(path)
    tables = {p.suffix: np.loadtxt(p) for p in out.glob("*.bv*")}
    return np.asarray(image.get_fdata()), image.affine, json.loads(path.with_suffix(".json").read_text()), tables


def both(source: Path, tmp_path: Path, model: Model) -> list[Any]:
    """What dcm2niix makes of source and result."""
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), tmp_path / "out")
    assert [c for c in verify(source, tmp_path / "out") if c.kept is False and "dciodvfy" not in c.promise] == []
    return [converted(source, tmp_path / "nii"), converted(tmp_path / "out", tmp_path / "nii2")]


def means(volume: np.ndarray) -> np.ndarray:
    """Means of 2 × 2 blocks in plane."""
    x, y, *rest = volume.shape
    return np.asarray(volume.reshape(x // 2, 2, y // 2, 2, *rest).mean((1, 3)))


def same_place(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether the centre of a source pixel is where four of the result meet."""
    index = np.array([3.0, 5.0, 1.0, 1.0])
    finer = np.array([2 * 3 + 0.5, 2 * 5 + 0.5, 1.0, 1.0])
    return bool(np.allclose(before @ index, after @ finer, atol=1e-3))


@pytest.mark.parametrize("maker", ["", "Philips", "Siemens"])
def test_slopes_that_differ_by_slice(series: Series, tmp_path: Path, ct_model: Model, maker: str) -> None:
    def slopes(ds: Dataset, i: int) -> None:
        ds.Manufacturer = maker
        ds.RescaleSlope, ds.RescaleIntercept = 1 + 0.5 * i, 0

    source = series(4, edit=slopes, modality="MR", size=(32, 32))
    (before, where, _, _), (after, finer, told, _) = both(source, tmp_path, ct_model)
    assert before.max() > 1500
    np.testing.assert_allclose(means(after), before, rtol=1e-5, atol=1.01)  # whole numbers in the volume
    assert same_place(where, finer)
    assert told.get("Manufacturer", "") == maker


def test_slopes_that_differ_by_frame(tmp_path: Path, ct_model: Model) -> None:
    ds = enhanced([pixels(32, 32, seed=i) for i in range(4)], "MR")
    ds.Manufacturer = ""
    ds.ComplexImageComponent = "MAGNITUDE"
    for number, item in enumerate(ds.PerFrameFunctionalGroupsSequence):
        value = Dataset()
        value.RescaleIntercept, value.RescaleSlope, value.RescaleType = 0, 1 + 0.5 * number, "US"
        item.PixelValueTransformationSequence = Sequence([value])
    del ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    (before, where, _, _), (after, finer, _, _) = both(save(ds, tmp_path / "in" / "e.dcm"), tmp_path, ct_model)
    assert before.max() > 2500
    np.testing.assert_allclose(means(after), before, rtol=1e-5, atol=1.01)
    assert same_place(where, finer)


def test_a_series_in_two_files(tmp_path: Path, ct_model: Model) -> None:
    for part in range(2):
        ds = enhanced([pixels(32, 32, seed=4 * part + i) for i in range(4)], "MR")
        ds.Manufacturer, ds.SOPInstanceUID, ds.InstanceNumber = "", f"2.25.{77 + part}", part + 1
        ds.ComplexImageComponent, ds.AcquisitionNumber = "MAGNITUDE", part + 1
        save(ds, tmp_path / "in" / f"{part}.dcm")
    geomedsr.write(geomedsr.upscale(geomedsr.open(tmp_path / "in"), ct_model), tmp_path / "out")
    found = [dcm2niix(tmp_path / name, tmp_path / f"{name}2") for name in ("in", "out")]
    assert len(found[0]) == len(found[1]) > 0
    for before, after in zip(*found, strict=True):
        values = nibabel.load(before).get_fdata()
        assert values.max() > 250
        np.testing.assert_allclose(means(nibabel.load(after).get_fdata()), values, rtol=1e-5, atol=1.01)


def test_philips_scale(series: Series, tmp_path: Path, ct_model: Model) -> None:
    def philips(ds: Dataset, i: int) -> None:
        ds.Manufacturer, ds.RescaleSlope, ds.RescaleIntercept = "Philips", 4.5, 0
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0D, "FL", 0.0)
        block.add_new(0x0E, "FL", 0.0285)
        block.add_new(0x11, "CS", "M")

    source = series(4, edit=philips, modality="MR", size=(32, 32))
    (before, _, _, _), (after, _, _, _) = both(source, tmp_path, ct_model)
    assert before.max() > 30000  # precise values: divided by the scale
    np.testing.assert_allclose(means(after), before, rtol=1e-5)
    kept = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert [e.tag for e in kept if e.tag.is_private] == [0x20050010, 0x2005100D, 0x2005100E, *OURS]


def test_siemens_b_values_and_directions(series: Series, tmp_path: Path, ct_model: Model) -> None:
    directions = [(0, 0, 0), (1, 0, 0), (0, 0.6, 0.8), (-0.6, 0.8, 0)]

    def siemens(ds: Dataset, i: int) -> None:
        phase = i // 4
        ds.Manufacturer, ds.SoftwareVersions = "SIEMENS", "syngo MR E11"
        ds.ImagePositionPatient, ds.InstanceNumber = [-60.5, -50.25, 10 + 4 * (i % 4)], i + 1
        ds.AcquisitionNumber = phase + 1
        ds.SequenceName = f"*ep_b{1000 * bool(phase)}#{phase}"
        block = ds.private_block(0x19, "SIEMENS MR HEADER", create=True)
        block.add_new(0x08, "CS", "IMAGE NUM 4")
        block.add_new(0x0C, "IS", str(1000 * bool(phase)))
        block.add_new(0x15, "FD", [-60.5, -50.25, 10.0])  # where the old first pixel lay
        if phase:
            block.add_new(0x0D, "CS", "DIRECTIONAL")
            block.add_new(0x0E, "FD", list(directions[phase]))
            block.add_new(0x27, "FD", [float(v) for v in np.outer(*[directions[phase]] * 2)[np.triu_indices(3)] * 1000])

    source = series(16, edit=siemens, modality="MR", size=(32, 32))
    (before, _, _, tables), (after, _, _, finer) = both(source, tmp_path, ct_model)
    assert before.shape[3] == after.shape[3] == 4
    np.testing.assert_allclose(means(after), before, rtol=1e-5)
    assert tables[".bval"].tolist() == [0, 1000, 1000, 1000]
    for name in (".bval", ".bvec"):
        np.testing.assert_allclose(finer[name], tables[name], atol=1e-6)
    kept = pydicom.dcmread(files(tmp_path / "out")[-1])
    assert [e.tag for e in kept if e.tag.is_private] == [
        0x00190010,
        0x0019100C,
        0x0019100D,
        0x0019100E,
        0x00191027,
        *OURS,
    ]


def test_no_maker_of_scanners_is_read_into_ours() -> None:
    makers = ("GE", "SI", "PH", "TO", "CA", "HI", "ME", "UI", "BR", "SH", "AG", "FU", "EL", "NE")
    words = MAKER.upper().replace("-", " ").split()
    assert not any(word.startswith(makers) for word in words)
    assert not any(name in MAKER.upper() for name in ("GE", "SIEMENS", "PHILIPS", "TOSHIBA", "CANON", "HITACHI"))
