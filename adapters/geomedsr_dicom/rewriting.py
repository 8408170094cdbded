"""From a source's header to the data set of a result, ready for writing."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from geomedsr.errors import InputError
from geomedsr.scene.sources import Array
from geomedsr_dicom.attributes import load
from geomedsr_dicom.derive import LOSSY, DerivedSeries, derive_classic, derive_enhanced, mark_lossy, walk
from geomedsr_dicom.headers import CLASSIC
from geomedsr_dicom.result_slices import ResultSlice

#: Bytes per word of the value representations that hold words as bytes.
_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


def derived_file(series: DerivedSeries, slices: list[ResultSlice], stored: Array, pixels: Any) -> Dataset:
    """The derived data set of a source file.

    Args:
        series: the facts that are common to all files.
        slices: the result's slices from this source file, in the order of its frames.
        stored: the new values, ``(y, x)`` or ``(frame, y, x)``.
        pixels: the same values as bytes, or a file of them, of an even length.

    Raises:
        InputError: text that cannot be written as it was read.
    """
    source = read_whole(slices[0].source.path)
    if source.SOPClassUID in CLASSIC:
        ds = derive_classic(source, series, slices[0], stored)
    else:
        ds = derive_enhanced(source, series, slices, (stored.shape[-2], stored.shape[-1]))
    # Native pixels, little-endian; PS3.5 A.2 wants OW for more than 8 bits and allows it for all.
    ds.add_new("PixelData", "OW", pixels)
    return ds


def rehearse(series: DerivedSeries, slices: list[ResultSlice], size: tuple[int, int], dtype: str) -> None:
    """Derive a header without writing it, so that errors are reported before the computation.

    Raises:
        InputError: as above; and whatever a faulty header makes pydicom raise.
    """
    stored = np.broadcast_to(np.zeros((), dtype), size)
    ds = derived_file(series, slices, stored, b"")
    ds.save_as(io.BytesIO(), enforce_file_format=True)


def read_whole(path: str) -> Dataset:
    """A complete, decoded header, so that it can be written in another encoding; texts keep their bytes.

    Raises:
        InputError: a text is not in the file's character set.
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
                # pydicom swaps the bytes of numbers, but not of these
                element.value = np.frombuffer(element.value, f"u{_WORDS[element.VR]}").byteswap().tobytes()
            if isinstance(raw, RawDataElement) and element.VR in CUSTOMIZABLE_CHARSET_VR and raw.value:
                # Re-encoding might change escape sequences, or drop them at the end.
                value = bytes(raw.value) + b" " * (len(raw.value) % 2)
                part[tag] = RawDataElement(tag, element.VR, len(value), value, 0, False, True, True)
    plain = Dataset(ds)  # drops the encoding
    plain.file_meta = ds.file_meta
    correct_ambiguous_vr(plain, is_little_endian=True)
    for part in walk(plain):  # the encoding of the output, so that texts are written unchanged
        part.set_original_encoding(False, True, part._character_set)
    if str(ds.file_meta.get("TransferSyntaxUID")) in LOSSY:
        native = int(ds.Rows) * int(ds.Columns) * int(ds.BitsAllocated) // 8 * int(ds.get("NumberOfFrames") or 1)
        mark_lossy(plain, native, os.path.getsize(path) - _header_size(path))
    return plain


def _header_size(path: str) -> int:
    """The offset of a file's pixels."""
    with open(path, "rb") as file:
        pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
        return file.tell()


def _text(element: DataElement) -> str:
    """The text of an element of a textual kind; empty for others."""
    if element.VR not in CUSTOMIZABLE_CHARSET_VR:
        return ""
    values = element.value if element.VM > 1 else [element.value]
    return "".join(str(value) for value in values if value is not None)
