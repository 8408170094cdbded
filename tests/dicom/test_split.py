"""Series in two parts, and back: plain files byte for byte, others with equal pixels and attributes."""

import filecmp
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

import geomedsr
from dicom.conftest import SECRETS, enhanced, errors, pixels, save, slice_of
from geomedsr.errors import InputError, OutputError
from geomedsr.models import Model

SAMPLE = Path(__file__).parents[2] / "examples/ct_abdomen"

Series = Callable[..., Path]


def back(source: Path, factor: int = 2) -> Path:
    """Split and join beside the source; where the series came out."""
    preview, detail, out = (source.with_name(name) for name in ("preview", "detail.gdsr", "out"))
    geomedsr.split(source, preview, detail, factor=factor, progress=False)
    geomedsr.join(preview, detail, out, progress=False)
    return out


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_plain_files_come_back_byte_for_byte(series: Series, syntax: str | None) -> None:
    source = series(3, size=(21, 25), dtype="uint8" if syntax else "int16")
    if syntax:
        for path in source.iterdir():
            save(pydicom.dcmread(path), path, syntax)
    out = back(source)
    names = sorted(path.name for path in source.iterdir())
    assert sorted(path.name for path in out.iterdir()) == names
    assert filecmp.cmpfiles(source, out, names, shallow=False) == (names, [], [])


@pytest.mark.parametrize("syntax", [RLELossless, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_others_come_back_with_equal_pixels_and_attributes(series: Series, syntax: str) -> None:
    source = series(2)
    for path in source.iterdir():
        ds = pydicom.dcmread(path)
        if syntax == RLELossless:
            ds.compress(RLELossless)
            ds.save_as(path)
        elif syntax == DeflatedExplicitVRLittleEndian:
            save(ds, path, syntax)
        else:
            values = ds.pixel_array
            ds = slice_of(values.astype(">i2"), int(ds.InstanceNumber) - 1)
            ds.set_original_encoding(False, False)
            save(ds, path, syntax)
    out = back(source)
    for path in sorted(source.iterdir()):
        before, after = pydicom.dcmread(path), pydicom.dcmread(out / path.name)
        assert (before.pixel_array == after.pixel_array).all()
        del before.PixelData, after.PixelData
        assert [(e.tag, e.value) for e in before] == [(e.tag, e.value) for e in after]


def test_an_enhanced_image(tmp_path: Path) -> None:
    source = save(enhanced([pixels(seed=i) for i in range(3)]), tmp_path / "e.dcm")
    out = back(source)
    assert filecmp.cmp(source, out / "e.dcm", shallow=False)
    coarse = pydicom.dcmread(tmp_path / "preview" / "0001.dcm")
    assert coarse.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [1.6, 1.4]


def test_the_preview_is_a_series_that_models_take(series: Series, ct_model: Model) -> None:
    source = series(2)
    back(source)
    preview = source.with_name("preview")
    fine, coarse = geomedsr.open(source), geomedsr.open(preview)  # without --force
    assert coarse.shape == (2, 1, 10, 12)
    plane = coarse.grid.planes[0]
    assert plane.position == pytest.approx((-60.15, -49.85, 10))
    assert plane.spacing == (1.6, 1.4)
    stored = fine.data.values.astype(int).reshape(2, 1, 10, 2, 12, 2).sum((3, 5))
    assert (coarse.data.values == (stored + 2) // 4).all()
    for path in preview.iterdir():
        ds = pydicom.dcmread(path)
        assert (ds.ImageType[0], ds.PatientID) == ("DERIVED", SECRETS[2])
        assert ds.SeriesInstanceUID != "2.25.2"
        assert "preview" in ds.DerivationDescription
    assert errors(preview / "0001.dcm") == errors(source / "000.dcm")
    result = geomedsr.upscale(coarse, ct_model)
    geomedsr.write(result, source.with_name("fine"))
    assert geomedsr.open(source.with_name("fine"), force=True).grid.planes[0].spacing == (0.8, 0.7)


def test_a_real_series(tmp_path: Path) -> None:
    """Compressed without loss."""
    geomedsr.split(SAMPLE, tmp_path / "preview", tmp_path / "detail.gdsr")
    geomedsr.join(tmp_path / "preview", tmp_path / "detail.gdsr", tmp_path / "out")
    for path in SAMPLE.glob("*.dcm"):
        before, after = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "out" / path.name)
        assert (before.pixel_array == after.pixel_array).all()
        assert before.SOPInstanceUID == after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID


def test_what_is_refused(series: Series, tmp_path: Path) -> None:
    source = series(2)
    preview, detail, out = tmp_path / "preview", tmp_path / "detail.gdsr", tmp_path / "out"
    with pytest.raises(OutputError, match="a folder"):
        geomedsr.split(source, tmp_path / "p.tif", detail)
    geomedsr.split(source, preview, detail)
    with pytest.raises(OutputError, match="exists"):
        geomedsr.split(source, preview, detail)
    geomedsr.split(source, preview, detail, overwrite=True)
    with pytest.raises(OutputError):
        geomedsr.join(preview, detail, source, overwrite=True)  # nothing that geomedsr did not make is replaced
    (preview / "0002.dcm").unlink()
    with pytest.raises(InputError, match="expected 2 slices"):
        geomedsr.join(preview, detail, out)
    assert not out.exists()


def test_overlays_in_high_bits_are_not_lost_silently(series: Series) -> None:
    def edit(ds: pydicom.Dataset, index: int) -> None:
        values = np.frombuffer(ds.PixelData, "u2") | 0x8000
        ds.BitsStored, ds.HighBit, ds.PixelData = 12, 11, values.tobytes()
        ds.add_new(0x60000010, "US", 20)
        ds.add_new(0x60000011, "US", 24)
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 15)

    source = series(2, dtype="uint16", edit=edit)
    with pytest.raises(InputError, match="overlays"):
        back(source)
    assert not source.with_name("preview").exists()
