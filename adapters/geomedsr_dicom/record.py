"""The record of how a result was made, for programs: a private element in its header (PS3.5 7.8).

It is ASCII JSON of the record's tags, without file names, so it contains no patient data. The header states this
(PS3.3 C.12.1), so that de-identifying software keeps the record (PS3.15 E.3.10).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from geomedsr.scene.provenance import Provenance

#: Its place: an odd group, a block that other software may move within the group, and the element within the block.
GROUP, CREATOR, ELEMENT = 0x4753, "GEOMEDSR PROVENANCE", 0x01

#: Blocks that are searched for it: the first ones of the group, which belongs to nobody.
_BLOCKS = range(0x10, 0x20)

#: The tags to request when only some attributes of a file are read.
TAGS = [GROUP << 16 | number for block in _BLOCKS for number in (block, block << 8 | ELEMENT)]

_SAFE = "PrivateDataElementCharacteristicsSequence"


def recorded(provenance: Provenance) -> str:
    """The text for a provenance, without parts that other software wrote, since nothing is known about them."""
    return json.dumps(dict(replace(provenance.without_names, others=())))


def put(ds: Dataset, text: str) -> None:
    """Write the record into a header without one, and list it as an element that does not identify patients."""
    ds.private_block(GROUP, CREATOR, create=True).add_new(ELEMENT, "UT", text)
    defined = Dataset()
    defined.PrivateDataElement = ELEMENT
    defined.PrivateDataElementValueMultiplicity = 1
    defined.PrivateDataElementValueRepresentation = "UT"
    defined.PrivateDataElementName = "Provenance"
    defined.PrivateDataElementKeyword = "Provenance"
    defined.PrivateDataElementDescription = "JSON: the model that made the image, and how"
    item = Dataset()
    item.PrivateGroupReference, item.PrivateCreatorReference = GROUP, CREATOR
    item.BlockIdentifyingInformationStatus = "SAFE"
    item.PrivateDataElementDefinitionSequence = Sequence([defined])
    setattr(ds, _SAFE, Sequence([*others_listed(ds), item]))


def text_of(ds: Dataset) -> str:
    """The record's text in a header, even if another program has changed its value representation; empty if missing."""
    for tag in ds.keys():  # noqa: SIM118
        if is_record(ds, tag) and tag.element & 0xFF == ELEMENT:
            raw = ds.get_item(tag)
            value: Any = raw.value if isinstance(raw, RawDataElement) else ds[tag].value
            if isinstance(value, bytes):
                value = value.decode("ascii", "replace")
            return str(value or "").rstrip(" \0")
    return ""


def read_record(text: str) -> Provenance:
    """The provenance in a text; empty if :func:`recorded` did not write it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return Provenance()
    return Provenance.of(found) if isinstance(found, dict) else Provenance()


def is_record(ds: Dataset, tag: BaseTag) -> bool:
    """Whether an element is in one of geomedsr's blocks."""
    if tag.group != GROUP or tag.is_private_creator:
        return False
    creator = ds.get(Tag(GROUP, tag.element >> 8))
    return creator is not None and _creator(creator.value) == CREATOR


def listed(ds: Dataset) -> bool:
    """Whether a header states that geomedsr's block does not identify patients."""
    items = [item for item in _items(ds) if _of_ours(item)]
    return [(i.get("PrivateGroupReference"), i.get("BlockIdentifyingInformationStatus")) for i in items] == [
        (GROUP, "SAFE")
    ]


def others_listed(ds: Dataset) -> list[Dataset]:
    """A header's statements about other software's blocks."""
    return [item for item in _items(ds) if not _of_ours(item)]


def _items(ds: Dataset) -> Iterator[Dataset]:
    yield from ds.get(_SAFE) or []


def _of_ours(item: Dataset) -> bool:
    return _creator(item.get("PrivateCreatorReference")) == CREATOR


def _creator(value: Any) -> str:
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")).strip(" \0")
