"""Tags in namespaces (GDAL metadata domains), through drivers that drop them.

GDAL's COG driver copies either the bands' own tags or the tags in namespaces, never both (seen in 3.10). So
room is reserved in the tags it does copy, and filled afterwards: same length, so nothing in the file moves
and its layout stays valid. Its drivers of images copy none in namespaces, but read them beside an image.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from geomedsr.scene.scene import Band
from geomedsr_geotiff.tiff import Tiff

#: The tag whose text is replaced, in the default domain.
RESERVED = "GEOMEDSR_RESERVED"

#: How domains are called that hold one document of XML, and what GDAL calls that in a TIFF.
DOCUMENTS, DOCUMENT = "xml:", "doc"

#: How those are called that GDAL keeps in no file of ours: JSON, as of planets.
UNKEPT = "json:"

#: How such a document may begin, where it is alone.
_DECLARED = re.compile(r"^\s*<\?xml[^>]*\?>\s*")

_GDAL_METADATA = 42112  # the TIFF tag of GDAL's metadata, an XML text


def items(tags: Mapping[str, Mapping[str, str]], bands: Sequence[Band]) -> str:
    """GDAL's XML for the namespaced tags of a data set and of its bands; empty when there are none."""
    lines = [_item(key, text, ns) for key, text, ns in _special(tags)]
    for sample, band in enumerate(bands):
        lines += [_item(key, text, ns, sample) for key, text, ns in _special(band.tags)]
    return "".join(lines)


#: rasterio's `update_tags` takes tags as keywords, beside two of its own.
_TAKEN = {"ns", "bidx"}


def plain(tags: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The tags that rasterio can write."""
    return {key: text for key, text in tags.get("", {}).items() if not _odd(key)}


def _odd(key: str) -> bool:
    """Whether rasterio does not write a tag of that name; GDAL would take a colon for the end of it."""
    return key in _TAKEN or ":" in key


def _special(tags: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """The others: ``(key, text, namespace)``."""
    return [(k, text, ns) for ns, values in tags.items() for k, text in values.items() if ns or _odd(k)]


def _item(key: str, text: str, namespace: str, sample: int | None = None) -> str:
    # GDAL escapes the text of an item before the XML is escaped, and undoes both.
    where = "" if sample is None else f' sample="{sample}"'
    where += f" domain={quoteattr(namespace)}" if namespace else ""
    return f"  <Item name={quoteattr(key)}{where}>{escape(escape(text))}</Item>\n"


def placeholder(xml: str) -> str:
    """A tag value that takes at least as many bytes as the XML."""
    return "." * len(xml.encode())


def filled(data: bytes, xml: str) -> bytes:
    """A TIFF with the XML where the placeholder is.

    Raises:
        OSError: the file has no such placeholder.
    """
    tiff = Tiff(io.BytesIO(data))
    for directory in tiff.directories:
        if _GDAL_METADATA in directory.entries:
            _, size, slot = directory.entries[_GDAL_METADATA]
            place = tiff.pointer(slot)
            text = data[place : place + size]
            start = text.find(f'<Item name="{RESERVED}"'.encode())
            stop = text.find(b"</Item>", start) + len(b"</Item>")
            if start >= 0:
                new = text[:start] + xml.strip().encode().ljust(stop - start) + text[stop:]
                return data[:place] + new + data[place + size :]
    raise OSError("a TIFF without room for tags in namespaces")


def put_beside(sidecar: Path, tags: Mapping[str, Mapping[str, str]], bands: Sequence[Band]) -> None:
    """Put the tags of an image and of its bands that GDAL dropped into the ``.aux.xml`` that it reads beside it."""
    root = ElementTree.parse(sidecar).getroot() if sidecar.exists() else ElementTree.Element("PAMDataset")
    _add(root, tags)
    for number, band in enumerate(bands, 1):
        if any(band.tags.values()):
            found = root.find(f"PAMRasterBand[@band='{number}']")
            _add(ElementTree.SubElement(root, "PAMRasterBand", band=str(number)) if found is None else found, band.tags)
    known = {place.get("domain") for place in root.findall("Metadata")}
    documents = _documents({domain: values for domain, values in tags.items() if domain not in known})
    if len(root) or documents:
        root.append(ElementTree.Element("Metadata"))  # so that there is an end to put them before
        text = ElementTree.tostring(root, "unicode").replace("</PAMDataset>", f"{documents}</PAMDataset>")
        sidecar.write_text(text.replace("<Metadata />", ""), encoding="utf-8")


def _add(place: ElementTree.Element, tags: Mapping[str, Mapping[str, str]]) -> None:
    for namespace, values in tags.items():
        if namespace.startswith(DOCUMENTS):
            continue
        found = [domain for domain in place.findall("Metadata") if domain.get("domain", "") == namespace]
        known = {item.get("key") for domain in found for item in domain}
        for key, text in values.items():
            if key not in known:
                found = found or [ElementTree.SubElement(place, "Metadata", {"domain": namespace})]
                ElementTree.SubElement(found[0], "MDI", key=key).text = text


def _documents(tags: Mapping[str, Mapping[str, str]]) -> str:
    """Documents as an ``.aux.xml`` holds them, letter by letter; none that is not well-formed."""
    made = ""
    for domain, values in tags.items():
        text = _DECLARED.sub("", values.get(DOCUMENT, ""))
        if domain.startswith(DOCUMENTS) and text:
            try:
                ElementTree.fromstring(text)
            except ElementTree.ParseError:
                continue
            made += f'  <Metadata domain={quoteattr(domain)} format="xml">{text}</Metadata>\n'
    return made
