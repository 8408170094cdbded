"""What goes out: the rules of docs/medical.md, checked on files and with readers that are not ours."""

import contextlib
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK as sitk  # noqa: N813
from conftest import SAMPLE, block_sums
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import geomedsr
from dicom.conftest import OURS, SECRETS, TILTED, enhanced, errors, files, pixels, save, slice_of, stored
from geomedsr import Window
from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.inference.passes import boxes_of
from geomedsr.io import open_sink
from geomedsr.models import Model
from geomedsr.verification.verify import verify
from geomedsr_dicom.validators import complaints

Series = Callable[..., Path]


def pydicoms_own() -> list[Path]:
    """Every CT and MR file that pydicom ships; one of the many that hold no image."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are broken on purpose
        for path in sorted(map(Path, pydicom.data.get_testdata_files())):
            plain = path.suffix in (".dcm", "") and "TINY" not in path.parts
            if path.is_file() and (plain or path.name == "IM000000"):
                with contextlib.suppress(Exception):
                    ds = pydicom.dcmread(path, force=True, specific_tags=["Modality"], stop_before_pixels=True)
                    if ds.get("Modality") in ("CT", "MR"):
                        found.append(path)
    return found


PYDICOM = pydicoms_own()


def upscale(source: Path, out: Path, model: Model, **options: Any) -> Path:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source, force=True), model), out, **options)
    return out


def broken(source: Path, out: Path) -> list[str]:
    return [f"{c.promise}: {c.detail}" for c in verify(source, out) if c.kept is False]


@pytest.fixture
def pair(series: Series, tmp_path: Path, ct_model: Model) -> tuple[list[Dataset], list[Dataset]]:
    """Headers of a source with much in it, and of its result."""

    def rich(ds: Dataset, i: int) -> None:
        ds.ImageOrientationPatient = list(TILTED)
        normal = np.cross(TILTED[:3], TILTED[3:])
        ds.ImagePositionPatient = [round(float(v), 6) for v in np.array([-60.5, -50.25, 10]) + 4 * i * normal]
        ds.add_new("SmallestImagePixelValue", "SS", 0)
        ds.add_new("LargestImagePixelValue", "SS", 5)
        ds.add_new("PixelPaddingValue", "SS", -2000)
        ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", 8.5
        ds.LossyImageCompressionMethod = "ISO_10918_1"
        ds.PatientIdentityRemoved, ds.DeidentificationMethod, ds.BurnedInAnnotation = "YES", "by hand", "NO"
        ds.IconImageSequence, ds.DigitalSignaturesSequence = Sequence([Dataset()]), Sequence([Dataset()])
        ds.PixelAspectRatio, ds.SliceLocation, ds.CTDIvol = [1, 1], 4.0 * i, 3.25
        ds.add_new(0x60000010, "US", 20)
        ds.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"geometry")
        ds.private_block(0x13, "CTP", create=True).add_new(0x10, "LO", "Collection")
        ds.InstanceCreationDate, ds.ContentDate, ds.ContentTime = "20200101", "20200101", "101010"
        ds.DerivationDescription = "earlier work"
        ds.ContributingEquipmentSequence = Sequence([slice_of(pixels())])
        ds.ContributingEquipmentSequence[0].clear()
        ds.ContributingEquipmentSequence[0].Manufacturer = "Somebody"

    source = series(3, edit=rich)
    out = upscale(source, tmp_path / "out", ct_model)
    assert broken(source, out) == []
    return [pydicom.dcmread(f) for f in files(source)], [pydicom.dcmread(f) for f in files(out)]


def test_what_is_new(pair: tuple[list[Dataset], list[Dataset]]) -> None:
    before, after = pair
    assert len({a.SOPInstanceUID for a in after} | {b.SOPInstanceUID for b in before}) == 6
    assert len({a.SeriesInstanceUID for a in after}) == 1
    assert after[0].SeriesInstanceUID != before[0].SeriesInstanceUID
    for a in after:
        assert a.file_meta.MediaStorageSOPInstanceUID == a.SOPInstanceUID
        assert a.file_meta.ImplementationClassUID.startswith("2.25.")
        assert a.file_meta.ImplementationVersionName.startswith("GEOMEDSR")
        assert a.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert (a.SeriesNumber, a.SeriesDescription) == (1003, "Axial tiny-ct not for diagnostic use")
        assert a.InstanceCreationDate == a.ContentDate == time.strftime("%Y%m%d")
        assert a.InstanceCreationTime == a.ContentTime
        assert list(a.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert a.ContentQualification == "RESEARCH"


def test_where_it_lies(pair: tuple[list[Dataset], list[Dataset]]) -> None:
    for b, a in zip(*pair, strict=True):
        assert (a.Rows, a.Columns) == (40, 48)
        np.testing.assert_allclose(a.PixelSpacing, [0.4, 0.35])
        row, column = np.array(TILTED[:3]), np.array(TILTED[3:])
        shift = 0.5 * (1 / 2 - 1) * (0.7 * row + 0.8 * column)  # Δcol · IOP[0:3] + Δrow · IOP[3:6]
        np.testing.assert_allclose(a.ImagePositionPatient, np.array(b.ImagePositionPatient, float) + shift, atol=1e-9)
        assert a.ImageOrientationPatient == b.ImageOrientationPatient
        assert a.SliceLocation == b.SliceLocation
        assert a.InstanceNumber == b.InstanceNumber
        assert all(len(str(v)) <= 16 for v in (*a.PixelSpacing, *a.ImagePositionPatient))


def test_how_it_was_made(pair: tuple[list[Dataset], list[Dataset]], ct_model: Model) -> None:
    for b, a in zip(*pair, strict=True):
        text = a.DerivationDescription
        assert text.startswith("earlier work; ")
        for part in ("tiny-ct 0.0.1", ct_model.sha256, "x2", "geomedsr", "guess", "block means conserved"):
            assert part in text
        assert not any(secret in text for secret in SECRETS)
        assert [(c.CodeValue, c.CodingSchemeDesignator) for c in a.DerivationCodeSequence] == [("113085", "DCM")]
        (source,) = a.SourceImageSequence
        assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (b.SOPClassUID, b.SOPInstanceUID)
        assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        first, second = a.ContributingEquipmentSequence
        assert (first.Manufacturer, second.ManufacturerModelName) == ("Somebody", "geomedsr")
        assert second.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert second.SoftwareVersions == [geomedsr.__version__, "model tiny-ct 0.0.1"]
        assert second.ContributionDateTime.startswith(time.strftime("%Y%m%d"))


def test_what_is_kept_and_what_goes(pair: tuple[list[Dataset], list[Dataset]]) -> None:
    changed = {
        *("SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "InstanceCreationDate"),
        *("ContentDate", "ContentTime", "ImageType", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient"),
        *("SmallestImagePixelValue", "LargestImagePixelValue", "DerivationDescription", "PixelData"),
        "ContributingEquipmentSequence",
    }
    gone = {"IconImageSequence", "DigitalSignaturesSequence", "PixelAspectRatio"}
    for b, a in zip(*pair, strict=True):
        for element in b:
            if element.tag.is_private:
                assert (element.tag in a) == (element.tag.group == 0x13)
            elif element.keyword in gone or element.tag.group == 0x6000:
                assert element.keyword not in a
            elif element.keyword not in changed:
                assert a[element.tag] == element, element.keyword
        values = a.pixel_array
        assert (a.SmallestImagePixelValue, a.LargestImagePixelValue) == (values.min(), values.max())
        assert a["SmallestImagePixelValue"].VR == "SS"
        assert (a.LossyImageCompression, a.LossyImageCompressionRatio) == ("01", 8.5)


def test_block_means_of_stored_values_and_of_hu(pair: tuple[list[Dataset], list[Dataset]]) -> None:
    for b, a in zip(*pair, strict=True):
        assert (block_sums(a.pixel_array, 2) == 4 * b.pixel_array.astype(object)).all()
        assert np.abs(a.pixel_array.astype(int) - b.pixel_array.repeat(2, 0).repeat(2, 1)).max() > 10


def test_other_readers_see_the_same_hu_in_the_same_place(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(4)
    out = upscale(source, tmp_path / "out", ct_model)
    images = []
    for folder in (source, out):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        images.append(reader.Execute())
    before, after = images
    hu, finer = (sitk.GetArrayFromImage(i).astype(int) for i in images)
    assert hu.min() < -900
    np.testing.assert_array_equal(finer.reshape(4, 20, 2, 24, 2).sum((2, 4)), 4 * hu)
    for point in ((0, 0, 0), (23, 19, 3), (7.25, 3.5, 1.5)):
        world = before.TransformContinuousIndexToPhysicalPoint(point)
        expected = ((point[0] + 0.5) * 2 - 0.5, (point[1] + 0.5) * 2 - 0.5, point[2])
        np.testing.assert_allclose(after.TransformPhysicalPointToContinuousIndex(world), expected, atol=0.01)


def test_dcmtks_viewer_shows_what_pydicom_reads(series: Series, tmp_path: Path, ct_model: Model) -> None:
    if shutil.which("dcmj2pnm") is None:
        pytest.skip("dcmj2pnm (Debian's dcmtk) is not installed")
    out = upscale(series(1), tmp_path / "out", ct_model)
    picture = tmp_path / "a.pgm"
    # Modality transformation on, window −1024 … 1024 HU: a level is 8.03 HU wide.
    subprocess.run(["dcmj2pnm", "+Ww", "0", "2048", "+op", out / "0001.dcm", picture], check=True)
    shown = np.fromfile(picture, np.uint8)[-40 * 48 :].reshape(40, 48).astype(float)
    hu = stored(out / "0001.dcm").astype(float) - 1024
    expected = np.clip(((hu + 0.5) / 2047 + 0.5) * 255, 0, 255)
    assert np.abs(shown - expected).max() <= 1


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_enhanced_in_enhanced_out(tmp_path: Path, modality: str, ct_model: Model) -> None:
    ds = enhanced([pixels(seed=i) for i in range(4)], modality)
    if modality == "MR":
        ds.MRAcquisitionType = "3D"
    source = save(ds, tmp_path / "e.dcm")
    out = upscale(source, tmp_path / "out", ct_model)
    assert [c for c in broken(source, out) if "dciodvfy" not in c] == []
    before, after = pydicom.dcmread(source), pydicom.dcmread(out / "0001.dcm")
    assert (after.NumberOfFrames, after.Rows, after.Columns) == (4, 40, 48)
    assert after.get("MRAcquisitionType") == ("3D" if modality == "MR" else None)
    assert list(after.ImageType) == ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    shared = after.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.4, 0.35]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 4
    assert list(shared[f"{modality}ImageFrameTypeSequence"][0].FrameType) == list(after.ImageType)
    assert (
        shared.PixelValueTransformationSequence
        == before.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    )
    shift = 0.5 * (1 / 2 - 1) * (0.7 * np.array(TILTED[:3]) + 0.8 * np.array(TILTED[3:]))
    groups = zip(before.PerFrameFunctionalGroupsSequence, after.PerFrameFunctionalGroupsSequence, strict=True)
    for number, (b, a) in enumerate(groups, 1):
        old, new = (np.array(g.PlanePositionSequence[0].ImagePositionPatient, float) for g in (b, a))
        np.testing.assert_allclose(new, old + shift, atol=1e-9)
        (made,) = a.DerivationImageSequence
        assert made.DerivationCodeSequence[0].CodeValue == "113085"
        assert made.SourceImageSequence[0].ReferencedFrameNumber == number
        assert a.FrameContentSequence == b.FrameContentSequence
    for frame in range(4):
        sums = block_sums(after.pixel_array[frame], 2)
        assert (sums == 4 * before.pixel_array[frame].astype(object)).all()
    assert complaints(str(source), str(out / "0001.dcm")) == []


def test_the_realism_is_in_the_derivation(tmp_path: Path, ct_model: Model) -> None:
    source = save(slice_of(pixels()), tmp_path / "a.dcm")
    out = upscale(source, tmp_path / "out", ct_model)
    said = str(pydicom.dcmread(out / "0001.dcm").DerivationDescription)
    assert f"sha256 {ct_model.sha256}, realism 0, operator block-mean" in said
    provenance = geomedsr.open(out, force=True).provenance
    assert (provenance["GEOMEDSR_REALISM"], provenance["GEOMEDSR_OPERATOR"]) == ("0", "block-mean")


def test_a_single_file_may_become_a_file(tmp_path: Path, ct_model: Model) -> None:
    source = save(slice_of(pixels()), tmp_path / "a.dcm")
    out = upscale(source, tmp_path / "b.dcm", ct_model)
    assert out.is_file()
    assert broken(source, out) == []
    with pytest.raises(OutputError, match="which exists"):
        upscale(source, out, ct_model)
    upscale(source, out, ct_model, overwrite=True)


def test_twelve_bits_padding_and_both_ends_of_the_type(tmp_path: Path, ct_model: Model) -> None:
    rng = np.random.default_rng(0)
    for name, dtype, bits in (("a", "uint16", 12), ("b", "int16", 16), ("c", "uint16", 16), ("d", "uint8", 8)):
        info = (0, 2**bits - 1) if dtype[0] == "u" else (-(2**15), 2**15 - 1)
        values = rng.choice([info[0], info[1], info[1] // 2], (10, 12)).astype(dtype)
        ds = slice_of(values, BitsStored=bits)
        ds.add_new("PixelPaddingValue", "US" if dtype[0] == "u" else "SS", info[0])
        source = save(ds, tmp_path / f"{name}.dcm")
        out = upscale(source, tmp_path / name, ct_model)
        result = stored(out / "0001.dcm")
        assert info[0] <= result.min()
        assert result.max() <= info[1]
        assert (block_sums(result, 2) == 4 * values.astype(object)).all()
        padded = (values == info[0]).repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(result == info[0], padded)


def test_what_lies_under_padding_changes_nothing(tmp_path: Path, ct_model: Model) -> None:
    results = []
    for under in (-2000, 30000):
        values = pixels()
        values[:, :6] = under
        ds = slice_of(values)
        ds.add_new("PixelPaddingValue", "SS", under)
        out = upscale(save(ds, tmp_path / f"{under}.dcm"), tmp_path / f"out{under}", ct_model)
        results.append(stored(out / "0001.dcm")[:, 12:])
    np.testing.assert_array_equal(*results)


def test_padding_that_no_header_tells_stays_as_it_is(series: Series, tmp_path: Path) -> None:
    def pad(ds: Dataset, i: int) -> None:
        values = pixels(seed=i)
        values[np.hypot(*np.mgrid[-9.5:10, -11.5:12]) > 11] = -2000
        ds.PixelData = values.tobytes()

    source = series(2, edit=pad)
    out = upscale(source, tmp_path / "out", geomedsr.load_model("ct-x2"))
    for name in ("0001.dcm", "0002.dcm"):
        result, before = stored(out / name), stored(source / f"{int(name[:4]) - 1:03d}.dcm")
        padded = (before == -2000).repeat(2, 0).repeat(2, 1)
        assert (result[padded] == -2000).all()
        beside = result[~padded]
        assert beside.min() >= -2000
        assert (beside < -1500).mean() < 0.003  # the edge does not ring far, not even among noise of 1400 HU
    assert broken(source, out) == []


def test_beside_the_padding_of_a_scan_air_stays_air() -> None:
    series = geomedsr.open(SAMPLE.parent / "ct_abdomen")
    height, width = series.shape[2:]
    window = Window(0, 0, width, height)
    before = series.source.read(Box.of(1, window))[0, 0]
    after = geomedsr.upscale(series, "ct-x2").source.read(Box.of(1, window.scaled(2)))[0, 0]
    slope, offset = (float(part.ravel()[0]) for part in series.slopes_and_offsets)
    padded = (before * slope + offset < -1500).repeat(2, 0).repeat(2, 1)
    assert 0.1 < padded.mean() < 0.3
    units = after[~padded] * slope + offset
    assert units.min() > -1300
    assert (units < -1100).mean() < 0.001


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["ct", "mr"])
def test_tiny_slices(tmp_path: Path, size: tuple[int, int], kind: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(f"{kind}_model")
    source = save(slice_of(pixels(*size) + 500, modality=kind.upper()), tmp_path / "a.dcm")
    out = upscale(source, tmp_path / "out", model)
    assert [c for c in broken(source, out) if "dciodvfy" not in c] == []


def test_k_space_is_the_inputs_and_the_deviation_is_told(series: Series, tmp_path: Path, mr_model: Model) -> None:
    source = series(2, modality="MR", dtype="uint16", size=(22, 17))
    written = geomedsr.write(geomedsr.upscale(geomedsr.open(source), mr_model), tmp_path / "out")
    (check,) = [c for c in verify(source, tmp_path / "out") if "k-space" in c.promise]
    assert written.deviation is not None
    assert f"{written.deviation:.2g} counts" in check.detail


def test_a_seed_makes_the_same_files_again(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(2)
    outs = [
        upscale(source, tmp_path / name, ct_model, uid_seed=seed) for name, seed in (("a", "x"), ("b", "x"), ("c", "y"))
    ]
    fresh = [upscale(source, tmp_path / name, ct_model) for name in ("d", "e")]
    first, again, other = ([f.read_bytes() for f in files(o)] for o in outs)
    assert first == again
    assert first != other
    uids = {pydicom.dcmread(f).SOPInstanceUID for o in (outs[0], outs[2], *fresh) for f in files(o)}
    assert len(uids) == 8


def test_nothing_appears_before_it_is_whole(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(3)
    scene = geomedsr.open(source)
    whole = files(source)[2].read_bytes()
    files(source)[2].write_bytes(whole[:-200])
    sr = geomedsr.upscale(scene, ct_model)
    with pytest.raises(InputError, match="slice 3") as caught:
        geomedsr.write(sr, tmp_path / "out", workers=1)
    assert caught.value.__notes__ == ["2 of 3 regions are kept: the same command goes on from there"]
    assert sorted(p for p in os.listdir(tmp_path) if not p.startswith(".out.")) == ["in"]


def test_a_series_that_goes_on_has_the_uids_it_began_with(series: Series, tmp_path: Path, ct_model: Model) -> None:
    sr = geomedsr.upscale(geomedsr.open(series(4)), ct_model)
    sink = open_sink(sr, tmp_path / "out")
    for region in list(boxes_of(sr.source))[:2]:
        sink.put(region, sr.source.read(region), np.ones(1))
    sink.release()
    begun = {pydicom.dcmread(p).SeriesInstanceUID for p in tmp_path.glob(".out.*/*/series/*.dcm")}
    assert len(begun) == 1
    assert geomedsr.write(sr, tmp_path / "out").resumed == 2
    made = [pydicom.dcmread(p) for p in sorted((tmp_path / "out").iterdir())]
    assert {ds.SeriesInstanceUID for ds in made} == begun
    assert len({ds.SOPInstanceUID for ds in made}) == 4
    np.testing.assert_array_equal(
        [ds.pixel_array for ds in made], geomedsr.upscale(geomedsr.open(tmp_path / "in"), ct_model).data.values[:, 0]
    )


def test_two_workers_may_store_the_same_slice(
    series: Series, tmp_path: Path, ct_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sr = geomedsr.upscale(geomedsr.open(series(2)), ct_model)
    parts = [(r, sr.source.read(r), np.ones(1, bool)) for r in boxes_of(sr.source)]
    sink, rename = open_sink(sr, tmp_path / "out"), os.replace

    def meanwhile(*names: Path) -> None:
        monkeypatch.setattr(os, "replace", rename)
        sink.put(*parts[0])
        rename(*names)

    def stopped(*names: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopped)
        patch.setattr(Path, "unlink", stopped)  # a worker that is killed removes nothing
        with pytest.raises(KeyboardInterrupt):
            sink.put(*parts[1])
    assert len(list(tmp_path.glob(".out.*/*/.*.part"))) == 1
    sink.release()
    sink = open_sink(sr, tmp_path / "out")
    assert not list(tmp_path.glob(".out.*/*/.*.part"))
    monkeypatch.setattr(os, "replace", meanwhile)
    for part in parts:
        sink.put(*part)
    sink.finish()
    assert broken(tmp_path / "in", tmp_path / "out") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_stopped_after_the_series_got_its_name_it_can_be_made_again(
    series: Series, tmp_path: Path, ct_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomedsr_dicom.sink import SeriesSink

    def killed(self: SeriesSink) -> None:
        self.release()  # as the system does
        raise KeyboardInterrupt

    sr = geomedsr.upscale(geomedsr.open(series(3)), ct_model)
    with monkeypatch.context() as patch:
        patch.setattr(SeriesSink, "discard", killed)
        with pytest.raises(KeyboardInterrupt):
            geomedsr.write(sr, tmp_path / "out")
    assert geomedsr.write(sr, tmp_path / "out", overwrite=True).resumed == 0
    assert broken(tmp_path / "in", tmp_path / "out") == []
    assert not any(tmp_path.glob(".*"))


def test_destinations(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(2)
    sr = geomedsr.upscale(geomedsr.open(source), ct_model)
    (tmp_path / "empty").mkdir()
    geomedsr.write(sr, tmp_path / "empty")
    geomedsr.write(sr, tmp_path / "deep" / "er" / "out.v2")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for target, options, said in (
        (tmp_path / "empty", {}, "which exists"),
        (tmp_path / "mine", {"overwrite": True}, "geomedsr did not make"),
        (tmp_path / "file", {}, "which exists"),
        (source, {"overwrite": True}, "which holds the input"),
        (tmp_path, {"overwrite": True}, "which holds the input"),
        (tmp_path / "a.dcm", {}, "a folder"),
        (tmp_path / "a.tif", {}, "a scene that lies on a map"),
        (tmp_path / "a.png", {}, "a scene that lies on a map"),
        ("/proc/out", {}, "permission"),
    ):
        with pytest.raises(OutputError, match=said):
            geomedsr.write(sr, target, **options)
    geomedsr.write(sr, tmp_path / "empty", overwrite=True)
    assert len(files(tmp_path / "empty")) == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    with pytest.raises(OutputError, match="as it was read"):
        geomedsr.write(geomedsr.open(source), tmp_path / "copy")
    assert not list(tmp_path.rglob(".*"))


def test_a_window_of_a_series(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(2)
    whole = geomedsr.upscale(geomedsr.open(source), ct_model)
    geomedsr.write(whole.crop(geomedsr.Window(8, 6, 12, 10)), tmp_path / "out")
    part = pydicom.dcmread(tmp_path / "out" / "0002.dcm")
    np.testing.assert_array_equal(part.pixel_array, whole.data.values[1, 0, 6:16, 8:20])
    np.testing.assert_allclose(part.ImagePositionPatient, whole.grid.planes[1].at(6, 8))


def test_what_geomedsr_made_is_refused_unless_forced(series: Series, tmp_path: Path, ct_model: Model) -> None:
    out = upscale(series(2), tmp_path / "out", ct_model)
    with pytest.raises(InputError, match=r"which geomedsr made.*--force"):
        geomedsr.open(out)
    scene = geomedsr.open(out, force=True)
    assert scene.provenance["GEOMEDSR_MODEL_SHA256"] == ct_model.sha256
    twice = upscale(out, tmp_path / "twice", ct_model)
    assert pydicom.dcmread(twice / "0001.dcm").Rows == 80
    assert broken(out, twice) == []


def test_lossy_sources_stay_marked(tmp_path: Path, ct_model: Model) -> None:
    out = upscale(Path(pydicom.data.get_testdata_file("693_J2KI.dcm")), tmp_path / "out", ct_model)
    assert pydicom.dcmread(out / "0001.dcm").LossyImageCompression == "01"


@pytest.mark.parametrize("path", PYDICOM, ids=lambda p: "/".join(p.parts[-2:]))
def test_every_ct_and_mr_file_of_pydicom_converts_or_is_refused(
    path: Path, tmp_path: Path, ct_model: Model, mr_model: Model
) -> None:
    try:
        scene = geomedsr.open(path)
        geomedsr.write(geomedsr.upscale(scene, ct_model if scene.domain == "CT" else mr_model), tmp_path / "out")
    except GeomedsrError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "\n" not in refused
        assert any(reason in refused for reason in ("a localizer", "truncated pixel data", "without an image"))
        assert not (tmp_path / "out").exists()
        return
    assert errors(tmp_path / "out" / "0001.dcm") - errors(path) == set()
    assert [c for c in broken(path, tmp_path / "out") if "k-space" not in c] == []


def test_pydicoms_collection_was_found() -> None:
    assert len(PYDICOM) > 30


#: Names as scanners in Japan and Korea write them: with escapes that no encoder makes again.
NAMES = {
    "Japanese": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        b"\x1b$B;3ED\x1b(J ",
    ),
    "Korean": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf\x1b(B ",
    ),
    "Chinese": ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", b"\xcd\xf5 "),
}


@pytest.mark.parametrize("language", NAMES)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_text_stays_the_bytes_that_it_is(tmp_path: Path, ct_model: Model, language: str, syntax: str) -> None:
    sets, name, place = NAMES[language]
    wanted = [text + b" " * (len(text) % 2) for text in (name, place, place)]
    stand_ins = [
        letter * 40 + "=" + letter * (len(text) - 41) if len(text) > 41 else letter * len(text)
        for letter, text in zip("NIM", wanted, strict=True)
    ]
    for number in range(2):
        ds = slice_of(pixels(seed=number), number, SpecificCharacterSet=sets)
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = "1", "99X"
        ds.PatientName, ds.InstitutionName, item.CodeMeaning = stand_ins
        ds.ProcedureCodeSequence = Sequence([item])
        path = save(ds, tmp_path / "in" / f"{number}.dcm", syntax)
        raw = path.read_bytes()
        for old, new in zip(stand_ins, wanted, strict=True):
            assert raw.count(old.encode()) == 1
            raw = raw.replace(old.encode(), new)
        path.write_bytes(raw)
    out = upscale(tmp_path / "in", tmp_path / "out", ct_model)
    before, after = (pydicom.dcmread(files(f)[1]) for f in (tmp_path / "in", out))
    for keyword in ("PatientName", "InstitutionName"):
        kept = [ds.get_item(keyword).value for ds in (before, after)]
        assert kept[0] == kept[1]
    items = [ds.ProcedureCodeSequence[0].get_item("CodeMeaning").value for ds in (before, after)]
    assert items[0] == items[1]
    assert broken(tmp_path / "in", out) == []


def test_quantities_nested_in_private_sequences_stay(tmp_path: Path, ct_model: Model) -> None:
    ds = slice_of(pixels(), modality="MR")
    inner = Dataset()
    inner.PixelSpacing = [0.8, 0.7]
    block = inner.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", 0.25)
    block.add_new(0x10, "FL", 3.5)
    outer = ds.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
    outer.add_new(0x0F, "SQ", [inner])
    ds.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"geometry")
    ds.ReferencedImageSequence = Sequence([Dataset()])
    ds.ReferencedImageSequence[0].private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x15, "FD", [1.0] * 3)
    source = save(ds, tmp_path / "a.dcm")
    out = upscale(source, tmp_path / "out", ct_model)
    after = pydicom.dcmread(out / "0001.dcm")
    assert [e.tag for e in after if e.tag.is_private] == [0x20050010, 0x2005100F, *OURS]
    assert [(e.tag, e.value) for e in after[0x2005100F].value[0]] == [
        (0x20050010, "Philips MR Imaging DD 001"),
        (0x2005100E, 0.25),
    ]
    assert len(after.ReferencedImageSequence[0]) == 0
    after[0x2005100F].value[0][0x2005100E].value = 0.5
    after.save_as(out / "0001.dcm")
    assert any("private quantities differ" in b for b in broken(source, out))
