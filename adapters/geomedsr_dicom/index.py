"""Which series lie under a path: a file, a folder, a folder of patients."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace

from pydicom.uid import UID

from geomedsr.stack import Stack
from geomedsr_dicom.files import begins_as_dicom, looks_like_dicom, walk
from geomedsr_dicom.frames import PHASES, Frame
from geomedsr_dicom.headers import CLASSES, Damaged, Header, read_image_header


@dataclass(frozen=True)
class Series:
    """The image files of one series. ``frames`` are in their order; ``refusal`` says why it cannot be used.

    ``phases`` is how many times, echoes or directions each position has, ``phase`` what tells them apart; ``copies``
    is how many slices were left out since another has their SOP Instance UID.
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
    refusal: tuple[str, str, str] | None = None

    @property
    def first(self) -> Header:
        """One of its headers; they agree on size, type and class where the series is usable."""
        return self.headers[0]

    @property
    def syntax(self) -> str:
        """The name of its transfer syntax, or of its several ones."""
        return ", ".join(sorted({UID(h.syntax).name for h in self.headers}))

    @property
    def faults(self) -> list[str]:
        """What a user should know of its geometry; none of it stops slice-by-slice work."""
        stack = Stack.of([f.plane for f in self.frames[: len(self.frames) // self.phases]])
        copies = f"{self.copies} slice{'s' * (self.copies != 1)} with the UID of another, left out"
        spaces = len({h.reference for h in self.headers})
        apart = f"slices in {spaces} frames of reference, whose positions cannot be compared"
        return stack.faults + [copies] * bool(self.copies) + [apart] * (spaces > 1)


@dataclass(frozen=True)
class Index:
    """What was found: the series, sorted, and how many files were no images, no DICOM, or damaged."""

    series: tuple[Series, ...]
    others: int = 0
    foreign: int = 0
    damaged: int = 0


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
    return Index(tuple(series), others, foreign, damaged)


def _series(uid: str, headers: list[Header]) -> Series:
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(h.path)) for h in headers])
    modality = "/".join(sorted({h.modality for h in headers}))
    series = Series(uid, headers[0].number, modality, folder, tuple(headers))
    refusal = _disagreement(headers) or next((h.refusal for h in headers if h.refusal), None)
    if refusal is not None:
        return replace(series, refusal=refusal)
    unique: dict[tuple[str, int], Frame] = {}  # of copies, the first
    for frame in (f for h in headers for f in h.frames):
        known = unique.setdefault((frame.uid, frame.index), frame)
        if (known.plane, known.phases) != (frame.plane, frame.phases):
            why = "two different slices with one SOPInstanceUID", "a UID for each", "correct them with `dcmodify`"
            return replace(series, refusal=why)
    frames, phases, phase = in_order(list(unique.values()))
    copies = sum(len(h.frames) for h in headers) - len(frames)
    return replace(series, frames=frames, phases=phases, phase=phase, copies=copies)


def _disagreement(headers: list[Header]) -> tuple[str, str, str] | None:
    """Why the files are no single series of slices."""
    if not headers[0].series:
        return "files without a SeriesInstanceUID", "one", "correct them with `dcmodify`"
    images = [h for h in headers if h.sop_class in CLASSES]
    if images and len(images) < len(headers):
        return "CT or MR images mixed with others in one series", "one kind", "put them apart"
    kinds = {
        "modalities": {h.modality for h in headers},
        "image classes": {UID(h.sop_class).name for h in headers},
        "sizes": {f"{h.size[1]} × {h.size[0]}" for h in headers},
        "pixel types": {f"{h.dtype}, {h.bits} bits stored" for h in headers},
    }
    if len({h.whose for h in headers}) > 1:
        return "one SeriesInstanceUID for several patients or studies", "a UID for each", "put them apart"
    for what, values in kinds.items():
        if len(values) > 1:
            return f"mixed {what} in one series ({'; '.join(sorted(values))})", "one", "put them apart"
    return None


def in_order(frames: list[Frame]) -> tuple[tuple[Frame, ...], int, str]:
    """Frames sorted by position along the normal; where positions recur, each time, echo or direction together.

    Returns the frames, how many phases each position has, and what tells them apart ("" if nothing does, and
    the instance number decides).
    """
    places = [_place(f) for f in frames]
    counts = set(Counter(places).values())
    by_place = [f for _, f in sorted(zip(places, frames, strict=True), key=lambda p: (p[0], _instance(p[1])))]
    if counts == {1} or len(counts) > 1:  # duplicates here and there are no phases
        return tuple(by_place), 1, ""
    (phases,) = counts
    for column, name in enumerate(PHASES):
        values = [f.phases[column] for f in frames]
        keys = list(zip(values, places, strict=True))
        if None not in values and len(set(values)) == phases and len(set(keys)) == len(frames):
            return tuple(f for _, f in sorted(zip(keys, frames, strict=True), key=lambda k: k[0])), phases, name
    turns: Counter[tuple[float, ...]] = Counter()
    ranked = []
    for frame in by_place:
        place = _place(frame)
        ranked.append(((turns[place], place), frame))
        turns[place] += 1
    return tuple(f for _, f in sorted(ranked, key=lambda r: r[0])), phases, ""


def _instance(frame: Frame) -> tuple[float, str, int]:
    number = frame.phases[-1]
    return (float("inf") if number is None else number, frame.path, frame.index)


def _place(frame: Frame) -> tuple[float, ...]:
    """Direction, then depth along the normal, then the rest of the position; rounded, so that equal ones are equal."""
    plane = frame.plane
    direction = tuple(round(v, 1) + 0.0 for v in plane.normal)
    return (*direction, round(plane.depth, 3), *(round(v, 3) for v in plane.position))
