"""Which coordinate system a WKT text stands for, by its name and the code that it ends with; nothing is looked up."""

from __future__ import annotations

import re


def crs_code(wkt: str | None) -> tuple[str, str] | None:
    """Who keeps the list that a CRS is in, and its code there; None where WKT does not tell."""
    found = re.search(r'(?:AUTHORITY|ID)\["(\w+)",\s*"?(\w+)"?\]\s*\]$', (wkt or "").strip())
    return (found[1], found[2]) if found else None


def crs_name(wkt: str | None) -> str | None:
    """The code and the name of a CRS."""
    if wkt is None:
        return None
    name, code = wkt.split('"')[1] if '"' in wkt else wkt, crs_code(wkt)
    return f"{code[0]}:{code[1]} ({name})" if code else name


def same_crs(one: str | None, other: str | None) -> bool:
    """Whether two texts stand for one CRS: they are the same, white space apart, or end with the same code."""
    if "".join((one or "").split()) == "".join((other or "").split()):
        return True
    code = crs_code(one)
    return code is not None and code == crs_code(other)
