"""Corners of enhanced multi-frame images, and what a validator says of them that is not so."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000

import geomedsr
from dicom.conftest import enhanced, errors, pixels, save, slice_of
from geomedsr.models import Model
from geomedsr.verification.verify import verify
from geomedsr_dicom.validators import complaints


def broken(source: Path, out: Path) -> list[str]:
    return [f"{c.promise}: {c.detail}" for c in verify(source, out) if c.kept is False]


def upscale(source: Path, out: Path, model: Model) -> Dataset:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out)
    return pydicom.dcmread(out / "0001.dcm")


@pytest.mark.parametrize("items", [0, 1], ids=["no item", "an empty item"])
def test_a_group_that_says_nothing_beside_the_shared_one(tmp_path: Path, ct_model: Model, items: int) -> None:
    ds = enhanced([pixels(seed=i) for i in range(3)])
    for item in ds.PerFrameFunctionalGroupsSequence:
        item.PixelMeasuresSequence = Sequence([Dataset() for _ in range(items)])
    source = save(ds, tmp_path / "e.dcm")
    after = upscale(source, tmp_path / "out", ct_model)
    assert after.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [0.4, 0.35]
    own = [g for i in after.PerFrameFunctionalGroupsSequence for g in i.PixelMeasuresSequence]
    assert [len(g) for g in own] == [0] * 3 * items
    assert [c for c in broken(source, tmp_path / "out") if "dciodvfy" not in c] == []


def test_attributes_of_one_group_may_be_shared_and_per_frame(tmp_path: Path, ct_model: Model) -> None:
    ds = enhanced([pixels(seed=i) for i in range(3)])
    del ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness
    for number, item in enumerate(ds.PerFrameFunctionalGroupsSequence):
        thickness = Dataset()
        thickness.SliceThickness = 4 + number
        item.PixelMeasuresSequence = Sequence([thickness])
    source = save(ds, tmp_path / "e.dcm")
    assert geomedsr.open(source).grid.planes[2].spacing == (0.8, 0.7)
    after = upscale(source, tmp_path / "out", ct_model)
    assert after.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [0.4, 0.35]
    own = [i.PixelMeasuresSequence[0] for i in after.PerFrameFunctionalGroupsSequence]
    assert [float(o.SliceThickness) for o in own] == [4, 5, 6]
    assert not any("PixelSpacing" in o for o in own)
    assert [c for c in broken(source, tmp_path / "out") if "dciodvfy" not in c] == []


@pytest.mark.parametrize("kind", ["enhanced", "classic"])
def test_a_lossy_source_says_how_lossy_it_was(tmp_path: Path, ct_model: Model, kind: str) -> None:
    values = [pixels(64, 64, seed=i) for i in range(2)]
    ds = enhanced(values) if kind == "enhanced" else slice_of(values[0])
    if kind == "enhanced":
        ds.LossyImageCompression = "00"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.compress(JPEG2000, j2k_cr=[8], generate_instance_uid=False)
    ds.save_as(tmp_path / "j.dcm", enforce_file_format=True)
    coded = sum(len(f) for f in pydicom.encaps.generate_frames(ds.PixelData))
    after = upscale(tmp_path / "j.dcm", tmp_path / "out", ct_model)
    assert (after.LossyImageCompression, after.LossyImageCompressionMethod) == ("01", "ISO_15444_1")
    ratio = 64 * 64 * 2 * (2 if kind == "enhanced" else 1) / coded
    assert ratio > 6
    assert float(after.LossyImageCompressionRatio) == pytest.approx(ratio, rel=0.05)
    assert complaints(str(tmp_path / "j.dcm"), str(tmp_path / "out" / "0001.dcm")) == []
    assert [c for c in broken(tmp_path / "j.dcm", tmp_path / "out") if "block" not in c] == []


def test_what_acquired_an_image_is_kept_and_no_validator_blames_that(tmp_path: Path, mr_model: Model) -> None:
    ds = enhanced([pixels(seed=i) for i in range(2)], "MR")
    ds.MRAcquisitionType, ds.PulseSequenceName, ds.EchoPulseSequence = "3D", "*tfl3d1", "GRADIENT"
    source = save(ds, tmp_path / "e.dcm")
    after = upscale(source, tmp_path / "out", mr_model)
    assert (after.MRAcquisitionType, after.PulseSequenceName) == ("3D", "*tfl3d1")
    new = errors(tmp_path / "out" / "0001.dcm") - errors(source)
    assert any("may not be present otherwise" in line for line in new)  # PS3.3 says that they may
    assert complaints(str(source), str(tmp_path / "out" / "0001.dcm")) == []
    assert broken(source, tmp_path / "out") == []


def test_a_faulty_uid_of_the_source_is_not_blamed_on_what_names_it(tmp_path: Path, ct_model: Model) -> None:
    source = save(slice_of(pixels(), SOPInstanceUID="2.25.77"), tmp_path / "a.dcm")
    source.write_bytes(source.read_bytes().replace(b"2.25.77", b"9.25.77"))
    assert any("Illegal root" in line for line in errors(source))
    after = upscale(source, tmp_path / "out", ct_model)
    assert after.SourceImageSequence[0].ReferencedSOPInstanceUID == "9.25.77"
    assert broken(source, tmp_path / "out") == []
    np.testing.assert_array_equal(after.pixel_array.shape, (40, 48))
