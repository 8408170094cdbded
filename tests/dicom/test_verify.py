"""Each promise that verify tells of can be broken, and is then told as broken."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import rasterio
from pydicom.dataset import Dataset

import geomedsr
from dicom.conftest import SECRETS, files
from geomedsr.checks import Check
from geomedsr.cli import main
from geomedsr.geometry.grid import Window
from geomedsr.models import Model
from geomedsr.scene.provenance import provenance_of
from geomedsr.verification.verify import verify
from geomedsr_dicom import record

Series = Callable[..., Path]


@pytest.fixture
def result(series: Series, tmp_path: Path, ct_model: Model) -> tuple[Path, Path]:
    source = series(2, WindowCenter=40)
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), ct_model), tmp_path / "out")
    return source, tmp_path / "out"


def broken(checks: list[Check]) -> str:
    return "\n".join(f"{c.promise}: {c.detail}" for c in checks if c.kept is False)


def one_count(ds: Dataset) -> None:
    values = ds.pixel_array.copy()
    values[7, 9] += 1
    ds.PixelData = values.tobytes()


def half_a_pixel(ds: Dataset) -> None:
    ds.ImagePositionPatient = [float(v) + d for v, d in zip(ds.ImagePositionPatient, (0.175, 0.2, 0), strict=True)]


def retold(ds: Dataset, text: str | None = None, **tags: str) -> None:
    """Change what the record says."""
    block = ds.private_block(record.GROUP, record.CREATOR)
    told = json.loads(block[record.ELEMENT].value)
    block[record.ELEMENT].value = json.dumps(told | tags) if text is None else text


def nameless(ds: Dataset) -> None:
    ds.private_block(record.GROUP, record.CREATOR).__delitem__(record.ELEMENT)
    ds.DerivationDescription = "geomedsr"


TAMPERED = {
    "a count": (one_count, "the mean of each 2 × 2 block"),
    "position as it was": (half_a_pixel, "same field of view"),
    "spacing as it was": (lambda ds: setattr(ds, "PixelSpacing", [0.8, 0.7]), "same field of view"),
    "rescale": (lambda ds: setattr(ds, "RescaleIntercept", -1000), "same scale, offset and unit"),
    "patient": (lambda ds: setattr(ds, "PatientID", "other"), "patient unchanged: PatientID differs"),
    "patient gone": (lambda ds: ds.__delattr__("PatientSex"), "patient unchanged: PatientSex differs"),
    "study": (lambda ds: setattr(ds, "StudyInstanceUID", "2.25.9"), "StudyInstanceUID differs"),
    "frame of reference": (lambda ds: setattr(ds, "FrameOfReferenceUID", "2.25.9"), "FrameOfReferenceUID differs"),
    "window": (lambda ds: setattr(ds, "WindowCenter", 50), "WindowCenter differs"),
    "series UID reused": (lambda ds: setattr(ds, "SeriesInstanceUID", "2.25.2"), "SeriesInstanceUID as it was"),
    "instance UID": (lambda ds: setattr(ds, "SOPInstanceUID", f"2.25.5{ds.InstanceNumber}"), "file meta names another"),
    "original": (lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"]), "ImageType"),
    "no description": (lambda ds: setattr(ds, "DerivationDescription", "x"), "DerivationDescription"),
    "no code": (lambda ds: ds.__delattr__("DerivationCodeSequence"), "DerivationCodeSequence"),
    "no source": (lambda ds: ds.__delattr__("SourceImageSequence"), "does not name the source"),
    "no equipment": (lambda ds: ds.__delattr__("ContributingEquipmentSequence"), "ContributingEquipmentSequence"),
    "no label": (lambda ds: ds.__delattr__("ContentQualification"), "ContentQualification"),
    "icon": (lambda ds: setattr(ds, "IconImageSequence", [Dataset()]), "IconImageSequence"),
    "overlay": (lambda ds: ds.add_new(0x60000010, "US", 20), "overlays"),
    "institution": (lambda ds: setattr(ds, "InstitutionName", "x"), "InstitutionName differs"),
    "kernel": (lambda ds: setattr(ds, "ConvolutionKernel", "sharp"), "ConvolutionKernel differs"),
    "shutter": (lambda ds: setattr(ds, "ShutterShape", "CIRCULAR"), "shutter"),
    "curve": (lambda ds: ds.add_new(0x50000005, "US", 2), "curves"),
    "private block": (lambda ds: ds.private_block(0x0029, "SCANNER", create=True).add_new(1, "DS", "0.8"), "private"),
    "code without a value": (
        lambda ds: ds.DerivationCodeSequence[0].__delattr__("CodeValue"),
        "DerivationCodeSequence",
    ),
    "words": (lambda ds: setattr(ds, "DerivationDescription", "geomedsr"), "the words are others"),
    "record": (lambda ds: retold(ds, GEOMEDSR_MODEL_SHA256="0" * 64), "the words are others"),
    "damaged record": (lambda ds: retold(ds, "{"), "every image says the same of what made it"),
    "model": (nameless, "it says which model made it"),
    "unlisted": (lambda ds: ds.__delattr__("PrivateDataElementCharacteristicsSequence"), "not listed as safe"),
    "listed": (
        lambda ds: ds.PrivateDataElementCharacteristicsSequence.append(Dataset()),
        "PrivateDataElementCharacteristicsSequence differs",
    ),
}


def save(ds: Dataset, path: Path) -> None:
    ds.save_as(path, enforce_file_format=False)


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_tampered_with_is_told(result: tuple[Path, Path], case: str) -> None:
    source, out = result
    assert broken(verify(source, out)) == ""
    edit, said = TAMPERED[case]
    for path in files(out):  # whole: a series of two kinds would not open
        ds = pydicom.dcmread(path)
        edit(ds)
        save(ds, path)
    assert said in broken(verify(source, out))


def test_a_series_made_finer_twice_is_told_by_its_last_model(
    series: Series, tmp_path: Path, ct_model: Model, mr_model: Model
) -> None:
    source, one, two = series(2, modality="MR", size=(32, 32)), tmp_path / "one", tmp_path / "two"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), mr_model), one)
    geomedsr.write(geomedsr.upscale(geomedsr.open(one, force=True), ct_model, conserve=False), two)
    assert broken(verify(one, two)) == ""
    told = provenance_of(geomedsr.open(two, force=True))
    assert told["GEOMEDSR_MODEL_SHA256"] == ct_model.sha256
    assert told["GEOMEDSR_CONSERVED"] == "no"
    first = mr_model.descriptor
    assert told["GEOMEDSR_BEFORE"] == f"{first.name} {first.version} ({mr_model.sha256[:12]}) x{first.scale}"


def test_a_window_of_a_series_is_compared_with_that_window(series: Series, tmp_path: Path, ct_model: Model) -> None:
    source, out = series(2, size=(24, 32)), tmp_path / "out"
    window = Window(8, 4, 12, 10)
    geomedsr.write(geomedsr.upscale(geomedsr.open(source).crop(window), ct_model), out)
    checks = verify(source, out)
    assert broken(checks) == ""
    assert checks[0].detail == "12 × 10 to 24 × 20, 2 to 2 slices, of the window 8,4,12,10"
    assert provenance_of(geomedsr.open(out, force=True))["GEOMEDSR_WINDOW"] == "8,4,12,10"
    for path in files(out):
        ds = pydicom.dcmread(path)
        ds.DerivationDescription = ds.DerivationDescription.replace("window 8,4,", "window 8,5,")
        retold(ds, GEOMEDSR_WINDOW="8,5,12,10")
        save(ds, path)
    assert "same field of view" in broken(verify(source, out))


def test_a_k_space_that_is_not_the_sources_is_told(series: Series, tmp_path: Path, mr_model: Model) -> None:
    source = series(2, modality="MR", size=(64, 64))
    scene = geomedsr.open(source)
    geomedsr.write(geomedsr.upscale(scene, mr_model, conserve=False), tmp_path / "out")
    assert broken(verify(source, tmp_path / "out")) == ""  # it says that it was not asked for
    for path in files(tmp_path / "out"):
        ds = pydicom.dcmread(path)
        ds.DerivationDescription = ds.DerivationDescription.replace("not conserved", "conserved")
        retold(ds, GEOMEDSR_CONSERVED="yes")
        save(ds, path)
    assert "the central k-space is the source's" in broken(verify(source, tmp_path / "out"))


def test_dark_ground_that_was_clipped_is_no_fault_and_a_step_beside_it_is(series: Series, tmp_path: Path) -> None:
    source, out = series(3, modality="MR", dtype="uint16"), tmp_path / "out"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), geomedsr.load_model("mr-x2")), out, progress=False)
    assert [c.promise for c in geomedsr.verify(source, out) if c.kept is False] == []
    path = out / "0002.dcm"
    ds = pydicom.dcmread(path)
    array = ds.pixel_array.copy()
    array[20:22, 20:22] += 40
    ds.PixelData = array.tobytes()
    ds.save_as(path)
    (told,) = (c for c in geomedsr.verify(source, out) if c.kept is False)
    assert told.detail.endswith("1 slices off by more than that explains")


def test_noise_of_the_whole_range_is_not_called_broken(series: Series, tmp_path: Path) -> None:
    """Clipping moves its k-space by a fifth of the range, and takes thousands of rounds to be told from a fault."""
    source, out, rng = series(1, modality="MR", size=(48, 48)), tmp_path / "out", np.random.default_rng(0)
    ds = pydicom.dcmread(source / "000.dcm")
    ds.PixelData = rng.integers(-32768, 32768, (48, 48)).astype(np.int16).tobytes()
    ds.save_as(source / "000.dcm")
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), geomedsr.load_model("mr-x2")), out, progress=False)
    (told,) = (c for c in geomedsr.verify(source, out) if "k-space" in c.promise)
    assert told.kept is None
    assert "1 slices of so many clipped pixels that these may explain it" in told.detail
    (path,) = files(out)
    ds = pydicom.dcmread(path)
    array = ds.pixel_array.copy()
    array[20:40, 20:40] //= 2
    ds.PixelData = array.tobytes()
    ds.save_as(path)
    assert "the central k-space is the source's" in broken(geomedsr.verify(source, out))


def test_a_slice_too_few_is_told(result: tuple[Path, Path]) -> None:
    source, out = result
    files(out)[1].unlink()
    assert "every frame and band there" in broken(verify(source, out))


def test_the_validators_run_and_their_words_count(result: tuple[Path, Path]) -> None:
    if shutil.which("dciodvfy") is None or shutil.which("dcentvfy") is None:
        pytest.skip("dciodvfy and dcentvfy (Debian's dicom3tools) are not installed")
    source, out = result
    checks = {c.promise.split()[0]: c for c in verify(source, out)}
    assert (checks["dciodvfy"].kept, checks["dcentvfy"].kept) == (True, True)
    ds = pydicom.dcmread(out / "0001.dcm")
    del ds.PatientPosition
    ds.PatientSex = "M"
    save(ds, out / "0001.dcm")
    checks = {c.promise.split()[0]: c for c in verify(source, out)}
    assert "PatientPosition" in checks["dciodvfy"].detail
    assert (checks["dciodvfy"].kept, checks["dcentvfy"].kept) == (False, False)


def test_on_the_command_line(result: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source, out = map(str, result)
    assert main(["verify", source, out]) == 0
    text = capsys.readouterr().out
    assert "kept    the mean of each 2 × 2 block is the source's pixel: bit for bit" in text
    assert "BROKEN" not in text
    for path in files(result[1]):
        ds = pydicom.dcmread(path)
        ds.PatientName = "Grace^Hopper^Other"
        save(ds, path)
    assert main(["verify", source, out, "--json"]) == 1
    text = capsys.readouterr().out
    assert [c["promise"] for c in json.loads(text) if c["kept"] is False and "entvfy" not in c["promise"]] == [
        "patient unchanged"
    ]
    assert not any(secret in text for secret in SECRETS)


def test_rasters_too(tmp_path: Path, tiny_path: Path, raster: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(0, 5000, (2, 30, 40)).astype("uint16")
    values[:, :5] = 0
    source, out = raster(values, nodata=0), tmp_path / "out.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny_path), out)
    checks = verify(source, out)
    assert broken(checks) == ""
    assert len(checks) >= 9
    with rasterio.open(out) as dataset:
        profile, data = dataset.profile, dataset.read()
    for name, change, said in (
        ("shift.tif", {"transform": profile["transform"] @ profile["transform"].translation(0.5, 0)}, "field of view"),
        ("crs.tif", {"crs": "EPSG:32619"}, "not the source's: CRS"),
        ("nodata.tif", {"nodata": 7}, "no-data value"),
        ("type.tif", {"dtype": "int32"}, "storage type"),
    ):
        plain = {
            k: v for k, v in profile.items() if k in ("count", "width", "height", "crs", "transform", "nodata", "dtype")
        }
        with rasterio.open(tmp_path / name, "w", driver="GTiff", **{**plain, **change}) as dataset:
            dataset.write(data.astype(change.get("dtype", data.dtype)))
        text = broken(verify(source, tmp_path / name))
        assert said in text
        assert "it says which model made it" in text
    data[0, 50, 50] += 1
    with rasterio.open(tmp_path / "count.tif", "w", driver="GTiff", **plain) as dataset:
        dataset.write(data)
    assert "the mean of each 4 × 4 block" in broken(verify(source, tmp_path / "count.tif"))
