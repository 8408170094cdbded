"""What belongs to a series and what does not: scouts, phase images, mosaics; DICOMDIRs; places nearly the same."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

import geomedsr
from dicom.conftest import SECRETS, enhanced, files, pixels, save, slice_of, stored
from geomedsr.cli import main
from geomedsr.errors import InputError, SceneWarning
from geomedsr.models import Model
from geomedsr.verification.verify import verify
from geomedsr_dicom.index import index

Series = Callable[..., Path]
SAGITTAL = [0, 1, 0, 0, 0, -1]


def broken(source: Path, out: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # told when it was opened
        return [f"{c.promise}: {c.detail}" for c in verify(source, out) if c.kept is False]


def opened(path: Path) -> tuple[geomedsr.Scene, list[str]]:
    """A scene, and what was told of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scene = geomedsr.open(path)
    return scene, [str(w.message) for w in caught if w.category is SceneWarning]


STRANGERS: dict[str, tuple[dict[str, Any], str]] = {
    "a localizer": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "1 localizer (scout) (scout.dcm), left out"),
    "another size": ({"size": (16, 16)}, "1 image of 16 × 16 pixels (scout.dcm), left out"),
    "another type": ({"dtype": "uint16"}, "1 image of uint16, 16 bits stored (scout.dcm), left out"),
    "another orientation": (
        {"ImageOrientationPatient": SAGITTAL},
        "1 slice that lies across the others (scout.dcm), left out",
    ),
    "another class": (
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"},
        "1 image of another class than CT or MR (scout.dcm), left out",
    ),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_one_that_does_not_belong_is_left_out_and_named(
    series: Series, tmp_path: Path, ct_model: Model, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    changes, said = STRANGERS[what]
    changes = dict(changes)
    folder = series(4)
    values = pixels(*changes.pop("size", (20, 24)), seed=9, dtype=changes.pop("dtype", "int16"))
    save(slice_of(values, 9, **changes), folder / "scout.dcm")
    scene, told = opened(folder)
    assert [Path(f).name for f in scene.files] == ["000.dcm", "001.dcm", "002.dcm", "003.dcm"]
    assert told == [f"CT series 3 has {said}"]
    assert main(["info", str(folder)]) == 0
    assert f"warning {said}" in capsys.readouterr().out
    geomedsr.write(geomedsr.upscale(scene, ct_model), tmp_path / "out")
    assert len(files(tmp_path / "out")) == 4
    assert broken(folder, tmp_path / "out") == []


def test_slices_across_each_other_are_all_kept(series: Series) -> None:
    def turn(ds: Dataset, i: int) -> None:
        angle = np.radians(15 * i)
        ds.ImageOrientationPatient = [round(float(v), 6) for v in (np.cos(angle), np.sin(angle), 0, 0, 0, -1)]

    scene, told = opened(series(6, edit=turn))
    assert scene.shape[0] == 6
    assert any("off their normal" in t for t in told)


def test_the_file_at_fault_is_named(series: Series) -> None:
    folder = series(4)
    ds = pydicom.dcmread(folder / "002.dcm")
    del ds.ImagePositionPatient
    ds.save_as(folder / "002.dcm")
    with pytest.raises(InputError, match=r"no position \(ImagePositionPatient\), in 002.dcm"):
        geomedsr.open(folder)
    for name in ("000.dcm", "003.dcm"):
        shutil.copy(folder / "002.dcm", folder / name)
    with pytest.raises(InputError, match=r"in 000.dcm and 2 more"):
        geomedsr.open(folder)


PHASES = {
    "Siemens": {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
    "Philips": {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]},
    "Philips' letters": {"ImageType": ["ORIGINAL", "PRIMARY", "P_SE", "P", "SE"]},
    "a word": {"ImageType": ["DERIVED", "PRIMARY", "OTHER", "PHASE"]},
    "subtracted": {"ImageType": ["DERIVED", "PRIMARY", "PHASE SUBTRACT"]},
    "velocity": {"ImageType": ["ORIGINAL", "PRIMARY", "VELOCITY MAP", "P", "PCA"]},
    "velocity, and a letter": {"ImageType": ["ORIGINAL", "PRIMARY", "M", "VELOCITY"]},
    "component": {"ComplexImageComponent": "PHASE"},
}


@pytest.mark.parametrize("maker", PHASES)
def test_phase_images_are_refused_and_beside_magnitudes_left_out(series: Series, maker: str) -> None:
    alone = series(2, "alone", modality="MR", **PHASES[maker])
    word = "velocity" if maker.startswith("velocity") else "phase"
    with pytest.raises(InputError, match=f"{word} images, whose values wrap around.*take the magnitude series"):
        geomedsr.open(alone)
    both = series(3, "both", modality="MR")
    for number in range(3):  # at the magnitudes' places
        ds = slice_of(pixels(seed=9), number, "MR", SOPInstanceUID=f"2.25.{500 + number}", **PHASES[maker])
        save(ds, both / f"p{number}.dcm")
    scene, told = opened(both)
    assert scene.shape[0] == 3
    np.testing.assert_array_equal(scene.data.values[:, 0], [pixels(seed=i) for i in range(3)])
    assert told == [f"MR series 3 has 3 {word} images (p0.dcm, p1.dcm, p2.dcm), left out"]


def test_series_that_are_passed_over_are_told(series: Series) -> None:
    """Scanners give phases a series of their own; in one folder the magnitudes are taken."""
    folder = series(3, modality="MR")
    for number in range(2):
        kind = {"SeriesInstanceUID": "2.25.77", "SeriesNumber": 4, "SOPInstanceUID": f"2.25.{500 + number}"}
        ds = slice_of(pixels(seed=9), number, "MR", **kind, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])
        save(ds, folder / f"p{number}.dcm")
    scene, told = opened(folder)
    assert scene.shape[0] == 3
    (line,) = told
    assert line.endswith(
        "holds 1 series that cannot be used (MR series 4, phase images, whose values wrap around), left out"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        geomedsr.open(folder, series="3")


@pytest.mark.parametrize(("name", "bits"), [("FloatPixelData", 32), ("DoubleFloatPixelData", 64)])
def test_floating_point_pixels_are_named(series: Series, name: str, bits: int) -> None:
    def edit(ds: Dataset, i: int) -> None:
        for one in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(ds, one)
        ds.BitsAllocated = bits
        setattr(ds, name, pixels(seed=i).astype(f"float{bits}").tobytes())

    with pytest.raises(InputError, match=r"floating-point pixels \(Float Pixel Data\), expected whole numbers"):
        geomedsr.open(series(2, modality="MR", edit=edit))


def test_what_ge_says_of_phase_is_read(series: Series) -> None:
    def ge(number: int) -> Callable[[Dataset, int], None]:
        def edit(ds: Dataset, i: int) -> None:
            ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
            ds.private_block(0x43, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", number)

        return edit

    assert geomedsr.open(series(2, "m", modality="MR", edit=ge(0))).shape[0] == 2
    for number in (1, 3):
        with pytest.raises(InputError, match="take the magnitude series"):
            geomedsr.open(series(2, f"p{number}", modality="MR", edit=ge(number)))


MAGNITUDES = [
    ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"],
    ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"],
    ["ORIGINAL", "PRIMARY", "PHASE CONTRAST M", "P", "PCA"],  # made of the magnitudes of velocities
    ["ORIGINAL", "PRIMARY", "OTHER"],
    ["DERIVED", "SECONDARY", "T1 MAP", "NONE", "P"],
]


@pytest.mark.parametrize("kind", MAGNITUDES, ids=lambda k: k[2])
def test_magnitudes_are_taken(series: Series, kind: list[str]) -> None:
    scene, told = opened(series(2, modality="MR", ImageType=kind))
    assert (scene.shape[0], told) == (2, [])


def test_real_parts_are_taken_and_told_and_imaginary_ones_refused(series: Series) -> None:
    real = series(2, "real", modality="MR", ImageType=["ORIGINAL", "PRIMARY", "R_IR", "R", "IR"])
    scene, told = opened(real)
    assert (scene.shape[0], told) == (
        2,
        ["MR series 3 has the real part of complex images, which the models have not been trained on"],
    )
    for number in range(2):
        kind = {"ImageType": ["ORIGINAL", "PRIMARY", "I"], "SOPInstanceUID": f"2.25.{500 + number}"}
        save(slice_of(pixels(seed=9), number, "MR", **kind), real / f"i{number}.dcm")
    with pytest.raises(InputError, match="parts of complex images"):
        geomedsr.open(real)


def test_magnitude_frames_of_an_enhanced_image_are_made_finer_without_its_phases(
    tmp_path: Path, mr_model: Model
) -> None:
    ds = enhanced([pixels(seed=i) for i in range(4)], "MR")
    ds.ComplexImageComponent = "MIXED"
    kind = ds.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence[0]
    del ds.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence
    for number, item in enumerate(ds.PerFrameFunctionalGroupsSequence):
        own = Dataset()
        own.update(kind)
        own.ComplexImageComponent = "PHASE" if number % 2 else "MAGNITUDE"
        item.MRImageFrameTypeSequence = Sequence([own])
    source = save(ds, tmp_path / "e.dcm")
    scene, told = opened(source)
    assert told == ["MR series 3 has 2 phase images (e.dcm), left out"]
    geomedsr.write(geomedsr.upscale(scene, mr_model), tmp_path / "out")
    after = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert (after.NumberOfFrames, after.ComplexImageComponent) == (2, "MAGNITUDE")
    items = after.PerFrameFunctionalGroupsSequence
    assert [i.FrameContentSequence[0].InStackPositionNumber for i in items] == [1, 3]
    named = [i.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber for i in items]
    assert named == [1, 3]
    expected = geomedsr.upscale(scene, mr_model).data.values[:, 0]
    np.testing.assert_array_equal(after.pixel_array, expected)
    assert [c for c in broken(source, tmp_path / "out") if "dciodvfy" not in c] == []


@pytest.mark.parametrize("told", ["type", "count"])
def test_mosaics_are_refused(series: Series, told: str) -> None:
    def count(ds: Dataset, i: int) -> None:
        if told == "type":
            ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        else:
            ds.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)

    with pytest.raises(InputError, match=r"a mosaic, slices side by side in one image.*dcm2niix"):
        geomedsr.open(series(2, modality="MR", edit=count))


def disc(source: Path, root: Path) -> None:
    """A medium with a series and its DICOMDIR."""
    records = []
    for number, file in enumerate(files(source)):
        (root / "PAT").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / "PAT" / f"IM{number}")
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["PAT", f"IM{number}"]
        records.append(record)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.FileSetID = "1.2.840.10008.1.3.10", "2.25.88", "DISC"
    ds.DirectoryRecordSequence = Sequence(records)
    save(ds, root / "DICOMDIR")


def test_a_dicomdir_is_followed(
    series: Series, tmp_path: Path, ct_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disc(series(3), tmp_path / "disc")
    save(slice_of(pixels(), 7, SeriesInstanceUID="2.25.70"), tmp_path / "disc" / "stranger.dcm")  # not in the directory
    directory = tmp_path / "disc" / "DICOMDIR"
    assert geomedsr.open(directory).shape[0] == 3
    for path in files(tmp_path / "disc"):  # as a file system of small letters has it
        if path.name.isupper() and path != directory:
            path.rename(path.with_name(path.name.lower()))
    assert geomedsr.open(directory).shape[0] == 3
    words = ["upscale", str(directory), str(tmp_path / "out"), "--model", str(ct_path), "--quiet"]
    assert main(words) == 0
    assert main(["verify", str(directory), str(tmp_path / "out")]) == 0
    assert main(["upscale", str(directory), str(tmp_path / "disc"), "--overwrite"]) == 2
    next(p for p in files(tmp_path / "disc") if p != directory and p.suffix == "").unlink()
    assert len(opened(directory)[1]) == 1
    capsys.readouterr()
    assert main(["info", str(directory)]) == 0
    assert "1 file that the DICOMDIR names and that are not there" in capsys.readouterr().out


def test_a_dicomdir_that_leads_out_of_its_folder_leads_nowhere(series: Series, tmp_path: Path) -> None:
    disc(series(2), tmp_path / "disc")
    directory = tmp_path / "disc" / "DICOMDIR"
    directory.write_bytes(directory.read_bytes().replace(b"PAT\\IM", b"../\\IM"))
    (tmp_path / "IM0").write_bytes((tmp_path / "disc" / "PAT" / "IM0").read_bytes())
    with pytest.warns(SceneWarning, match="names 2 files that are not there"), pytest.raises(InputError):
        geomedsr.open(directory)


def test_axes_a_little_off_are_put_right_and_told(series: Series, tmp_path: Path, ct_model: Model) -> None:
    folder = series(3, ImageOrientationPatient=[1.001, 0.0005, 0, 0, 1.0005, 0])
    scene, told = opened(folder)
    assert told == [
        "CT series 3 has axes that are not quite unit vectors at right angles, taken as the nearest that are"
    ]
    row, column = (np.array(v) for v in (scene.grid.planes[0].along_row, scene.grid.planes[0].along_column))
    np.testing.assert_allclose([row @ row, column @ column, row @ column], [1, 1, 0], atol=1e-12)
    assert np.abs(row - [1, 0, 0]).max() < 1e-3
    geomedsr.write(geomedsr.upscale(scene, ct_model), tmp_path / "out")
    assert broken(folder, tmp_path / "out") == []
    geomedsr.write(geomedsr.upscale(scene, ct_model), tmp_path / "out.nii")
    exact, told = opened(series(2, "exact", ImageOrientationPatient=[0.999999, 0.001, 0, -0.001, 0.999999, 0]))
    assert told == []  # six digits
    assert exact.grid.planes[0].along_row == (0.999999, 0.001, 0)


def test_phases_micrometres_apart_are_phases(series: Series, tmp_path: Path, mr_model: Model) -> None:
    def phase(ds: Dataset, i: int) -> None:
        ds.TriggerTime = 20 * (i % 3)
        ds.ImagePositionPatient = [0, 0, 5 * (i // 3) + 0.002 * (i % 3)]

    folder = series(12, edit=phase, modality="MR")
    scene, told = opened(folder)
    assert told == []
    (found,) = index(str(folder)).series
    assert (found.phases, found.phase) == (3, "TriggerTime")
    assert [int(f.path[-7:-4]) for f in scene.headers] == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    geomedsr.write(geomedsr.upscale(scene, mr_model), tmp_path / "out")
    assert broken(folder, tmp_path / "out") == []
    files(folder)[11].unlink()  # one position has a phase less
    assert not any("gaps" in t for t in opened(folder)[1])


def test_thin_slices_of_a_microscope_are_no_phases(series: Series) -> None:
    def thin(ds: Dataset, i: int) -> None:
        ds.PixelSpacing = [0.005, 0.005]
        ds.ImagePositionPatient = [0, 0, 0.005 * i + (0.5 if i > 7 else 0)]

    folder = series(16, edit=thin)
    (found,) = index(str(folder)).series
    assert found.phases == 1
    assert found.faults == ["gaps where 100 slices would fit"]


def several_frames(tmp_path: Path, **changes: Any) -> Path:
    values = np.stack([pixels(seed=i) for i in range(3)])
    ds = slice_of(values[0], **changes)
    ds.NumberOfFrames, ds.PixelData = 3, values.tobytes()
    ds.add_new("SmallestImagePixelValue", "SS", 0)
    return save(ds, tmp_path / "multi.dcm")


def test_a_single_frame_class_with_several_frames(tmp_path: Path, ct_model: Model) -> None:
    source = several_frames(tmp_path)
    scene, told = opened(source)
    assert told == ["CT series 3 has several frames in one single-frame image, placed by the distance between slices"]
    np.testing.assert_array_equal(scene.data.values[:, 0], [pixels(seed=i) for i in range(3)])
    np.testing.assert_allclose([p.depth for p in scene.grid.planes], [10, 14, 18])
    sr = geomedsr.upscale(scene, ct_model)
    geomedsr.write(sr, tmp_path / "out.dcm")
    after = pydicom.dcmread(tmp_path / "out.dcm")
    assert (after.NumberOfFrames, after.Rows, after.Columns) == (3, 40, 48)
    np.testing.assert_array_equal(after.pixel_array, sr.data.values[:, 0])
    np.testing.assert_allclose(after.ImagePositionPatient, [-60.5 - 0.175, -50.25 - 0.2, 10])
    assert after.SmallestImagePixelValue == after.pixel_array.min()
    assert broken(source, tmp_path / "out.dcm") == []


def test_where_several_frames_lie_is_read(tmp_path: Path) -> None:
    grid = opened(several_frames(tmp_path, GridFrameOffsetVector=[0, 2, 5]))[0].grid
    np.testing.assert_allclose([p.depth for p in grid.planes], [10, 12, 15])
    grid = opened(several_frames(tmp_path, FrameIncrementPointer=0x00181063))[0].grid
    np.testing.assert_allclose([p.depth for p in grid.planes], [10, 10, 10])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_meta_information(tmp_path: Path, ct_model: Model, syntax: str) -> None:
    for number in range(2):
        ds = slice_of(pixels(seed=number), number)
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        if not little:
            ds.PixelData = pixels(seed=number).byteswap().tobytes()
        (tmp_path / "in").mkdir(exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds.save_as(tmp_path / "in" / f"IM{number}", implicit_vr=implicit, little_endian=little)
    scene, told = opened(tmp_path / "in")
    assert told == [
        f"CT series 3 has files that do not name their transfer syntax, taken as {pydicom.uid.UID(syntax).name}"
    ]
    np.testing.assert_array_equal(scene.data.values[:, 0], [pixels(seed=i) for i in range(2)])
    geomedsr.write(geomedsr.upscale(scene, ct_model), tmp_path / "out")
    assert [c for c in broken(tmp_path / "in", tmp_path / "out") if "entvfy" not in c] == []
    assert stored(tmp_path / "out" / "0001.dcm").shape == (40, 48)
    assert pydicom.dcmread(tmp_path / "out" / "0002.dcm").PatientName == SECRETS[0]


def test_meta_information_without_a_transfer_syntax(series: Series) -> None:
    folder = series(1)
    raw = (folder / "000.dcm").read_bytes()
    start = raw.index(b"\x02\x00\x10\x00UI")
    (folder / "000.dcm").write_bytes(raw[:start] + raw[start + 8 + raw[start + 6] :])
    scene, told = opened(folder)
    assert told == ["CT series 3 has files that do not name their transfer syntax, taken as Explicit VR Little Endian"]
    np.testing.assert_array_equal(scene.data.values[0, 0], pixels())


def test_a_faulty_header_is_told_before_the_work(tmp_path: Path, ct_model: Model) -> None:
    ds = enhanced([pixels(seed=i) for i in range(2)])
    source = save(ds, tmp_path / "e.dcm")
    with pytest.MonkeyPatch.context() as patch:
        from geomedsr_dicom import rewriting

        def fails(*args: object) -> Dataset:
            raise IndexError("list index out of range")

        patch.setattr(rewriting, "derive_enhanced", fails)
        with pytest.raises(InputError, match=r"a header that cannot be rewritten \(IndexError\)"):
            geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "deep" / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.dcm"]
