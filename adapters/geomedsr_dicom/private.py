"""Private attributes: those with physical quantities are kept; others may describe the old geometry and are removed."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

#: Which elements of which blocks are kept, by group: of PS3.15's safe private attributes (Table E.3.10-1) those of CT
#: and MR, and beside them what belongs to a b-value: its direction, in the patient or along the axes, which stay.
SAFE: dict[str, dict[int, set[int]]] = {
    "ELSCINT1": {0x00E1: {0x21, 0x50}, 0x01E1: {0x26}, 0x01F1: {0x01, 0x07, 0x26, 0x27}},
    "GEIIS PACS": {0x0903: {0x10, 0x11, 0x12}},
    "GEMS_ACQU_01": {0x0019: {0x23, 0x24, 0x27, 0x9E, 0xBB, 0xBC, 0xBD, 0xE0}},
    "GEMS_HELIOS_01": {0x0045: {0x01, 0x02}},
    "GEMS_PARM_01": {0x0043: {0x27, 0x2F, 0x39, 0x6F}},
    "GEMS_SERS_01": {0x0025: {0x07}},
    "Image Private Header": {0x0065: {0x09, 0x37}},
    "Philips Imaging DD 001": {0x2001: {0x03, 0x04}},
    "Philips MR Imaging DD 001": {0x2005: {0x0D, 0x0E, 0xB0, 0xB1, 0xB2}},
    "SIEMENS MR HEADER": {0x0019: {0x0C, 0x0D, 0x0E, 0x27}},
}

#: Blocks that are kept completely: records of de-identification.
WHOLE = ("CTP",)

_SAFE = {creator.upper(): groups for creator, groups in SAFE.items()}


def keep_safe(ds: Dataset, alone: bool = False) -> None:
    """Remove all private attributes that are not safe from a data set and its nested data sets.

    ``alone`` also removes standard attributes, for private sequences, in which they may describe the old geometry.
    """
    used = set()
    for tag in list(ds.keys()):
        if tag.is_private_creator:
            continue
        if tag.is_private and not is_safe(ds, tag):
            items = ds[tag].value if ds[tag].VR == "SQ" else []
            for item in items:
                keep_safe(item, alone=True)
            if not any(len(item) for item in items):
                del ds[tag]
                continue
        elif ds.get_item(tag).VR == "SQ" and not alone:
            for item in ds[tag].value:
                keep_safe(item)
        elif alone and not tag.is_private:
            del ds[tag]
            continue
        if tag.is_private:
            used.add((tag.group, tag.element >> 8))
    for tag in list(ds.keys()):
        if tag.is_private_creator and (tag.group, tag.element) not in used:
            del ds[tag]


def is_safe(ds: Dataset, tag: BaseTag) -> bool:
    """Whether a private element is kept."""
    creator = ds.get(Tag(tag.group, tag.element >> 8))
    name = "" if creator is None else str(creator.value).strip()
    return name in WHOLE or tag.element & 0xFF in _SAFE.get(name.upper(), {}).get(tag.group, ())


def safe_values(ds: Dataset) -> dict[tuple[int, str, int], Any]:
    """The safe private attributes of a data set, and private sequences that contain such, as plain values.

    The keys are group, block creator and element within the block, which do not depend on the block's place.
    """
    pruned = Dataset()
    for tag in ds.keys():  # noqa: SIM118
        if tag.is_private:
            pruned[tag] = ds[tag]
    found: dict[tuple[int, str, int], Any] = {}
    for tag in pruned.keys():  # noqa: SIM118
        if tag.is_private_creator:
            continue
        element = pruned[tag]
        value: Any = element.value
        if not is_safe(pruned, tag):
            if element.VR != "SQ":
                continue
            value = [safe_values(item) for item in element.value]
            if not any(value):
                continue
        creator = pruned.get(Tag(tag.group, tag.element >> 8))
        name = "" if creator is None else str(creator.value).strip()
        found[tag.group, name, tag.element & 0xFF] = list(value) if isinstance(value, list | Sequence) else value
    return found
