"""Bands of classes and bit flags, recognised by their tags, their name, or the name of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Names that producers give to class and bit-flag bands (Landsat, Sentinel-2, HLS, MODIS, Planet, PRISMA, NLCD …).
#: Sentinel-2's MSK_CLDPRB and MSK_SNWPRB are probabilities in percent.
_NAMES = (
    r"(?:^|[^a-z0-9])(?:scl|fmask|cfmask|bqa|qa60|qa[_ ]?pixel|qa[_ ]?radsat|qa[_ ]?aerosol|[a-z0-9_]*_qa|udm2?"
    r"|qflags?|quality[_ ]?flags?|pixel[_ ]?quality|vi[_ ]?quality|(?:cloud|water)[_ ]?mask"
    r"|msk_(?!cldprb|snwprb)[a-z]+|land[_ ]?cover(?:[_ ]?\d{4}|_l48)?|lc_type\d|classification(?:[_ ]?map)?)"
)
_BAND = re.compile(rf"{_NAMES}(?:$|[^a-z0-9])", re.IGNORECASE)

#: In a file name they come last. Only a resolution, a detector, a version, or a mark of clipping or copying may follow.
_FILE = re.compile(rf"{_NAMES}(?:[_.-](?:\d+m?|b\d\d|v\d+|clip|cog|copy)|[ _-]?\(\d+\))*$", re.IGNORECASE)

#: Words that mean classes or flags only when they are the whole name.
_WORDS = {"class", "classes", "label", "labels", "mask", "datamask", "clm", "stateqa", "qc", "category"}

#: Tags that state it explicitly: CF's flag attributes, GDAL's thematic layers.
_TAGS = {"flag_values", "flag_masks", "flag_meanings"}


def by_band(name: str | None, tags: Mapping[str, str]) -> bool:
    """Whether a band's name or tags say that it holds classes or flags."""
    if _TAGS & {key.lower() for key in tags} or tags.get("LAYER_TYPE", "").lower() == "thematic":
        return True
    return name is not None and (_BAND.search(name) is not None or name.strip().lower() in _WORDS)


def by_file(name: str) -> bool:
    """Whether the name of a file says that its only band, which has no name, holds classes or flags."""
    stem = re.sub(r"\.[a-z][a-z0-9]{1,4}(?:\.(?:gz|zip))?$", "", name, flags=re.IGNORECASE)
    return any(_FILE.search(part) is not None or part.lower() in _WORDS for part in (name, stem))
