"""The header of one DICOM file, as far as super-resolution needs it; no patient data are kept."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from geomedsr_dicom import record
from geomedsr_dicom.attributes import first, load, quiet, values, whole
from geomedsr_dicom.components import PRIVATE_TAGS, components, tiled
from geomedsr_dicom.frames import (
    LOCALIZER,
    PHASES,
    SKEW,
    Frame,
    Refused,
    classic_frames,
    enhanced_frames,
    largest_skew,
)

#: SOP classes that can be super-resolved, and the modality of each.
CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # enhanced
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",  # legacy converted enhanced
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",  # enhanced
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",  # legacy converted enhanced
}
CLASSIC = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4")

#: How the derivation of a preview ends, which no model made.
PREVIEW = "Block means by geomedsr split: a preview; not for diagnostic use."

#: Identifies this software in a file's meta information.
IMPLEMENTATION_UID = "2.25.109230518420376452916275518027614459217"

_TAGS: list[int | str] = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesNumber"),
    *("ImageType", "InstanceNumber", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "ImageOrientationPatient"),
    *("PatientID", "PatientName", "FrameOfReferenceUID"),
    *("ImagePositionPatient", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "NumberOfFrames", "ContributingEquipmentSequence"),
    *(
        "DerivationDescription",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "InConcatenationNumber",
    ),
    *("ComplexImageComponent", "FrameIncrementPointer", "GridFrameOffsetVector", "SliceThickness"),
    "SpacingBetweenSlices",
    *PHASES,
    *PRIVATE_TAGS,
    *record.TAGS,
]


#: Elements with pixels as 32-bit and 64-bit floats.
_FLOATS = ["FloatPixelData", "DoubleFloatPixelData"]


@dataclass(frozen=True)
class Header:
    """A file of an image series. ``refusal`` is why it cannot be used: what was got, expected, and the remedy.

    ``derivation`` and ``record`` are what geomedsr wrote of how it made it, for people and for programs; empty where it
    did not.

    ``whose`` tells patients and studies apart, and nothing of who they are: it is a hash. ``components`` is what each
    frame shows of the complex signal (:mod:`geomedsr_dicom.components`), one word where all show the same. ``skewed``
    tells of axes that had to be put right, ``bare`` of a file that does not name its ``syntax``, which is guessed,
    ``preview`` of block means that geomedsr took (:mod:`geomedsr_dicom.previews`).
    """

    path: str
    series: str
    number: int | None
    modality: str
    sop_class: str
    syntax: str
    size: tuple[int, int]
    dtype: str
    bits: int
    derivation: str
    record: str = ""
    whose: str = ""
    reference: str = ""
    components: tuple[str, ...] = ("",)
    skewed: bool = False
    bare: bool = False
    preview: bool = False
    frames: tuple[Frame, ...] = ()
    refusal: tuple[str, str, str] | None = None

    @property
    def derived(self) -> bool:
        """Whether it is a result of geomedsr."""
        return bool(self.derivation or self.record)

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and highest stored value in ``bits`` bits."""
        signed = np.dtype(self.dtype).kind == "i"
        return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if signed else (0, 2**self.bits - 1)


class Damaged(Exception):
    """A file that is, or was, DICOM, and cannot be read."""


def read_header(path: str) -> Header | None:
    """The header of a file; None if it is no DICOM image (a report, a directory), or damaged."""
    try:
        return read_image_header(path)
    except Damaged:
        return None


def read_image_header(path: str) -> Header | None:
    """The same, but raises Damaged if a file is an incomplete or corrupt DICOM image."""
    with quiet():
        try:
            ds, bare = load(path, specific_tags=_TAGS)
            kind = str(ds.get("SOPClassUID") or "")
            if not kind or not ds.get("Rows"):
                declared = kind or str(getattr(ds, "file_meta", Dataset()).get("MediaStorageSOPClassUID") or "")
                if declared in CLASSES or not declared:
                    raise Damaged
                return None
            return _header(path, ds, bare)
        except Exception as error:  # parsers of hostile bytes raise whatever they like
            raise Damaged from error


def _header(path: str, ds: Dataset, bare: bool) -> Header:
    meta = getattr(ds, "file_meta", Dataset())
    signed = ds.get("PixelRepresentation") == 1
    allocated = int(ds.get("BitsAllocated") or 16)
    derivation = _derivation(ds, meta)
    preview = derivation.endswith(PREVIEW)
    header = Header(
        path=path,
        series=str(ds.get("SeriesInstanceUID") or ""),
        number=_series_number(ds),
        modality=CLASSES.get(str(ds.SOPClassUID), str(ds.get("Modality") or "?")),
        sop_class=str(ds.SOPClassUID),
        syntax=str(meta.get("TransferSyntaxUID") or ""),
        size=(int(ds.Rows), int(ds.get("Columns") or 0)),
        dtype=f"{'int' if signed else 'uint'}{allocated}" if allocated in (8, 16, 32) else "none",
        bits=int(ds.get("BitsStored", allocated) or 0),
        derivation="" if preview else derivation,
        preview=preview,
        record=record.text_of(ds),
        whose=_whose(ds),
        reference=str(ds.get("FrameOfReferenceUID") or ""),
        bare=bare,
    )
    try:
        _check(path, ds, header)
        shown = components(ds) if header.modality == "MR" else ("",)
        frames = (classic_frames if header.sop_class in CLASSIC else enhanced_frames)(path, ds)
        return replace(header, frames=frames, components=shown, skewed=largest_skew(ds) > SKEW)
    except Refused as reason:
        return replace(header, refusal=reason.args)
    except Exception:  # as above; pydicom's texts may quote values
        return replace(header, refusal=("a header with values that cannot be read", "a valid one", "see `dciodvfy`"))


def _check(path: str, ds: Dataset, header: Header) -> None:
    """Raise Refused for an image that this adapter does not support."""
    name = UID(header.sop_class).name
    if header.sop_class not in CLASSES:
        raise Refused(f"{name} ({header.modality})", "CT or MR images", "take another series")
    if int(ds.get("SamplesPerPixel") or 1) != 1 or not str(ds.get("PhotometricInterpretation")).startswith("MONO"):
        raise Refused("a colour image", "MONOCHROME1 or MONOCHROME2", "take the series it was made from")
    image_type = [str(v).upper() for v in values(ds.get("ImageType"))]
    if "LOCALIZER" in image_type[2:]:
        raise Refused(*LOCALIZER)
    if header.modality == "MR" and tiled(ds):
        raise Refused(
            "a mosaic, slices side by side in one image",
            "a slice in each",
            "convert it with `dcm2niix`, take that file",
        )
    if ds.get("BitsStored") is None and _floats(header.path):
        raise Refused(
            "floating-point pixels (Float Pixel Data)",
            "whole numbers with a rescale slope",
            "convert it, for example to NIfTI with `dcm2niix`",
        )
    if header.dtype == "none" or not 1 <= header.bits <= np.dtype(header.dtype).itemsize * 8 or not header.size[1]:
        raise Refused(
            f"{ds.get('Columns')} columns of {ds.get('BitsAllocated')} bits, {ds.get('BitsStored')} stored",
            "pixels of 8, 16 or 32 bits",
            "see `dciodvfy`",
        )
    for name in ("SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"):
        if ds.get(name) is None:
            raise Refused(f"an image without {name}", "a whole description of its pixels", "see `dciodvfy`")
    if int(ds.get("HighBit", header.bits - 1)) != header.bits - 1:
        raise Refused(
            f"HighBit {int(ds.HighBit)} with {header.bits} bits stored", f"{header.bits - 1}", "see `dciodvfy`"
        )
    if "ModalityLUTSequence" in ds:
        raise Refused("values behind a modality lookup table", "a rescale slope and intercept", "apply it first")
    if "InConcatenationNumber" in ds:
        raise Refused("a part of a concatenation", "a whole multi-frame image", "join its parts first")
    _check_pixels(path, ds, header)


def _check_pixels(path: str, ds: Dataset, header: Header) -> None:
    syntax = UID(header.syntax)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise Refused(f"the transfer syntax {syntax.name}", "one that pydicom decodes", "convert it") from None
    if not decoder.is_available:
        raise Refused(
            f"the transfer syntax {syntax.name}, for which no decoder is installed",
            "one",
            "pip install 'geomedsr[dicom-codecs]'",
        )
    if not syntax.is_encapsulated and not syntax.is_deflated:
        need = header.size[0] * header.size[1] * np.dtype(header.dtype).itemsize * int(ds.get("NumberOfFrames") or 1)
        if os.path.getsize(path) < need:
            compressed = ", or a compressed file without meta information" if header.bare else ""
            raise Refused(
                f"truncated pixel data (fewer than {need} bytes{compressed})", "a whole file", "copy it again"
            )


def _whose(ds: Dataset) -> str:
    keys = ("PatientID", "PatientName", "StudyInstanceUID")
    text = "\0".join(str(ds.get(key) or "") for key in keys)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def made_here(equipment: Dataset) -> bool:
    """Whether an item of contributing equipment is this software; older versions put the name into Manufacturer."""
    return "geomedsr" in (equipment.get("ManufacturerModelName"), equipment.get("Manufacturer"))


def _derivation(ds: Dataset, meta: Dataset) -> str:
    """The words in which this software described how it made the image; empty if it did not."""
    equipment = ds.get("ContributingEquipmentSequence") or []
    if str(meta.get("ImplementationClassUID")) != IMPLEMENTATION_UID and not any(map(made_here, equipment)):
        return ""
    frames = ds.get("PerFrameFunctionalGroupsSequence")
    where = first(frames[0], "DerivationImageSequence") if frames else ds
    return str((where or Dataset()).get("DerivationDescription") or "made by geomedsr")


def _series_number(ds: Dataset) -> int | None:
    try:
        return whole(ds.get("SeriesNumber"))
    except Exception:  # an IS that is no integer: a name, no more
        return None


def _floats(path: str) -> bool:
    """Whether a file's pixels are floats, which only their element tells (PS3.3 C.7.6.24 and 25)."""
    return bool(len(load(path, pixels=True, specific_tags=_FLOATS)[0].group_dataset(0x7FE0)))
