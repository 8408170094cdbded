"""DICOM files made with pydicom: slices of a series, and an enhanced multi-frame image."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from conftest import save_tiny
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from geomedsr.models import Model, load_model

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}

#: What no message, log, name or preview may hold.
SECRETS = ("Grace^Hopper", "Hopper", "PID-7734", "19061209")

#: The private block that every result has.
OURS = (0x47530010, 0x47531001)

TILTED = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)


def save_medical(path: Path, operator: str = "block-mean", domain: str = "CT") -> Path:
    """A small ×2 network whose random weights move every pixel, as a model file."""
    hu = {"value_scale": "physical", "value_range": (-1000, 400)} if domain == "CT" else {}
    return save_tiny(path, 2, size=0.1, name=f"tiny-{domain.lower()}", domain=domain, operator=operator, **hu)


@pytest.fixture(scope="session")
def ct_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_medical(tmp_path_factory.mktemp("medical") / "ct.safetensors")


@pytest.fixture(scope="session")
def ct_model(ct_path: Path) -> Model:
    return load_model(ct_path)


@pytest.fixture(scope="session")
def mr_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_medical(tmp_path_factory.mktemp("medical") / "mr.safetensors", "k-space-crop", "MR")


@pytest.fixture(scope="session")
def mr_model(mr_path: Path) -> Model:
    return load_model(mr_path)


def pixels(height: int = 20, width: int = 24, seed: int = 0, dtype: Any = "int16") -> np.ndarray:
    """A body-like picture: air around, tissue with edges and noise inside; stored values 0 … 2000."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((y - height / 2) / height, (x - width / 2) / width) < 0.45
    values = np.where(inside, 1000 + 300 * ((x // 4 + y // 3) % 2), 30) + rng.normal(0, 20, (height, width))
    return np.clip(values, 0, 2000).astype(dtype)


def header(modality: str = "CT") -> Dataset:
    """What all slices of a series share."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = SECRETS[0], SECRETS[2], SECRETS[3], "F"
    ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime, ds.StudyID = "2.25.1", "20200101", "101010", "1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "A1", ""
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = "2.25.2", 3, "Axial"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "2.25.3", ""
    ds.Manufacturer, ds.ManufacturerModelName, ds.Modality = "Maker", "Scanner", modality
    ds.PatientPosition = "HFS"
    return ds


def slice_of(values: np.ndarray, index: int = 0, modality: str = "CT", **changes: Any) -> Dataset:
    """One classic slice; keywords of None are left out."""
    ds = header(modality)
    ds.SOPClassUID = CT if modality == "CT" else MR
    ds.SOPInstanceUID = f"2.25.{1000 + index}"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"]
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = [-60.5, -50.25, 10.0 + 4 * index]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.8, 0.7], 4
    ds.AcquisitionNumber = 1
    if modality == "CT":
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType, ds.KVP = 1, -1024, "HU", 120
    else:
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "NONE", ""
        ds.MRAcquisitionType, ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = "2D", 10, 500, 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated = ds.BitsStored = values.dtype.itemsize * 8
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.WindowCenter, ds.WindowWidth = 40, 400
    for keyword, value in changes.items():
        if value is None:
            if keyword in ds:
                del ds[keyword]
        else:
            setattr(ds, keyword, value)
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    ds["PixelData"].VR = "OW"
    return ds


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of slices; ``edit(ds, index)`` may change each."""

    def make(
        count: int = 3,
        name: str = "in",
        edit: Callable[[Dataset, int], None] | None = None,
        dtype: Any = "int16",
        size: tuple[int, int] = (20, 24),
        **changes: Any,
    ) -> Path:
        for index in range(count):
            ds = slice_of(pixels(*size, seed=index, dtype=dtype), index, **changes)
            if edit:
                edit(ds, index)
            save(ds, tmp_path / name / f"{index:03d}.dcm")
        return tmp_path / name

    return make


def enhanced(frames: list[np.ndarray], modality: str = "CT") -> Dataset:
    """An enhanced multi-frame image, complete enough for dciodvfy."""
    ds = header(modality)
    ds.SOPClassUID, ds.SOPInstanceUID = ENHANCED[modality], "2.25.77"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.InstanceNumber, ds.NumberOfFrames = 1, len(frames)
    ds.ContentDate, ds.ContentTime = "20200101", "101112"
    ds.AcquisitionDateTime, ds.AcquisitionNumber = "20200101101011", 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = frames[0].shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, int(frames[0].dtype.kind == "i")
    ds.LossyImageCompression, ds.BurnedInAnnotation, ds.PresentationLUTShape = "00", "NO", "IDENTITY"
    ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique, ds.ContentQualification = "NONE", "PRODUCT"
    ds.DimensionOrganizationSequence = Sequence([_item(DimensionOrganizationUID="2.25.78")])
    ds.DimensionIndexSequence = Sequence(
        [_item(DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111, DimensionOrganizationUID="2.25.78")]
    )
    ds.AcquisitionContextSequence = Sequence([])
    ds.DeviceSerialNumber, ds.SoftwareVersions = "1", "1"
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=[0.8, 0.7], SliceThickness=4)])
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=list(TILTED))])
    shared.PixelValueTransformationSequence = Sequence(
        [_item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU" if modality == "CT" else "US")]
    )
    shared.FrameVOILUTSequence = Sequence([_item(WindowCenter=40, WindowWidth=400)])
    kind = _item(
        FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    setattr(shared, f"{modality}ImageFrameTypeSequence", Sequence([kind]))
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    normal = np.cross(TILTED[:3], TILTED[3:])
    items = []
    for index in range(len(frames)):
        item = Dataset()
        place = [round(float(v), 9) for v in np.array([-60.5, -50.25, 10.0]) + 4 * index * normal]
        item.PlanePositionSequence = Sequence([_item(ImagePositionPatient=place)])
        item.FrameContentSequence = Sequence(
            [
                _item(
                    StackID="1",
                    InStackPositionNumber=index + 1,
                    DimensionIndexValues=[index + 1],
                    FrameAcquisitionNumber=1,
                    FrameReferenceDateTime="20200101101011",
                    FrameAcquisitionDateTime="20200101101011",
                    FrameAcquisitionDuration=1.0,
                )
            ]
        )
        items.append(item)
    ds.PerFrameFunctionalGroupsSequence = Sequence(items)
    ds.PixelData = b"".join(f.tobytes() for f in frames)
    ds["PixelData"].VR = "OW"
    return ds


def _item(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def stored(path: Path) -> np.ndarray:
    return pydicom.dcmread(path).pixel_array


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def errors(path: Path) -> set[str]:
    """What dciodvfy calls errors, without the values it quotes."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    return {re.sub(r" = <.*", "", line) for line in lines if line.startswith("Error")}


def uid() -> str:
    return str(generate_uid())
