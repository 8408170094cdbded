"""A provenance as texts in the metadata of MetaImage and NRRD, which only preserve printable ASCII."""

from __future__ import annotations

import json
from collections.abc import Mapping

from geomedsr.scene.provenance import Provenance


def texts_of(provenance: Provenance) -> dict[str, str]:
    """The tags of a provenance; values that are not plain ASCII become JSON strings."""
    return {key: text if _plain(text) else json.dumps(text) for key, text in provenance.items()}


def provenance_in(metadata: Mapping[str, str]) -> Provenance:
    """The provenance in metadata."""
    return Provenance.of({key: _read(text) for key, text in metadata.items()})


def _plain(text: str) -> bool:
    """Whether a header preserves the text. MetaIO drops leading ``:`` and ``=``, and spaces at both ends."""
    return text.isascii() and text.isprintable() and text == text.strip() and not text.startswith(('"', "=", ":"))


def _read(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text
