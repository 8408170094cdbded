"""Deriving DICOM headers: what changes when an image is super-resolved, and what is removed; all else is kept.

Section numbers refer to DICOM PS3.3. The sink adds the pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import DS

from geomedsr._version import __version__
from geomedsr.geometry import Factors
from geomedsr.geometry.grid import Plane
from geomedsr.scene.sources import Array
from geomedsr_dicom.attributes import values
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import IMPLEMENTATION_UID
from geomedsr_dicom.private import keep_safe
from geomedsr_dicom.prose import NOT_DIAGNOSTIC, contribution
from geomedsr_dicom.record import put
from geomedsr_dicom.result_slices import ResultSlice, decimal, placed, stacked, thinner
from geomedsr_dicom.uids import Uids

#: The software's name as equipment. Programs search for manufacturers' names, in nested items too: as Manufacturer,
#: dcm2niix would take "geomedsr" for GE.
MAKER, MODEL_NAME = "Open-source software", "geomedsr"

#: Attributes that describe the old pixels or the old file, and do not apply to the result.
DROPPED = (
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "SmallestImagePixelValueInPlane",
    "LargestImagePixelValueInPlane",
    "IconImageSequence",
    "PixelAspectRatio",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "ReferencedDigitalSignatureSequence",
    "DataSetTrailingPadding",
    "PixelDataProviderURL",
    "InstanceCreatorUID",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)

#: Lossy transfer syntaxes, and the names of their methods in PS3.3 C.7.6.1.1.5.1.
LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}


@dataclass(frozen=True)
class DerivedSeries:
    """The facts that are common to all images of one derived series.

    ``description`` and ``record`` tell how it is made, for people and for programs. ``along`` tells how SliceLocation
    follows slices (:func:`geomedsr_dicom.result_slices.locations_follow`). ``when`` is the time of making; None leaves
    it out. ``contributed`` is what the software did, where it is not super-resolution.
    """

    uids: Uids
    number: int
    series_description: str
    description: str
    record: str
    model: str
    factors: Factors
    along: float | None
    when: datetime | None
    contributed: str | None = None


def derived(source: Dataset, series: DerivedSeries, part: int = 0) -> Dataset:
    """A copy of a header for a derived image, without geometry and pixels, which depend on the slice.

    ``part`` is the image's number among those from the same source, from 0.
    """
    ds = copy.deepcopy(source)
    _drop(ds)
    ds.SOPInstanceUID = series.uids.instance(str(source.SOPInstanceUID), part)
    ds.SeriesInstanceUID = series.uids.series(str(source.SeriesInstanceUID))
    ds.SeriesNumber = series.number
    ds.SeriesDescription = series.series_description
    ds.ContentQualification = "RESEARCH"
    comments = str(ds.get("ImageComments") or "")[: 10240 - len(NOT_DIAGNOSTIC) - 2]  # the limit of LT
    ds.ImageComments = f"{comments}; {NOT_DIAGNOSTIC}" if comments else NOT_DIAGNOSTIC
    _date(ds, series.when)
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = _code("109102", "Processing Equipment")
    item.Manufacturer = MAKER
    item.ManufacturerModelName = MODEL_NAME
    item.SoftwareVersions = [__version__, *([f"model {series.model}"] if series.model else [])]
    if series.when is not None:
        item.ContributionDateTime = series.when.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = series.contributed or contribution(series.factors)
    ds.ContributingEquipmentSequence = Sequence([*(ds.get("ContributingEquipmentSequence") or []), item])
    if series.record:
        put(ds, series.record)
    ds.file_meta = _meta(ds)
    return ds


def derive_classic(source: Dataset, series: DerivedSeries, slice_: ResultSlice, stored: Array) -> Dataset:
    """The header of a derived image without functional groups.

    ``stored`` are its pixels: ``(y, x)``, or ``(frame, y, x)`` for several frames. Context slices that the model saw
    are listed as sources, too, after the image's own source.
    """
    ds = derived(source, series, slice_.part)
    ds.ImageType = _image_type(source.get("ImageType"), str(source.get("Modality")))
    measures(ds, slice_.plane)
    position(ds, slice_.plane)
    placed(ds, slice_, series.along)
    if "SmallestImagePixelValue" in ds or "LargestImagePixelValue" in ds:
        kind = "SS" if stored.dtype.kind == "i" else "US"  # the VR follows from the pixels' type
        ds.add_new("SmallestImagePixelValue", kind, int(stored.min()))
        ds.add_new("LargestImagePixelValue", kind, int(stored.max()))
    before = str(ds.get("DerivationDescription") or "")
    ds.DerivationDescription = f"{before}; {series.description}"[-1024:] if before else series.description
    ds.DerivationCodeSequence = _code("113085", "Spatial resampling")
    beside = (_beside(source, other) for other in slice_.sources[1:] if other.path != slice_.source.path)
    ds.SourceImageSequence = Sequence([_reference(source, None), *beside])
    ds.Rows, ds.Columns = stored.shape[-2:]
    return ds


def derive_enhanced(
    source: Dataset, series: DerivedSeries, slices: list[ResultSlice], size: tuple[int, int]
) -> Dataset:
    """The header of a derived multi-frame image (C.7.6.16) with these slices, in the order of its frames.

    Frames without a slice in the result are left out.
    """
    ds = derived(source, series)
    ds.ImageType = _enhanced_type(source.get("ImageType"))
    if len(slices) != len(ds.PerFrameFunctionalGroupsSequence):
        groups = ds.PerFrameFunctionalGroupsSequence
        own = [groups[slice_.source.index] for slice_ in slices]
        ds.PerFrameFunctionalGroupsSequence = Sequence(own if slices[0].parts == 1 else map(copy.deepcopy, own))
        ds.NumberOfFrames = len(slices)
        if ds.get("ComplexImageComponent") == "MIXED":
            ds.ComplexImageComponent = "MAGNITUDE"
    stacked(ds, slices, series.uids)
    shared = ds.SharedFunctionalGroupsSequence[0] if ds.get("SharedFunctionalGroupsSequence") else Dataset()
    if "DerivationImageSequence" in shared:  # a group is shared or per frame, never both
        del shared["DerivationImageSequence"]
    items = list(zip(slices, ds.PerFrameFunctionalGroupsSequence, strict=True))
    for slice_, item in [(slices[0], shared), *items]:
        for group in item.get("PixelMeasuresSequence") or []:
            if "PixelSpacing" in group:
                measures(group, slice_.plane)
            thinner(group, slice_)
        for group in item.get("PlanePositionSequence") or []:
            if "ImagePositionPatient" in group:
                position(group, slice_.plane)
    for slice_, item in items:
        derivation = Dataset()
        derivation.DerivationDescription = series.description
        derivation.DerivationCodeSequence = _code("113085", "Spatial resampling")
        others = [_beside(source, other, other.index + 1) for other in slice_.sources[1:]]
        derivation.SourceImageSequence = Sequence([_reference(source, slice_.source.index + 1), *others])
        item.DerivationImageSequence = Sequence([derivation])
    seen = [frame.uid for slice_ in slices for frame in slice_.sources[1:]]
    ds.SourceImageEvidenceSequence = Sequence([_evidence(source, dict.fromkeys([str(source.SOPInstanceUID), *seen]))])
    for group in (shared, *ds.PerFrameFunctionalGroupsSequence):
        for name in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence"):
            for kind in group.get(name) or []:
                kind.FrameType = _enhanced_type(kind.get("FrameType"))
    ds.Rows, ds.Columns = size
    return ds


def measures(ds: Dataset, plane: Plane) -> None:
    """PixelSpacing (C.7.6.2.1.1)."""
    ds.PixelSpacing = [decimal(v) for v in plane.spacing]


def position(ds: Dataset, plane: Plane) -> None:
    """ImagePositionPatient: the centre of the first pixel."""
    ds.ImagePositionPatient = [decimal(v) for v in plane.position]


def walk(ds: Dataset) -> Iterator[Dataset]:
    """A data set and all data sets in its sequences; no other elements are decoded."""
    yield ds
    for element in ds.elements():
        if element.VR == "SQ":
            for item in ds[element.tag].value:
                yield from walk(item)


def _drop(ds: Dataset) -> None:
    for keyword in DROPPED:
        if keyword in ds:
            del ds[keyword]
    for tag in list(ds.keys()):
        if of_old_grid(tag):
            del ds[tag]
    keep_safe(ds)


def of_old_grid(tag: BaseTag) -> bool:
    """Whether an element is an overlay, a curve or a shutter, whose units are pixels of the old grid."""
    repeating = 0x6000 <= tag.group <= 0x60FF or 0x5000 <= tag.group <= 0x50FF
    return repeating or (tag.group == 0x0018 and 0x1600 <= tag.element <= 0x1624)


def _date(ds: Dataset, when: datetime | None) -> None:
    if when is None:
        for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
            if keyword in ds:
                del ds[keyword]
        return
    day, time = when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
    ds.InstanceCreationDate = ds.ContentDate = day
    ds.InstanceCreationTime = ds.ContentTime = time


def mark_lossy(ds: Dataset, native: int, coded: int) -> None:
    """Mark pixels that a lossy syntax has coded as lossy, unless the header does already (C.7.6.1.1.5).

    ``native`` and ``coded`` are the bytes of the pixels, decoded and encoded.
    """
    syntax = str(ds.file_meta.TransferSyntaxUID)
    if syntax in LOSSY and str(ds.get("LossyImageCompression")) != "01":
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionMethod = LOSSY[syntax]
        ds.LossyImageCompressionRatio = DS(round(native / max(coded, 1), 3), auto_format=True)


def _meta(ds: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = f"GEOMEDSR_{__version__}"[:16]
    return meta


def _image_type(value: Any, modality: str) -> list[str]:
    """C.7.6.1.1.2: derived, secondary; CT and MR need a third value."""
    rest = [str(v) for v in values(value)][2:]
    return ["DERIVED", "SECONDARY", *(rest or ["AXIAL" if modality == "CT" else "OTHER"])]


def _enhanced_type(value: Any) -> list[str]:
    """C.8.16.1: a derived image stays PRIMARY, and its fourth value says how its pixels were made."""
    old = [str(v) for v in values(value)]
    third = old[2] if len(old) > 2 else "UNSPECIFIED"
    contrast = old[3] if len(old) > 3 and old[3] not in ("", "NONE") else "RESAMPLED"
    return ["DERIVED", "PRIMARY", third, contrast]


def _reference(source: Dataset, frame: int | None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    item.PurposeOfReferenceCodeSequence = _code("121322", "Source image for image processing operation")
    return item


def _beside(source: Dataset, frame: Frame, number: int | None = None) -> Dataset:
    """A reference to a context slice, which has the source's class."""
    item = _reference(source, number)
    item.ReferencedSOPInstanceUID = frame.uid
    return item


def _evidence(source: Dataset, uids: Iterable[str]) -> Dataset:
    """The sources, all in one series, as evidence by study (C.8.13.2.1, Type 1C for a derived image)."""
    instances = []
    for uid in uids:
        instance = Dataset()
        instance.ReferencedSOPClassUID = source.SOPClassUID
        instance.ReferencedSOPInstanceUID = uid
        instances.append(instance)
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedSOPSequence = Sequence(instances)
    study = Dataset()
    study.StudyInstanceUID = source.StudyInstanceUID
    study.ReferencedSeriesSequence = Sequence([series])
    return study


def _code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return Sequence([item])
