"""Writing tags in namespaces (GDAL metadata domains) with drivers that drop them.

GDAL's COG driver copies either the bands' own tags or the tags in namespaces, never both (seen in 3.10). So
room is reserved in the tags that it does copy, and filled afterwards with the same length, so that nothing in the file
moves and its layout stays valid. GDAL's image drivers copy no tags in namespaces, but read them from a sidecar file.
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

#: The prefix of domains with one XML document, and the name of the document's tag in GDAL's TIFF metadata.
DOCUMENTS, DOCUMENT = "xml:", "doc"

#: The prefix of domains that GDAL does not write to our formats: JSON, for example from planetary data.
UNKEPT = "json:"

#: An XML declaration, with which a separate document may begin.
_DECLARED = re.compile(r"^\s*<\?xml[^>]*\?>\s*")

_GDAL_METADATA = 42112  # the TIFF tag of GDAL's metadata, an XML text


def items(tags: Mapping[str, Mapping[str, str]], bands: Sequence[Band]) -> str:
    """GDAL's XML for the namespaced tags of a data set and its bands; empty if there are none."""
    lines = [_item(key, text, ns) for key, text, ns in _special(tags)]
    for sample, band in enumerate(bands):
        lines += [_item(key, text, ns, sample) for key, text, ns in _special(band.tags)]
    return "".join(lines)


#: Keywords of rasterio's `update_tags`, which takes tags as keyword arguments, too.
_TAKEN = {"ns", "bidx"}


def plain(tags: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The tags that rasterio can write."""
    return {key: text for key, text in tags.get("", {}).items() if not _odd(key)}


def _odd(key: str) -> bool:
    """Whether rasterio cannot write a tag with this name; GDAL would take a colon for the end of the name."""
    return key in _TAKEN or ":" in key


def _special(tags: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """The tags that rasterio cannot write: ``(key, text, namespace)``."""
    return [(k, text, ns) for ns, values in tags.items() for k, text in values.items() if ns or _odd(k)]


def _item(key: str, text: str, namespace: str, sample: int | None = None) -> str:
    # GDAL escapes the text of an item before escaping the XML, and reverts both.
    where = "" if sample is None else f' sample="{sample}"'
    where += f" domain={quoteattr(namespace)}" if namespace else ""
    return f"  <Item name={quoteattr(key)}{where}>{escape(escape(text))}</Item>\n"


def placeholder(xml: str) -> str:
    """A tag value that takes at least as many bytes as the XML."""
    return "." * len(xml.encode())


def filled(data: bytes, xml: str) -> bytes:
    """A TIFF with the XML in place of the placeholder.

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
    """Write tags of an image and its bands that GDAL dropped into the sidecar file ``.aux.xml``."""
    root = ElementTree.parse(sidecar).getroot() if sidecar.exists() else ElementTree.Element("PAMDataset")
    _add(root, tags)
    for number, band in enumerate(bands, 1):
        if any(band.tags.values()):
            found = root.find(f"PAMRasterBand[@band='{number}']")
            _add(ElementTree.SubElement(root, "PAMRasterBand", band=str(number)) if found is None else found, band.tags)
    known = {place.get("domain") for place in root.findall("Metadata")}
    documents = _documents({domain: values for domain, values in tags.items() if domain not in known})
    if len(root) or documents:
        root.append(ElementTree.Element("Metadata"))  # the documents are inserted before its end tag
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
    """Documents verbatim, as in an ``.aux.xml``; documents that are not well-formed are left out."""
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
