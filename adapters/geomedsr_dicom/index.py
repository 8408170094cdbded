"""The series under a path: a file, a folder, a folder of patients."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from pydicom.uid import UID

from geomedsr.geometry.stacking import Stacking
from geomedsr_dicom.belonging import belonging, signed_parts, unusable
from geomedsr_dicom.directory import listed
from geomedsr_dicom.files import begins_as_dicom, is_directory, looks_like_dicom, walk
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import CLASSES, CLASSIC, Damaged, Header, read_image_header
from geomedsr_dicom.order import in_order


@dataclass(frozen=True)
class Series:
    """The image files of one series. ``frames`` are in order; ``refusal`` tells why the series cannot be used.

    ``phases`` is the number of times, echoes or directions at each position, and ``phase`` the attribute that
    distinguishes them. ``copies`` is the number of slices that were left out because another has the same SOP Instance
    UID; ``left`` describes all others that were left out.
    """

    uid: str
    number: int | None
    modality: str
    folder: str
    headers: tuple[Header, ...]
    frames: tuple[Frame, ...] = ()
    phases: int = 1
    phase: str = ""
    copies: int = 0
    left: tuple[str, ...] = ()
    refusal: tuple[str, str, str] | None = None

    @property
    def first(self) -> Header:
        """One of its headers; if the series is usable, all agree on size, type and class."""
        return self.headers[0]

    @property
    def syntax(self) -> str:
        """The name of its transfer syntax, or several names."""
        return ", ".join(sorted({UID(h.syntax).name for h in self.headers}))

    @property
    def faults(self) -> list[str]:
        """Irregularities of its geometry that a user should know; none prevents processing slice by slice."""
        stack = Stacking.of([f.plane for f in self.frames[: len(self.frames) // self.phases]])
        spaces = len({h.reference for h in self.headers})
        return stack.faults + [f"slices in {spaces} frames of reference, whose positions cannot be compared"] * (
            spaces > 1
        )

    @property
    def notes(self) -> list[str]:
        """Other findings, and how they were handled."""
        copies = f"{self.copies} slice{'s' * (self.copies != 1)} with the UID of another, left out"
        found = [f"{what}, left out" for what in self.left] + [copies] * bool(self.copies)
        if any(h.skewed for h in self.headers):
            found.append("axes that are not quite unit vectors at right angles, taken as the nearest that are")
        if any(h.bare for h in self.headers):
            found.append(f"files that do not name their transfer syntax, taken as {self.syntax}")
        if any(len(h.frames) > 1 and h.sop_class in CLASSIC for h in self.headers):
            found.append("several frames in one single-frame image, placed by the distance between slices")
        if signed_parts(self.headers):
            found.append("the real part of complex images, which the models have not been trained on")
        return found


@dataclass(frozen=True)
class Index:
    """The series, sorted, and the numbers of files that are no images, not DICOM, or damaged.

    ``missing`` counts files that a DICOMDIR names but that do not exist.
    """

    series: tuple[Series, ...]
    others: int = 0
    foreign: int = 0
    damaged: int = 0
    missing: int = 0


def index(path: str) -> Index:
    """The series under a path."""
    groups: dict[str, list[Header]] = {}
    others = foreign = damaged = 0
    for file in walk(path):
        named = file.lower().endswith((".dcm", ".ima"))
        try:
            header = read_image_header(file) if looks_like_dicom(file) else None
        except Damaged:
            damaged += named or begins_as_dicom(file)
            foreign += not (named or begins_as_dicom(file))
            continue
        if header is not None:
            groups.setdefault(header.series, []).append(header)
        elif looks_like_dicom(file):
            others += 1
        elif named:
            damaged += 1
        else:
            foreign += 1
    series = [_series(uid, headers) for uid, headers in groups.items()]
    series.sort(key=lambda s: (s.folder, s.number if s.number is not None else 1 << 40, s.uid))
    missing = listed(path)[1] if is_directory(path) else 0
    return Index(tuple(series), others, foreign, damaged, missing)


def _series(uid: str, headers: list[Header]) -> Series:
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(h.path)) for h in headers])
    refusal = _of_several(headers)
    left: list[str] = []
    if refusal is None:
        headers, left = belonging(headers, folder)
        refusal = _disagreement(headers) or _refused(headers, folder) or unusable(headers)
    modality = "/".join(sorted({h.modality for h in headers}))
    series = Series(uid, headers[0].number, modality, folder, tuple(headers), left=tuple(left))
    if refusal is not None:
        return replace(series, refusal=refusal)
    unique: dict[tuple[str, int], Frame] = {}  # the first of several copies
    for frame in (f for h in headers for f in h.frames):
        known = unique.setdefault((frame.uid, frame.index), frame)
        if (known.plane, known.phases) != (frame.plane, frame.phases):
            why = "two different slices with one SOPInstanceUID", "a UID for each", "correct them with `dcmodify`"
            return replace(series, refusal=why)
    frames, phases, phase = in_order(list(unique.values()), headers[0].size)
    copies = sum(len(h.frames) for h in headers) - len(frames)
    return replace(series, frames=frames, phases=phases, phase=phase, copies=copies)


def _refused(headers: list[Header], folder: str) -> tuple[str, str, str] | None:
    """Why a file cannot be used; the file is named unless all of them are unusable."""
    refused = [h for h in headers if h.refusal]
    if not refused or refused[0].refusal is None:
        return None
    got, expected, remedy = refused[0].refusal
    if len(refused) < len(headers):
        others = f" and {len(refused) - 1} more" * (len(refused) > 1)
        got = f"{got}, in {os.path.relpath(refused[0].path, folder)}{others}"
    return got, expected, remedy


def _of_several(headers: list[Header]) -> tuple[str, str, str] | None:
    """Why the files cannot belong to one series."""
    if not headers[0].series:
        return "files without a SeriesInstanceUID", "one", "correct them with `dcmodify`"
    if len({h.whose for h in headers}) > 1:
        return "one SeriesInstanceUID for several patients or studies", "a UID for each", "put them apart"
    return None


def _disagreement(headers: list[Header]) -> tuple[str, str, str] | None:
    """Why the files are not a single series of slices."""
    images = [h for h in headers if h.sop_class in CLASSES]
    if images and len(images) < len(headers):
        return "CT or MR images mixed with others in one series", "one kind", "put them apart"
    kinds = {
        "modalities": {h.modality for h in headers},
        "image classes": {UID(h.sop_class).name for h in headers},
        "sizes": {f"{h.size[1]} × {h.size[0]}" for h in headers},
        "pixel types": {f"{h.dtype}, {h.bits} bits stored" for h in headers},
    }
    for what, values in kinds.items():
        if len(values) > 1:
            return f"mixed {what} in one series ({'; '.join(sorted(values))})", "one", "put them apart"
    return None
