"""Half-widths of a series as Parametric Maps: the same values, in their places, of the derived series."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from intervals import save_headed
from pydicom.dataset import Dataset

import geomedsr
from dicom.conftest import SECRETS, enhanced, errors, files, pixels, save
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.errors import OutputError
from geomedsr.geometry import Box
from geomedsr.inference import process, write
from geomedsr.models import Model, load_model
from geomedsr_dicom import parametric

MAP = "1.2.840.10008.5.1.4.1.1.30"


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    about: dict[str, Any] = {"domain": "CT", "value_scale": "physical", "value_range": (-1000, 400)}
    return save_headed(tmp_path_factory.mktemp("ct") / "ct.safetensors", scale=2, **about)


@pytest.fixture(scope="module")
def mr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_headed(tmp_path_factory.mktemp("mr") / "mr.safetensors", scale=2, domain="MR", operator="k-space-crop")


def made(source: Path, model: Model, out: Path, **options: Any) -> tuple[Path, Path, Scene]:
    """Written image and half-widths, and these as they are."""
    outputs = process(model, image=geomedsr.open(source), interval=0.9)
    image, wide = out / "image", out / "wide"
    write({image: outputs["image"], wide: outputs["halfwidth"]}, progress=False, **options)
    return image, wide, outputs["halfwidth"]


def real(folder: Path) -> dict[tuple[float, ...], np.ndarray]:
    """Half-widths in real units by the position of their slice."""
    found = {}
    for path in files(folder):
        ds = pydicom.dcmread(path)
        assert ds.SOPClassUID == MAP
        mapped = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
        frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
        for group, values in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
            place = tuple(round(float(v), 3) for v in group.PlanePositionSequence[0].ImagePositionPatient)
            found[place] = values * float(mapped.RealWorldValueSlope)
    return found


def check_places(folder: Path, wide: Scene) -> None:
    found = real(folder)
    assert len(found) == wide.shape[0]
    lines = wide.rescale or ((wide.bands[0].scale, 0.0),) * wide.shape[0]
    stored = np.where(wide.source.valid(Box.whole(wide.shape)), wide.data.values, 0)
    for plane, values, (slope, _) in zip(wide.grid.planes, stored[:, 0], lines, strict=True):
        place = tuple(round(v, 3) for v in plane.position)
        np.testing.assert_allclose(found[place], values * slope, rtol=1e-6)


@pytest.mark.parametrize("against", [False, True])
def test_values_places_and_references(series: Callable[..., Path], ct: Path, tmp_path: Path, against: bool) -> None:
    def place(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + (-4 if against else 4) * index]
        ds.PixelPaddingValue = -1000
        if index == 1:
            values = pixels(20, 24)
            values[:5] = -1000
            ds.PixelData = values.tobytes()

    source = series(3, edit=place, RescaleSlope=1.5)
    image, folder, wide = made(source, load_model(ct), tmp_path / "out")
    (path,) = files(folder)
    check_places(folder, wide)
    ds = pydicom.dcmread(path)
    slices = [pydicom.dcmread(each) for each in files(image)]
    assert (ds.PatientID, ds.StudyInstanceUID) == (SECRETS[2], "2.25.1")
    assert ds.FrameOfReferenceUID == "2.25.3"
    assert ds.SeriesInstanceUID not in {"2.25.2", slices[0].SeriesInstanceUID}
    assert ds.SeriesNumber == slices[0].SeriesNumber + 1
    (referred,) = ds.ReferencedSeriesSequence
    assert referred.SeriesInstanceUID == slices[0].SeriesInstanceUID
    by_uid = {each.SOPInstanceUID: each for each in slices}
    for group in ds.PerFrameFunctionalGroupsSequence:
        (named,) = group.DerivationImageSequence[0].SourceImageSequence
        own = by_uid[named.ReferencedSOPInstanceUID]
        assert list(group.PlanePositionSequence[0].ImagePositionPatient) == list(own.ImagePositionPatient)
    shared = ds.SharedFunctionalGroupsSequence[0]
    assert [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing] == [0.4, 0.35]
    unit = shared.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0]
    assert unit.CodeValue == "[hnsf'U]"
    assert shared.RealWorldValueMappingSequence[0].RealWorldValueSlope == 1.5
    assert "not for diagnostic use" in ds.SeriesDescription
    assert errors(path) == set()
    assert b"GEOMEDSR PROVENANCE" in path.read_bytes()


def test_slices_of_their_own_slopes_are_stored_in_real_units(
    series: Callable[..., Path], mr: Path, tmp_path: Path
) -> None:
    def slope(ds: Dataset, index: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1 + index / 3, 0, "US"

    source = series(3, edit=slope, size=(64, 72), modality="MR", dtype="uint16")
    _, folder, wide = made(source, load_model(mr), tmp_path / "out")
    (path,) = files(folder)
    assert pydicom.dcmread(path).pixel_array.dtype == np.float32
    check_places(folder, wide)
    assert errors(path) == set()


def test_of_an_enhanced_image(ct: Path, tmp_path: Path) -> None:
    source = save(enhanced([pixels(20, 24, seed) for seed in range(3)]), tmp_path / "in" / "multi.dcm")
    image, folder, wide = made(source, load_model(ct), tmp_path / "out")
    check_places(folder, wide)
    ds = pydicom.dcmread(files(folder)[0])
    (of,) = files(image)
    numbers = {g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber for g in frames_of(ds)}
    assert numbers == {1, 2, 3}
    assert ds.ReferencedSeriesSequence[0].SeriesInstanceUID == pydicom.dcmread(of).SeriesInstanceUID
    assert errors(files(folder)[0]) == set()


def frames_of(ds: Dataset) -> list[Dataset]:
    return list(ds.PerFrameFunctionalGroupsSequence)


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_too_many_bytes_are_split(
    series: Callable[..., Path], ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    assert parametric.split(5, 3 << 29) == ((0,), (1,), (2,), (3,), (4,))
    assert parametric.split(5, 1 << 29) == ((0, 1, 2), (3, 4))
    assert parametric.split(5, 1 << 20) == ((0, 1, 2, 3, 4),)
    monkeypatch.setattr(parametric, "MOST", 2 * 40 * 48 * 2)
    if kind == "classic":
        source = series(5)
    else:
        source = save(enhanced([pixels(20, 24, seed) for seed in range(5)]), tmp_path / "in" / "multi.dcm")
    image, folder, wide = made(source, load_model(ct), tmp_path / "out")
    paths = files(folder)
    assert len(paths) == 3
    check_places(folder, wide)
    headers = [pydicom.dcmread(path) for path in paths]
    assert len({ds.SOPInstanceUID for ds in headers}) == 3
    assert len({ds.SeriesInstanceUID for ds in headers}) == 1
    assert [ds.NumberOfFrames for ds in headers] == [2, 2, 1]
    if kind == "enhanced":
        own = pydicom.dcmread(files(image)[0]).PerFrameFunctionalGroupsSequence
        for ds in headers:
            for group in frames_of(ds):
                number = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
                there = own[number - 1].PlanePositionSequence[0].ImagePositionPatient
                assert list(group.PlanePositionSequence[0].ImagePositionPatient) == list(there)
    for path in paths:
        assert errors(path) == set()
    outputs = process(load_model(ct), image=geomedsr.open(source), interval=0.9)
    with pytest.raises(OutputError, match=r"for half-widths of more than 2 GiB, expected a folder"):
        write({tmp_path / "i": outputs["image"], tmp_path / "w.dcm": outputs["halfwidth"]})


def test_a_seed_makes_the_same_bytes(series: Callable[..., Path], ct: Path, tmp_path: Path) -> None:
    source, model = series(3), load_model(ct)
    one, two = (files(made(source, model, tmp_path / name, uid_seed="7")[1])[0].read_bytes() for name in "ab")
    assert one == two


def test_a_stopped_job_goes_on(
    series: Callable[..., Path], ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, model = series(3), load_model(ct)
    _, whole, _ = made(source, model, tmp_path / "whole", uid_seed="7")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parametric.MapSink, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            made(source, model, tmp_path / "out", uid_seed="7")
    assert not (tmp_path / "out" / "wide").exists()
    _, folder, _ = made(source, model, tmp_path / "out", uid_seed="7")
    assert files(folder)[0].read_bytes() == files(whole)[0].read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"image", "wide"}


def test_what_cannot_be_is_told_in_a_line(
    series: Callable[..., Path],
    ct: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, model = series(3), load_model(ct)
    outputs = process(model, image=geomedsr.open(source), interval=0.9)
    with pytest.raises(OutputError, match="beside 0 DICOM series of the same call, expected the image"):
        write(outputs["halfwidth"], tmp_path / "alone")
    volume = {tmp_path / "i.nii.gz": outputs["image"], tmp_path / "w": outputs["halfwidth"]}
    with pytest.raises(OutputError, match="beside 0 DICOM series"):
        write(volume)
    bare = series(3, name="bare", FrameOfReferenceUID=None)
    with pytest.raises(OutputError, match="slices without a frame of reference, expected one stack"):
        made(bare, model, tmp_path / "out")

    def no_package(name: str, *more: Any) -> Any:
        if name == "highdicom":
            raise ImportError(name)
        return known(name, *more)

    known = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_package)
    words = ["upscale", str(source), str(tmp_path / "i"), "--model", str(ct), "--interval", "0.9"]
    assert main([*words, "--interval-to", str(tmp_path / "w")]) == 2
    assert "without the package highdicom" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "bare", "out"}
