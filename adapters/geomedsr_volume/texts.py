"""Texts of a provenance among the metadata of MetaImage and NRRD, which keep printable ASCII alone as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping

from geomedsr.scene.provenance import Provenance


def texts_of(provenance: Provenance) -> dict[str, str]:
    """The tags of a provenance; what is not plain ASCII as a string of JSON."""
    return {key: text if _plain(text) else json.dumps(text) for key, text in provenance.items()}


def provenance_in(metadata: Mapping[str, str]) -> Provenance:
    """The provenance that metadata tell."""
    return Provenance.of({key: _read(text) for key, text in metadata.items()})


def _plain(text: str) -> bool:
    """Whether a header gives the text back. MetaIO drops leading ``:`` and ``=``, and spaces at both ends."""
    return text.isascii() and text.isprintable() and text == text.strip() and not text.startswith(('"', "=", ":"))


def _read(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text
