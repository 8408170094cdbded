"""The component of the complex signal that an MR image shows, and whether an image is a mosaic of slices."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from geomedsr_dicom.attributes import first, values, whole

#: Components that can be super-resolved; "" is unstated. The others wrap around, or have no meaning by themselves.
MAGNITUDE, REAL = ("", "magnitude"), "real"

#: Values of ``ComplexImageComponent`` (PS3.3 C.8.13.3.1.1), and GE's numbers for them (0043,xx2F).
_COMPLEX = {"MAGNITUDE": "magnitude", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imaginary"}
_GE = ("magnitude", "phase", "real", "imaginary")

#: Words and letters of ImageType, from its third value on. A letter is one only in the third and the fourth.
_WORDS = {
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "PHASE SUBTRACT": "phase",
    "VELOCITY": "velocity",
    "VELOCITY MAP": "velocity",
    "REAL": "real",
    "IMAGINARY": "imaginary",
}
_LETTERS = {"P": "phase", "R": "real", "I": "imaginary"}

_FRAME_TYPE = "MRImageFrameTypeSequence"

#: Manufacturers' private elements for these, as block creator, group and element within the block.
_GE_COMPONENT = ("GEMS_PARM_01", 0x0043, 0x2F)
_TILES = (("SIEMENS MR HEADER", 0x0019, 0x0A), ("Image Private Header", 0x0065, 0x50))

#: Those elements, with their creators, in the block that scanners put them in, for reading headers in part.
PRIVATE_TAGS = [
    tag
    for _, group, element in (_GE_COMPONENT, *_TILES)
    for tag in (group << 16 | 0x10, group << 16 | 0x1000 | element)
]


def component(ds: Dataset, image_type: Any) -> str:
    """``"magnitude"``, ``"phase"``, ``"velocity"``, ``"real"``, ``"imaginary"``, or ``""`` if not stated.

    ``ds`` holds the attributes of a frame, ``image_type`` its ImageType or FrameType.
    """
    stated = _COMPLEX.get(str(ds.get("ComplexImageComponent") or "").upper())
    if stated is not None:
        return stated
    kinds = [str(v).strip().upper().replace("_", " ") for v in values(image_type)][2:]
    for kind in kinds:  # maps come first, whatever component they were made from
        if _WORDS.get(kind) in ("phase", "velocity"):
            return _WORDS[kind]
    for place, kind in enumerate(kinds):
        letter = kind.partition(" ")[0] if len(kind.partition(" ")[0]) == 1 else ""
        if place < 2 and (letter == "M" or kind == "PHASE CONTRAST M"):
            return "magnitude"
        if kind in _WORDS:
            return _WORDS[kind]
        if place < 2 and letter in _LETTERS:
            return _LETTERS[letter]
    number = _private(ds, *_GE_COMPONENT)
    return _GE[number] if number is not None and 0 <= number < len(_GE) else ""


def components(ds: Dataset) -> tuple[str, ...]:
    """The component of each frame of an image; a single one if all are the same."""
    frames = ds.get("PerFrameFunctionalGroupsSequence") or []
    common = first(first(ds, "SharedFunctionalGroupsSequence") or Dataset(), _FRAME_TYPE)
    found = []
    for item in frames:
        own = first(item, _FRAME_TYPE) or common or ds
        found.append(component(own, own.get("FrameType")) or component(ds, ds.get("ImageType")))
    return tuple(found) if len(set(found)) > 1 else (found[0] if found else component(ds, ds.get("ImageType")),)


def tiled(ds: Dataset) -> bool:
    """Whether an image holds several slices side by side, as Siemens' mosaics do."""
    kinds = [str(v).strip().upper() for v in values(ds.get("ImageType"))]
    return "MOSAIC" in kinds or any((_private(ds, *where) or 0) > 1 for where in _TILES)


def _private(ds: Dataset, creator: str, group: int, element: int) -> int | None:
    if str(ds.get((group, 0x10), "") and ds[group, 0x10].value).strip() != creator:
        return None
    found = ds.get((group, 0x1000 | element))
    return None if found is None else whole(found.value)
