"""Checks of the headers of a derived series: what they must state and keep. No patient data are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, MutableSequence
from functools import partial
from typing import Any, TypeVar

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from geomedsr.checks import Check
from geomedsr.geometry import Box
from geomedsr.scene.scene import Scene
from geomedsr_dicom import record
from geomedsr_dicom.attributes import load, quiet, values
from geomedsr_dicom.derive import DROPPED, LOSSY, of_old_grid
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import made_here
from geomedsr_dicom.private import safe_values
from geomedsr_dicom.prose import describe, stated
from geomedsr_dicom.slice_checks import OWN, slice_checks
from geomedsr_dicom.validators import validated

T = TypeVar("T")

#: Attributes that change in a derived image (docs/medical.md); all others must be unchanged.
_OWN = (
    *("SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "InstanceCreationDate"),
    *("InstanceCreationTime", "ContentDate", "ContentTime", "ImageType", "Rows", "Columns", "PixelSpacing"),
    *("ImagePositionPatient", "DerivationDescription", "DerivationCodeSequence", "SourceImageSequence"),
    *("SourceImageEvidenceSequence", "ContributingEquipmentSequence", "ContentQualification", "ImageComments"),
    *("SmallestImagePixelValue", "LargestImagePixelValue", "LossyImageCompression", "LossyImageCompressionMethod"),
    "LossyImageCompressionRatio",
    "PrivateDataElementCharacteristicsSequence",
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData"),
)


def checks(source: Scene, result: Scene) -> list[Check]:
    """Checks of a derived series' headers; both scenes must be opened from DICOM files."""
    if not (_ours(source) and _ours(result)):
        return []
    finer = result.shape[0] > source.shape[0]
    times = len(result.files) // len(source.files) if finer else 1  # new slices, each in a file
    pairs = list(zip(_repeated(_headers(source), times), _headers(result), strict=False))
    return [
        _all("UIDs new: SOP instance (and file meta), series", pairs, _new_uids),
        _unique(result),
        _all("patient unchanged", pairs, _same_patient),
        _all(
            "study, frame of reference, rescale, window, acquisition, all else unchanged",
            pairs,
            partial(_same_rest, finer),
        ),
        _all("marked DERIVED, research, not for diagnostic use", pairs, _marked),
        _all("derivation: description, code, source image, contributing equipment", pairs, _derivation),
        _all("nothing left that describes the old pixels", pairs, _clean),
        _one_maker(pairs),
        *_recorded(pairs),
        *_extremes(result, pairs),
        *slice_checks(source, result),
        *validated(_repeated(source.files, times), result.files),
    ]


def _repeated(sources: Iterable[T], times: int) -> list[T]:
    """The source of each result, in the order of the results."""
    return [source for source in sources for _ in range(times)]


def _ours(scene: Scene) -> bool:
    return isinstance(scene.headers, tuple) and bool(scene.headers) and isinstance(scene.headers[0], Frame)


def _headers(scene: Scene) -> list[Dataset]:
    """One header per file, in the order of slices, reduced to the frames that are in the scene."""
    counts = Counter(frame.path for frame in scene.headers)
    with quiet():
        headers = [load(path)[0] for path in scene.files]
        for path, ds in zip(scene.files, headers, strict=True):
            if "NumberOfFrames" in ds and int(ds.NumberOfFrames or 1) != counts[path]:
                ds.NumberOfFrames = counts[path]
                if ds.get("ComplexImageComponent") == "MIXED":
                    ds.ComplexImageComponent = "MAGNITUDE"
    return headers


def _all(name: str, pairs: list[tuple[Dataset, Dataset]], wrong: Callable[[Dataset, Dataset], list[str]]) -> Check:
    faults: dict[str, int] = {}
    with quiet():
        for before, after in pairs:
            for fault in wrong(before, after):
                faults[fault] = faults.get(fault, 0) + 1
    detail = "; ".join(f"{fault} ({count} files)" for fault, count in faults.items())
    return Check(name, not faults, detail)


def _new_uids(before: Dataset, after: Dataset) -> list[str]:
    faults = [
        f"{k} as it was" for k in ("SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber") if _same(before, after, k)
    ]
    if after.file_meta.get("MediaStorageSOPInstanceUID") != after.SOPInstanceUID:
        faults.append("file meta names another SOPInstanceUID")
    return faults


def _unique(result: Scene) -> Check:
    headers = _headers(result)
    instances, series = {str(h.SOPInstanceUID) for h in headers}, {str(h.SeriesInstanceUID) for h in headers}
    kept = len(instances) == len(headers) and len(series) == 1
    return Check("one series, every instance its own", kept, f"{len(instances)} instances in {len(series)} series")


def _same_patient(before: Dataset, after: Dataset) -> list[str]:
    tags = {t for ds in (before, after) for t in ds.keys() if t.group == 0x0010 and not t.is_private and t.element}  # noqa: SIM118
    return [
        f"{pydicom.datadict.keyword_for_tag(t) or t} differs" for t in sorted(tags) if before.get(t) != after.get(t)
    ]


def _same_rest(finer: bool, before: Dataset, after: Dataset) -> list[str]:
    tags = {t for ds in (before, after) for t in ds.keys() if t.element and t.group != 0x0010 and not t.is_private}  # noqa: SIM118
    faults = []
    for tag in sorted(tags):
        name = pydicom.datadict.keyword_for_tag(tag) or str(tag)
        gone = name in DROPPED or of_old_grid(tag)
        if name in _OWN or (finer and name in OWN) or (gone and tag not in after):
            continue
        old, new = (_plain(ds[tag].value) if tag in ds else None for ds in (before, after))
        swapped = isinstance(old, bytes) and not before.original_encoding[1]
        if old != new and not swapped:
            faults.append(f"{name} differs")
    listed = ([_plain(item) for item in record.others_listed(ds)] for ds in (before, after))
    faults += ["PrivateDataElementCharacteristicsSequence differs"] * (next(listed) != next(listed))
    return faults + ["private quantities differ"] * (safe_values(before) != safe_values(after))


def _plain(value: Any) -> Any:
    """An element's value without its encoding, and without private parts that results do not keep."""
    if isinstance(value, Dataset):
        return {e.tag: _plain(e.value) for e in value if not e.tag.is_private} | {0: safe_values(value)}
    if isinstance(value, list | MutableSequence):
        return [_plain(v) for v in value]
    return value or None if isinstance(value, str | bytes) else value


def _same(before: Dataset, after: Dataset, keyword: str) -> bool:
    one, other = before.get(keyword), after.get(keyword)
    return bool(one == other)


def _marked(before: Dataset, after: Dataset) -> list[str]:
    faults = []
    image_type = values(after.get("ImageType"))
    if image_type[:1] != ["DERIVED"] or len(image_type) < 3:
        faults.append("ImageType")
    if after.get("ContentQualification") != "RESEARCH":
        faults.append("ContentQualification")
    if "not for diagnostic use" not in str(after.get("SeriesDescription")) + str(after.get("ImageComments")):
        faults.append("no label")
    lossy = before.get("LossyImageCompression") == "01" or str(before.file_meta.get("TransferSyntaxUID")) in LOSSY
    if lossy and after.get("LossyImageCompression") != "01":
        faults.append("LossyImageCompression")
    attributes = "LossyImageCompressionRatio", "LossyImageCompressionMethod"
    faults += [name for name in attributes if name in before and not _same(before, after, name)]
    return faults


def _derivation(before: Dataset, after: Dataset) -> list[str]:
    groups = after.get("PerFrameFunctionalGroupsSequence")
    items = [g.get("DerivationImageSequence", [Dataset()])[0] for g in groups] if groups else [after]
    faults = set()
    for item in items:
        if "geomedsr" not in str(item.get("DerivationDescription")):
            faults.add("DerivationDescription")
        if [c.get("CodeValue") for c in item.get("DerivationCodeSequence") or []] != ["113085"]:
            faults.add("DerivationCodeSequence")
        sources = item.get("SourceImageSequence") or [Dataset()]
        if sources[0].get("ReferencedSOPInstanceUID") != before.SOPInstanceUID:
            faults.add("SourceImageSequence does not name the source")
        if [c.get("CodeValue") for c in sources[0].get("PurposeOfReferenceCodeSequence") or []] != ["121322"]:
            faults.add("SourceImageSequence has no purpose")
    if not any(made_here(item) for item in after.get("ContributingEquipmentSequence") or []):
        faults.add("ContributingEquipmentSequence")
    return sorted(faults)


def _clean(before: Dataset, after: Dataset) -> list[str]:
    kept = {t.group << 16 | t.element for t in after.keys()}  # noqa: SIM118
    faults = [k for k in DROPPED if k in after]
    faults += ["overlays, curves or a shutter"] * any(of_old_grid(BaseTag(t)) for t in kept)
    private = [
        tag
        for tag in after.keys()  # noqa: SIM118
        if tag.is_private and not tag.is_private_creator and not record.is_record(after, tag)
    ]
    return faults + ["private blocks"] * (len(private) > len(safe_values(after)))


def _one_maker(pairs: list[tuple[Dataset, Dataset]]) -> Check:
    """Whether every image names the same model with its hash, and the same processing."""
    makers = set()
    for _, after in pairs:
        text = record.text_of(after)
        makers |= {record.read_record(text)} if text else {stated(words) for words in _words(after)}
    return Check("every image says the same of what made it", len(makers) == 1 and all(makers))


def _recorded(pairs: list[tuple[Dataset, Dataset]]) -> list[Check]:
    """Whether the record for programs and the words for people agree; older results have words alone."""
    if not any(record.text_of(after) for _, after in pairs):
        return []
    return [_all("record of what made it: the same as the words, said to identify nobody", pairs, _unlike_its_words)]


def _unlike_its_words(before: Dataset, after: Dataset) -> list[str]:
    expected = describe(record.read_record(record.text_of(after)))
    faults = ["the words are others"] * any(not words.endswith(expected[-1024:]) for words in _words(after))
    return faults + ["not listed as safe"] * (not record.listed(after))


def _words(after: Dataset) -> set[str]:
    """The words in a file that tell people how its images were made."""
    groups = after.get("PerFrameFunctionalGroupsSequence")
    items = [g.get("DerivationImageSequence", [Dataset()])[0] for g in groups] if groups else [after]
    return {str(item.get("DerivationDescription") or "") for item in items}


def _extremes(result: Scene, pairs: list[tuple[Dataset, Dataset]]) -> list[Check]:
    """Whether the smallest and largest pixel value, if stated, are those of the new pixels."""
    if len(pairs) != result.shape[0] or not any("SmallestImagePixelValue" in after for _, after in pairs):
        return []
    whole, wrong = Box.whole(result.shape).window, 0
    for frame, (_, after) in enumerate(pairs):
        stored = result.source.read(Box.of(frame, whole))
        ends = (after.get("SmallestImagePixelValue"), after.get("LargestImagePixelValue"))
        wrong += ends != (int(stored.min()), int(stored.max())) and ends != (None, None)
    return [Check("smallest and largest pixel value as stated", wrong == 0, f"{wrong} files" if wrong else "")]
