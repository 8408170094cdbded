"""Which coordinate system a WKT text stands for, by its name and the code that it ends with, and WKT of what else tells
one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from geomedsr.errors import InputError
from geomedsr.providers import provider


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
    """Whether two texts stand for one CRS: they are the same, white space apart, or end with the same code, or an
    adapter that knows coordinate systems says so.
    """
    if "".join((one or "").split()) == "".join((other or "").split()):
        return True
    if not one or not other:
        return False
    code = crs_code(one)
    if code is not None and code == crs_code(other):
        return True
    return bool(provider("crs.same")(one, other))


def vertical_unit(wkt: str | None) -> str | None:
    """The unit of the heights of a compound or vertical CRS; None where WKT tells of none."""
    found = re.search(r'(?:VERT_CS|VERTCRS)\[.*?(?:LENGTH)?UNIT\["([^"]*)"', wkt or "", re.DOTALL)
    return found[1] if found else None


def wkt_of(crs: Any) -> str | None:
    """A CRS as WKT: of a text (WKT as it is, ``EPSG:32618``, PROJ), a code, PROJJSON, the attributes of CF's grid
    mapping, or an object that tells its WKT, such as pyproj's. None where PROJ makes nothing of it.
    """
    if isinstance(crs, str) and "[" in crs and not crs.lstrip().startswith("{"):
        return crs
    if callable(as_wkt := getattr(crs, "to_wkt", None)):
        return str(as_wkt())
    from pyproj import CRS  # slow to import
    from pyproj.exceptions import CRSError

    if isinstance(crs, str):  # the same system; axes are always east and north here
        crs = re.sub(r"^\+init=(\w+):(\d+)$", r"\1:\2", crs.strip(), flags=re.IGNORECASE)
    elif hasattr(crs, "__index__"):
        crs = int(crs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cf = isinstance(crs, Mapping) and "grid_mapping_name" in crs
            return str((CRS.from_cf(dict(crs)) if cf else CRS.from_user_input(crs)).to_wkt())
    except (CRSError, TypeError, ValueError, KeyError, AttributeError):
        return None


#: Points along each side of a box that is taken to another CRS, where straight lines bend.
_ALONG = 21

Bounds = tuple[float, float, float, float]


def box_in(box: Bounds, crs: str | int, wkt: str) -> Bounds:
    """The box in the CRS ``wkt`` around a box ``(west, south, east, north)`` in another: ``EPSG:4326``, a code, WKT.

    Longitude, or easting, comes first in both, whatever the CRS says.

    Raises:
        InputError: no such CRS, or a box that has no place in the other.
    """
    from pyproj import Transformer  # slow to import
    from pyproj.exceptions import ProjError

    given = wkt_of(crs)
    if given is None:
        raise InputError(f"the CRS {crs}", "a code such as EPSG:4326, or WKT", "check it")
    try:
        west, south, east, north = Transformer.from_crs(given, wkt, always_xy=True).transform_bounds(
            *box, densify_pts=_ALONG, errcheck=True
        )
    except ProjError as error:
        why = " ".join(str(error).split())[:120]
        numbers = ",".join(f"{v:g}" for v in box)
        raise InputError(
            f"the bounding box {numbers} of {crs} ({why})",
            f"one that has a place in {crs_name(wkt)}",
            "check the order of the numbers: west, south, east, north",
        ) from error
    return west, south, east, north
