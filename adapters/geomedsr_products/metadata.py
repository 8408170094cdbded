"""XML of products, whatever namespaces it uses: elements are found by their local names."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from geomedsr.errors import InputError
from geomedsr_products.folders import Folder

Element = ElementTree.Element


def parsed(folder: Folder, name: str) -> Element:
    """The root of a document.

    Raises:
        InputError: it cannot be read, or is no XML.
    """
    content = folder.read(name)
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(
            f"{name} of {folder.path}, which is no whole XML ({error})", "a whole product", "download it again"
        ) from error


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def every(root: Element, *names: str) -> Iterator[Element]:
    """All elements of such names, in their order."""
    return (element for element in root.iter() if local(element) in names)


def first(root: Element, *names: str) -> Element | None:
    """The first element of one of these names, of those that are named first."""
    return next((found for name in names for found in every(root, name)), None)


def text(root: Element | None, *names: str) -> str | None:
    """The text of the first of such elements; None where there is none, or it is empty."""
    found = root if root is None or not names else first(root, *names)
    return None if found is None or not (found.text or "").strip() else (found.text or "").strip()


def number(root: Element | None, *names: str) -> float | None:
    """The number in the first of such elements; None where there is none.

    Raises:
        ValueError: it is no finite number.
    """
    found = text(root, *names)
    if found is None:
        return None
    value = float(found)
    if value - value != 0:
        raise ValueError(f"{found!r} is not finite")
    return value
