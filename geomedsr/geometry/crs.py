"""Coordinate reference systems, given as WKT or by code, and interpreted by PROJ."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from geomedsr.errors import InputError

if TYPE_CHECKING:
    from pyproj import CRS


def crs_code(wkt: str | None) -> tuple[str, str] | None:
    """The authority and the code that a CRS states, such as ``("EPSG", "32618")``; None where it states none."""
    crs = _parsed(wkt)
    stated = crs.to_json_dict().get("id") if crs is not None else None
    return (str(stated["authority"]), str(stated["code"])) if stated else None


def crs_name(wkt: str | None) -> str | None:
    """The code and the name of a CRS."""
    if wkt is None:
        return None
    crs, code = _parsed(wkt), crs_code(wkt)
    name = wkt if crs is None else crs.name
    return f"{code[0]}:{code[1]} ({name})" if code else name


def same_crs(one: str | None, other: str | None) -> bool:
    """Whether two texts, WKT or other, describe the same CRS. Names and the order of axes are ignored.

    Texts that PROJ cannot read are compared literally, but for white space.
    """
    if "".join((one or "").split()) == "".join((other or "").split()):
        return True
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None:
        return False
    # The code goes first: editions of PROJ's database name and define one system differently.
    code = crs_code(one)
    return (code is not None and code == crs_code(other)) or bool(first.equals(second, ignore_axis_order=True))


def unit_of(wkt: str | None) -> str:
    """``m`` for metres, ``°`` for degrees, else the name of the unit in the plane; empty without a CRS."""
    crs = _parsed(wkt)
    if crs is None:
        return ""
    while crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    plane = crs.sub_crs_list[0] if crs.is_compound else crs
    name = str(plane.axis_info[0].unit_name) if plane.axis_info else ""
    return {"metre": "m", "meter": "m", "degree": "°"}.get(name.casefold(), name)


def vertical_unit(wkt: str | None) -> str | None:
    """The unit of the heights of a compound or vertical CRS; None where there are no heights."""
    crs = _parsed(wkt)
    heights = [] if crs is None else [part for part in (crs, *crs.sub_crs_list) if part.is_vertical and part.axis_info]
    return str(heights[-1].axis_info[0].unit_name) if heights else None


@lru_cache(maxsize=256)
def _parsed(text: str | None) -> CRS | None:
    """A CRS as PROJ reads it; None where it cannot."""
    if not text:
        return None
    from pyproj import CRS  # slow to import
    from pyproj.exceptions import CRSError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CRS.from_user_input(text)
    except CRSError:
        return None


def wkt_of(crs: Any) -> str | None:
    """A CRS as WKT.

    ``crs`` is a text (WKT, returned unchanged; ``EPSG:32618``; a PROJ string), a code, PROJJSON, the attributes of a CF
    grid mapping, or an object that knows its WKT, such as pyproj's. None where PROJ cannot read it.
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


#: Points along each side of a box that is transformed to another CRS, where straight lines bend.
_ALONG = 21

Bounds = tuple[float, float, float, float]


def box_in(box: Bounds, crs: str | int, wkt: str) -> Bounds:
    """The bounding box in the CRS ``wkt`` of a box ``(west, south, east, north)`` in ``crs``: a code or WKT.

    Longitude, or easting, comes first in both, whatever axis order the CRS defines.

    Raises:
        InputError: no such CRS, or the box cannot be transformed to ``wkt``.
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
