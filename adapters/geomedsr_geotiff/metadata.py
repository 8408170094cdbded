"""A raster's tags as GDAL reads them, by namespace, without tags that describe the file's layout."""

from __future__ import annotations

import math
import re

from geomedsr_geotiff.namespaces import DOCUMENT, DOCUMENTS, UNKEPT
from geomedsr_geotiff.native import Limited, Native

#: Metadata domains that describe the file's layout, or that GDAL generates.
_STRUCTURAL = {
    "IMAGE_STRUCTURE",
    "DERIVED_SUBDATASETS",
    "SUBDATASETS",
    "COLOR_PROFILE",
    "RPC",
    "GEOLOCATION",
    "TIFF",
    "xml:VRT",
}

#: The prefix of documents with a JPEG 2000's georeferencing (GMLJP2).
_PLACES = "xml:gml."

#: Tags in TIFF's own fields, which can only hold numbers.
_RESOLUTIONS = {"TIFFTAG_XRESOLUTION", "TIFFTAG_YRESOLUTION"}

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def tags_of(native: Native | Limited, band: int = 0) -> dict[str, dict[str, str]]:
    """Tags by namespace (""  for none). A domain with a document has the document as its only tag."""
    names = [n for n in native.domains(band) if n not in _STRUCTURAL and not n.startswith((UNKEPT, _PLACES))]
    documents = {n: _document(native, band, n) for n in names if n.startswith(DOCUMENTS)}
    names = [n for n in names if n not in documents]
    tags = {ns: {key: _text(text) for key, text in native.tags(band, ns).items()} for ns in ["", *names]}
    for key in _RESOLUTIONS & tags[""].keys():
        if not math.isfinite(_float(tags[""][key])):
            del tags[""][key]
    return {ns: values for ns, values in (tags | documents).items() if values}


def _document(native: Native | Limited, band: int, domain: str) -> dict[str, str]:
    text = native.document(band, domain)
    return {DOCUMENT: _text(text).replace("\r\n", "\n").strip()} if text else {}


def _text(text: str) -> str:
    """A tag's text without characters that XML, in which GDAL stores it, does not allow."""
    return _CONTROLS.sub("", text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
