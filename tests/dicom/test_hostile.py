"""Folders and files as they should not be: nothing is lost, nothing is guessed, and one line says why."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from conftest import SAMPLE
from pydicom.dataset import Dataset

import geomedsr
from dicom.conftest import files
from geomedsr.cli import main
from geomedsr.cli.upscale import places
from geomedsr.errors import InputError, OutputError, SceneWarning
from geomedsr.models import Model
from geomedsr.verification.verify import verify

Series = Callable[..., Path]
MR_SAMPLE = SAMPLE.parent / "mr_thigh"


def upscaled(source: Path, model: Model, out: Path, **more: object) -> Path:
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), model), out, **more)
    return out


def test_what_appears_in_the_output_meanwhile_is_not_lost(series: Series, tmp_path: Path, ct_model: Model) -> None:
    sr, out = geomedsr.upscale(geomedsr.open(series(2)), ct_model), tmp_path / "out"
    sink = geomedsr.io.open_sink(sr, out)
    from geomedsr.inference.passes import boxes_of

    for region in boxes_of(sr.source):
        sink.put(region, sr.source.read(region), np.ones(1))
    out.mkdir()
    (out / "note.txt").write_text("precious")
    with pytest.raises(OutputError, match="which exists"):
        sink.finish()
    sink.discard()
    assert (out / "note.txt").read_text() == "precious"
    assert [p.name for p in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("what", ["folder", "link", "file"])
def test_an_earlier_result_with_more_in_it_is_not_replaced(
    series: Series, tmp_path: Path, ct_model: Model, what: str
) -> None:
    source = series(2)
    out = upscaled(source, ct_model, tmp_path / "out")
    upscaled(source, ct_model, out, overwrite=True)
    if what == "folder":
        (out / "sub").mkdir()
    elif what == "link":
        (out / "link").symlink_to(source)
    else:
        (out / "more.dcm").write_bytes((source / "000.dcm").read_bytes())
    with pytest.raises(OutputError, match="1 files or folders that geomedsr did not make"):
        upscaled(source, ct_model, out, overwrite=True)


def test_a_result_in_one_file_replaces_only_a_result(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source = series(2)
    before = (source / "001.dcm").read_bytes()
    scene = geomedsr.upscale(geomedsr.open(source / "000.dcm"), ct_model)
    with pytest.raises(OutputError, match="did not make"):
        geomedsr.write(scene, source / "001.dcm", overwrite=True)
    assert (source / "001.dcm").read_bytes() == before
    geomedsr.write(scene, tmp_path / "one.dcm")
    geomedsr.write(scene, tmp_path / "one.dcm", overwrite=True)
    with pytest.raises(OutputError, match=r"a file\b.*expected a folder"):
        geomedsr.write(scene, _made(tmp_path / "plain"), overwrite=True)


def _made(path: Path) -> Path:
    path.write_text("x")
    return path


def test_results_of_a_tree_lie_beside_each_other(series: Series, tmp_path: Path) -> None:
    series(1, name="tree")
    series(1, name="tree/sub", SeriesInstanceUID="2.25.77", SeriesNumber=4)
    items = geomedsr.io.contents_of(tmp_path / "tree").items
    assert places(items, "out") == ["out/series-3", "out/sub"]


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_one_series_of_two_patients_or_studies_is_refused(series: Series, keyword: str) -> None:
    def other(ds: Dataset, index: int) -> None:
        if index:
            setattr(ds, keyword, "2.25.99")

    with pytest.raises(InputError, match="one SeriesInstanceUID for several patients or studies"):
        geomedsr.open(series(2, edit=other))


def test_frames_of_reference_apart_are_told(series: Series) -> None:
    folder = series(3, edit=lambda ds, index: setattr(ds, "FrameOfReferenceUID", f"2.25.{7 + index // 2}"))
    with pytest.warns(SceneWarning, match="2 frames of reference"):
        geomedsr.open(folder)


def test_slices_that_share_a_uid_are_refused_unless_copies(series: Series) -> None:
    with pytest.raises(InputError, match="two different slices with one SOPInstanceUID"):
        geomedsr.open(series(3, edit=lambda ds, index: setattr(ds, "SOPInstanceUID", "2.25.5")))
    (path,) = files(series(1, name="none"))
    ds = pydicom.dcmread(path)
    ds.SOPInstanceUID = ""
    ds.save_as(path)
    with pytest.raises(InputError, match="a slice without a SOPInstanceUID"):
        geomedsr.open(path)
    folder = series(2, name="copies")
    shutil.copy(folder / "000.dcm", folder / "copy.dcm")
    with pytest.warns(SceneWarning, match="1 slice with the UID of another"):
        assert geomedsr.open(folder).shape[0] == 2


@pytest.mark.parametrize("left", [0, 141, 152, 400, 700])
def test_a_damaged_slice_is_told(series: Series, capsys: pytest.CaptureFixture[str], left: int) -> None:
    folder = series(3)
    path = folder / "002.dcm"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.warns(SceneWarning, match="1 file that cannot be read, left out"):
        assert geomedsr.open(folder).shape[0] == 2
    assert main(["info", str(folder)]) == 0
    assert "1 file that cannot be read, skipped" in capsys.readouterr().out


def test_garbage_that_begins_like_dicom_stops_nothing(series: Series) -> None:
    folder = series(2)
    np.arange(2, 2000, dtype="<i4").tofile(folder / "numbers")
    rng = np.random.default_rng(0)
    for index in range(60):
        (folder / f"junk{index}").write_bytes(b"\x08\0\x05\0" + rng.bytes(600))
    assert geomedsr.open(folder).shape[0] == 2


def test_a_series_number_that_is_none(series: Series) -> None:
    folder = series(1)
    raw = (folder / "000.dcm").read_bytes()
    assert raw.count(b"IS\x02\x003 ") == 1
    (folder / "000.dcm").write_bytes(raw.replace(b"IS\x02\x003 ", b"IS\x04\x00inf "))
    assert geomedsr.open(folder).shape[0] == 1


def test_truncated_pixels_do_not_stop_the_list(series: Series, capsys: pytest.CaptureFixture[str]) -> None:
    folder = series(1)
    path = folder / "000.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    assert main(["info", str(folder)]) == 0
    assert "cannot be processed: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda ds, i: ds.__delattr__("BitsStored"), "an image without BitsStored"),
        (lambda ds, i: setattr(ds, "BitsStored", 0), "0 stored"),
        (lambda ds, i: (setattr(ds, "BitsStored", 12), setattr(ds, "HighBit", 15)), "HighBit 15 with 12 bits stored"),
    ],
)
def test_pixels_described_wrongly_are_refused(series: Series, edit: Callable[[Dataset, int], None], said: str) -> None:
    with pytest.raises(InputError, match=said):
        geomedsr.open(series(1, edit=edit))


def test_text_outside_its_character_set_is_refused(series: Series, tmp_path: Path, ct_model: Model) -> None:
    folder = series(1, SpecificCharacterSet="ISO_IR 192", InstitutionName="Muller")
    path = folder / "000.dcm"
    path.write_bytes(path.read_bytes().replace(b"Muller", b"M\xfcller"))
    with pytest.raises(InputError, match="text in InstitutionName that is not in the file's own character set"):
        upscaled(folder, ct_model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_small_things_of_headers(series: Series, tmp_path: Path, ct_model: Model) -> None:
    folder = series(1, ImageType="ORIGINAL", ImageComments="x" * 10230, PixelSpacing=[2e-7, 3e-7])
    out = upscaled(folder, ct_model, tmp_path / "a/b/out")
    ds = pydicom.dcmread(out / "0001.dcm")
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert len(ds.ImageComments) == 10240
    assert ds.ImageComments.endswith("; not for diagnostic use")
    assert [float(v) for v in ds.PixelSpacing] == [1e-7, 1.5e-7]


def test_folders_made_for_nothing_are_removed(series: Series, tmp_path: Path, ct_model: Model) -> None:
    folder = series(1)
    scene = geomedsr.open(folder)
    (folder / "000.dcm").unlink()
    with pytest.raises(InputError):
        geomedsr.write(geomedsr.upscale(scene.with_range(0, 1000), ct_model), tmp_path / "a/b/out")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["x" * 300, "y/" * 3000 + "z"])
def test_names_that_the_system_does_not_take(series: Series, tmp_path: Path, ct_path: Path, name: str) -> None:
    assert main(["upscale", str(series(1)), str(tmp_path / name), "--model", str(ct_path), "--quiet"]) == 2


def test_bands_and_dates_that_make_no_sense(
    series: Series, tmp_path: Path, ct_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["upscale", str(series(1)), str(tmp_path / "out"), "--model", str(ct_path), "--quiet"]
    assert main([*words, "--bands", "1,1"]) == 2
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "99999999999999")
    assert main([*words, "--uid-seed", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_an_empty_seed_is_a_seed(series: Series, tmp_path: Path, ct_model: Model) -> None:
    folder = series(1)
    one, other = (upscaled(folder, ct_model, tmp_path / name, uid_seed="") for name in "ab")
    assert (one / "0001.dcm").read_bytes() == (other / "0001.dcm").read_bytes()


def test_times_told_by_the_time_of_making_alone_keep_their_order(
    series: Series, tmp_path: Path, ct_model: Model
) -> None:
    def phase(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, 4.0 * (index % 2)]
        ds.ContentTime, ds.InstanceNumber = f"10000{9 - index // 2}", index + 1

    folder = series(4, edit=phase)
    assert all(c.kept is not False for c in verify(folder, upscaled(folder, ct_model, tmp_path / "out")))


def test_equal_positions_and_numbers_keep_the_order_of_the_files(
    series: Series, tmp_path: Path, ct_model: Model
) -> None:
    folder = series(3, ImagePositionPatient=[0, 0, 0], InstanceNumber=1, AcquisitionNumber=None)
    out = upscaled(folder, ct_model, tmp_path / "out")
    assert all(c.kept is not False for c in verify(folder, out))


def masked(tmp_path: Path) -> Path:
    """The MR sample's second slice, zero outside a disc, as skull-stripping leaves images."""
    ds = pydicom.dcmread(files(MR_SAMPLE)[1])
    ds.decompress(generate_instance_uid=False)
    values = ds.pixel_array[128:256, 128:256].copy()
    y, x = np.mgrid[:128, :128]
    values[np.hypot(y - 64, x - 64) > 45] = 0
    ds.Rows, ds.Columns, ds.PixelData = 128, 128, values.tobytes()
    (tmp_path / "masked").mkdir()
    ds.save_as(tmp_path / "masked/1.dcm")
    return tmp_path / "masked"


def test_clipping_at_a_mask_is_no_broken_promise_but_tampering_is(tmp_path: Path) -> None:
    source = masked(tmp_path)
    out = upscaled(source, geomedsr.load_model("mr-x2"), tmp_path / "out")
    (check,) = [c for c in verify(source, out) if "k-space" in c.promise]
    assert check.kept
    assert float(check.detail.split()[2]) > 5  # clipping moved it far
    path = out / "0001.dcm"
    ds = pydicom.dcmread(path)
    values = ds.pixel_array.copy()
    values[120:124, 120:124] += 10
    ds.PixelData = values.tobytes()
    ds.save_as(path)
    (check,) = [c for c in verify(source, out) if "k-space" in c.promise]
    assert check.kept is False


def test_padding_that_hides_every_slice_is_not_called_kept(series: Series, tmp_path: Path, mr_model: Model) -> None:
    folder = series(2, modality="MR", PixelPaddingValue=0, edit=_with_padding)
    out = upscaled(folder, mr_model, tmp_path / "out")
    (check,) = [c for c in verify(folder, out) if "k-space" in c.promise]
    assert check.kept is None


def _with_padding(ds: Dataset, index: int) -> None:
    values = ds.pixel_array.copy() if "PixelData" in ds and hasattr(ds, "file_meta") else None
    raw = np.frombuffer(ds.PixelData, "int16").copy() if values is None else values
    raw[:5] = 0
    ds.PixelData = raw.tobytes()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_file_cut_short_is_refused(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"in{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(rng.integers(0, 1000, (4, 16, 16)).astype("int16")), str(path))
    path.write_bytes(path.read_bytes()[:-50])
    assert main(["upscale", str(path), str(tmp_path / "out.nii"), "--model", "ct-x2", "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    if suffix == ".nii.gz":  # whole as gzip, short as NIfTI
        path.write_bytes(gzip.compress(gzip.compress(b"")[:0] + bytes(_nifti())[:900]))
        assert main(["upscale", str(path), str(tmp_path / "out.nii"), "--model", "ct-x2", "--quiet"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def _nifti() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.nii"
        sitk.WriteImage(sitk.GetImageFromArray(np.ones((4, 16, 16), "int16")), str(path))
        return path.read_bytes()


def test_the_pixels_beside_an_mhd_are_not_overwritten_unasked(tmp_path: Path, ct_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((2, 16, 16), "int16")), str(tmp_path / "in.mha"))
    (tmp_path / "out.zraw").write_text("precious")
    words = ["upscale", str(tmp_path / "in.mha"), str(tmp_path / "out.mhd"), "--model", str(ct_path), "--quiet"]
    assert main(words) == 2
    assert (tmp_path / "out.zraw").read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0


def test_broken_volumes_say_it_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, text in (("a.mha", "ObjectType = Image\nNDims = 3\n"), ("b.nii", "x" * 400), ("c.nrrd", "NRRD0004\n")):
        (tmp_path / name).write_text(text)
        assert main(["upscale", str(tmp_path / name), str(tmp_path / "o.nii"), "--model", "ct-x2", "--quiet"]) == 2
        captured = capfd.readouterr()
        assert (captured.err.count("\n"), captured.out) == (1, "")
