"""From the header of a source to the data set of a result, ready to be written."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from geomedsr.errors import InputError
from geomedsr.grid import Plane
from geomedsr.sources import Array
from geomedsr_dicom.attributes import load
from geomedsr_dicom.derive import LOSSY, Job, derive_classic, derive_enhanced, mark_lossy, walk
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import CLASSIC

#: Bytes per word of the value representations that hold words as bytes.
_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}

Beside = Mapping[int, tuple[Frame, ...]]


def derived_file(
    path: str, job: Job, planes: Mapping[int, Plane], stored: Array, beside: Beside, pixels: Any
) -> Dataset:
    """The derived data set of a source file.

    Args:
        path: the source.
        job: what holds for all files.
        planes: where each frame of the file that is kept lies, by its index in the source.
        stored: the new values, ``(y, x)`` or ``(frame, y, x)``.
        beside: the neighbours that the model saw, by index.
        pixels: the same values as bytes, or a file of them, of an even length.

    Raises:
        InputError: text that cannot be written as it was read.
    """
    source, first = read_whole(path), min(planes)
    if source.SOPClassUID in CLASSIC:
        others = tuple(f for f in beside.get(first, ()) if f.path != path)
        ds = derive_classic(source, job, planes[first], stored, others)
    else:
        ds = derive_enhanced(source, job, planes, (stored.shape[-2], stored.shape[-1]), beside)
    # Native pixels, little-endian; PS3.5 A.2 wants OW for more than 8 bits and allows it for all.
    ds.add_new("PixelData", "OW", pixels)
    return ds


def rehearse(path: str, job: Job, planes: Mapping[int, Plane], size: tuple[int, int], dtype: str) -> None:
    """Derive a file's header and write it nowhere, so that what is wrong with it is told before the work.

    Raises:
        InputError: as above; and whatever a faulty header makes pydicom raise.
    """
    stored = np.broadcast_to(np.zeros((), dtype), size)
    ds = derived_file(path, job, planes, stored, {}, b"")
    ds.save_as(io.BytesIO(), enforce_file_format=True)


def read_whole(path: str) -> Dataset:
    """A whole header, decoded, so that it can be written in another encoding; texts stay the bytes that they are.

    Raises:
        InputError: text that is not in the file's own character set.
    """
    ds, _ = load(path)
    big = not ds.original_encoding[1]
    for part in walk(ds):
        for tag in list(part.keys()):
            raw, element = part.get_item(tag), part[tag]
            if "\ufffd" in _text(element):
                raise InputError(
                    f"text in {element.keyword or element.tag} that is not in the file's own character set",
                    "text that can be written as it was read",
                    "correct SpecificCharacterSet with `dcmodify`",
                )
            if big and element.VR in _WORDS and isinstance(element.value, bytes):
                # pydicom turns numbers round, not the bytes of these
                element.value = np.frombuffer(element.value, f"u{_WORDS[element.VR]}").byteswap().tobytes()
            if isinstance(raw, RawDataElement) and element.VR in CUSTOMIZABLE_CHARSET_VR and raw.value:
                # Encoded anew, it might get other escapes, or lose those at its end.
                value = bytes(raw.value) + b" " * (len(raw.value) % 2)
                part[tag] = RawDataElement(tag, element.VR, len(value), value, 0, False, True, True)
    plain = Dataset(ds)  # forgets how it was encoded
    plain.file_meta = ds.file_meta
    correct_ambiguous_vr(plain, is_little_endian=True)
    for part in walk(plain):  # as it will be encoded, so that texts are written as they are
        part.set_original_encoding(False, True, part._character_set)
    if str(ds.file_meta.get("TransferSyntaxUID")) in LOSSY:
        native = int(ds.Rows) * int(ds.Columns) * int(ds.BitsAllocated) // 8 * int(ds.get("NumberOfFrames") or 1)
        mark_lossy(plain, native, os.path.getsize(path) - _header_size(path))
    return plain


def _header_size(path: str) -> int:
    """Where the pixels of a file begin."""
    with open(path, "rb") as file:
        pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
        return file.tell()


def _text(element: DataElement) -> str:
    """The text of an element of a textual kind; empty for others."""
    if element.VR not in CUSTOMIZABLE_CHARSET_VR:
        return ""
    values = element.value if element.VM > 1 else [element.value]
    return "".join(str(value) for value in values if value is not None)
