"""Bands of classes and bit flags, recognised by their tags, their name, or the name of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from geomedsr.scene.sensors.names import CLASS_NAMES, CLASS_WORDS

_BAND = re.compile(rf"{CLASS_NAMES}(?:$|[^a-z0-9])", re.IGNORECASE)

#: In a file name they come last. Only a resolution, a detector, a version, or a mark of clipping or copying may follow.
_FILE = re.compile(rf"{CLASS_NAMES}(?:[_.-](?:\d+m?|b\d\d|v\d+|clip|cog|copy)|[ _-]?\(\d+\))*$", re.IGNORECASE)

#: Tags that state it explicitly: CF's flag attributes, GDAL's thematic layers.
_TAGS = {"flag_values", "flag_masks", "flag_meanings"}


def by_band(name: str | None, tags: Mapping[str, str]) -> bool:
    """Whether a band's name or tags say that it holds classes or flags."""
    if _TAGS & {key.lower() for key in tags} or tags.get("LAYER_TYPE", "").lower() == "thematic":
        return True
    return name is not None and (_BAND.search(name) is not None or name.strip().lower() in CLASS_WORDS)


def by_file(name: str) -> bool:
    """Whether the name of a file says that its only band, which has no name, holds classes or flags."""
    stem = re.sub(r"\.[a-z][a-z0-9]{1,4}(?:\.(?:gz|zip))?$", "", name, flags=re.IGNORECASE)
    return any(_FILE.search(part) is not None or part.lower() in CLASS_WORDS for part in (name, stem))
