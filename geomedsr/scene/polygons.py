"""GeoJSON polygons and the area of a scene inside them; RFC 7946, with the ``crs`` member of GeoJSON 2008."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Window
from geomedsr.geometry.crs import crs_name, wkt_of
from geomedsr.scene.areas import AreaSource, Polygons, inside, text_of
from geomedsr.scene.provenance import origin_of
from geomedsr.scene.sources import Array

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene

#: The CRS of GeoJSON, unless it names another.
_USUAL = "EPSG:4326"

#: How far a straight edge may lie from the curve that it becomes in another CRS, in pixels; and how often it is halved.
_BENT, _HALVINGS = 0.05, 12

_REMEDY = "give a GeoJSON file with a Polygon or MultiPolygon"


@dataclass(frozen=True)
class Area:
    """The part of a scene inside polygons.

    ``text`` holds the polygons (see :mod:`geomedsr.scene.areas`), and ``window`` is the window around them. The scene's
    pixels are ``by`` times finer than the text's. ``origin`` (row, column) is the position of the scene's first pixel
    on the text's grid, in pixels of the scene.
    """

    text: str
    window: Window
    by: int
    origin: tuple[int, int]


def area_of(scene: Scene, polygons: Any, crs: str | int | None = None) -> Area:
    """The part of a scene inside polygons.

    Args:
        scene: a scene with an affine and a CRS; for a result, the pixels of its source decide what is inside.
        polygons: a GeoJSON object, the name of a GeoJSON file, or an object with ``__geo_interface__``, such as
            shapely's geometries.
        crs: their CRS; by default the one they name, else longitude and latitude.

    Raises:
        InputError: no such file, no polygon, no pixel centre inside, or a scene without an affine or a CRS.
    """
    geometry, name = _read(polygons)
    if scene.grid.affine is None or scene.grid.crs is None:
        raise InputError(
            f"polygons for {scene.name}, which has no {'affine' if scene.grid.affine is None else 'CRS'}",
            "a georeferenced scene",
            "give the window in pixels, --window COL,ROW,W,H",
        )
    found = list(_polygons(geometry, name))
    if not found:
        raise InputError(f"{name} without a polygon", "at least one", _REMEDY)
    by, origin = scene.provenance.model.factor or 1, origin_of(scene)
    back = ~(scene.grid.affine @ Affine.translation(-origin[1], -origin[0]) @ Affine.scale(by))
    text = text_of(_placed(found, crs if crs is not None else _crs(geometry, name), scene.grid.crs, back, name))
    window = _window(text, scene.grid.shape, by, origin)
    if window is None:
        bounds = ",".join(f"{v:.10g}" for v in scene.grid.bounds)
        raise InputError(
            f"{name}, whose polygons hold no pixel's centre of {scene.name}",
            f"polygons that meet the scene's {bounds}, in {crs_name(scene.grid.crs)}",
            "check their CRS: GeoJSON has longitude first, then latitude, in degrees",
        )
    return Area(text, window, by, origin)


def within(scene: Scene, area: Area) -> Scene:
    """The scene cropped to the window around an area; pixels outside the area are no data."""
    fills = tuple(0 if band.nodata is None else band.nodata for band in scene.bands)  # 0 is transparent in alpha, too
    part = replace(
        scene,
        source=AreaSource(scene.source, area.text, fills, area.by, area.origin),
        scale=scene.values,
        provenance=scene.provenance.choosing(aoi=area.text),
    )
    return part.crop(area.window)


def _read(polygons: Any) -> tuple[Mapping[str, Any], str]:
    """A GeoJSON object and its name in messages."""
    name = "polygons"
    if isinstance(polygons, (str, os.PathLike)):
        name, what = os.fspath(polygons), "a file of GeoJSON"
        try:
            with open(name, encoding="utf-8-sig") as file:
                polygons = json.load(file)
        except OSError as error:
            raise InputError(f"{name} ({error.strerror})", what, "check the name") from error
        except (ValueError, RecursionError) as error:  # text that is not UTF-8 raises a ValueError, too
            raise InputError(f"{name}, which is not JSON", what, _REMEDY) from error
    geometry = getattr(polygons, "__geo_interface__", polygons)
    if not isinstance(geometry, Mapping) or "type" not in geometry:
        raise InputError(f"{name}, not a GeoJSON object", "one with a type, such as Polygon", _REMEDY)
    return geometry, name


def _polygons(geometry: Any, name: str) -> Iterator[list[Array]]:
    """The rings ``(point, 2)`` of each polygon in an object, however deeply nested."""
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    try:
        if kind == "FeatureCollection":
            for feature in geometry["features"]:
                yield from _polygons(feature, name)
        elif kind == "Feature":
            if geometry["geometry"] is not None:
                yield from _polygons(geometry["geometry"], name)
        elif kind == "GeometryCollection":
            for part in geometry["geometries"]:
                yield from _polygons(part, name)
        elif kind in ("Polygon", "MultiPolygon"):
            for rings in geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]:
                if len(rings):
                    yield [_ring(ring) for ring in rings]
        elif kind not in ("Point", "MultiPoint", "LineString", "MultiLineString"):
            raise ValueError(f"a {str(kind)[:40]}")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}, whose {kind} is not valid GeoJSON", "well-formed polygons", _REMEDY) from error


def _ring(points: Any) -> Array:
    """A closed ring ``(point, 2)``; heights are dropped."""
    ring = np.array([[float(point[0]), float(point[1])] for point in points])
    if len(ring) < 3 or not np.isfinite(ring).all():
        raise ValueError("no ring")
    return ring if (ring[0] == ring[-1]).all() else np.concatenate([ring, ring[:1]])


def _crs(geometry: Mapping[str, Any], name: str) -> str:
    """The CRS that an object names."""
    named = geometry.get("crs")
    if named is None:
        return _USUAL
    try:
        return str(named["properties"]["name"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{name}, whose crs has no name", "one such as urn:ogc:def:crs:EPSG::32631", _REMEDY
        ) from error


def _placed(polygons: Polygons, crs: str | int, wkt: str, back: Affine, name: str) -> list[list[Array]]:
    """Polygons in pixels. Edges that become curves in the other CRS are split."""
    from pyproj import Transformer  # slow to import
    from pyproj.exceptions import ProjError

    own = wkt_of(crs)
    if own is None:
        raise InputError(f"the CRS {crs} of {name}", "a code such as EPSG:4326, or WKT", "check it")

    def pixels(points: Array) -> Array:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.stack([back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f], -1)

    def bent(ring: Array) -> Array:
        for _ in range(_HALVINGS):
            placed, halves = pixels(ring), (ring[1:] + ring[:-1]) / 2
            off = np.hypot(*(pixels(halves) - (placed[1:] + placed[:-1]) / 2).T) > _BENT
            if not off.any():
                break
            ring = np.insert(ring, np.flatnonzero(off) + 1, halves[off], axis=0)
        return pixels(ring)

    try:
        transformer = Transformer.from_crs(own, wkt, always_xy=True)
        with np.errstate(invalid="ignore"):
            placed = [[bent(ring) for ring in rings] for rings in polygons]
    except ProjError as error:
        raise InputError(
            f"{name} in {crs} ({error})", f"coordinates that convert to {crs_name(wkt)}", "check it"
        ) from error
    if not all(np.isfinite(ring).all() for rings in placed for ring in rings):
        raise InputError(
            f"{name} with points that do not convert to {crs_name(wkt)}",
            "polygons near the scene",
            "check their CRS: GeoJSON has longitude first, then latitude, in degrees",
        )
    return placed


def _window(text: str, shape: tuple[int, int], by: int, origin: tuple[int, int]) -> Window | None:
    """The window around the pixels that lie inside; None if there are none."""
    height, width = shape
    cols = (np.arange(width) + origin[1]) // by
    lines, columns = [], np.zeros(width, bool)
    for box in Box.whole((1, 1, height, width)).tiles((1, 512, width)):
        row = box.start[1]
        rows = np.arange(row + origin[0], row + origin[0] + box.shape[1]) // by
        found = inside(text, rows, cols)
        columns |= found.any(0)
        lines.extend((row + np.flatnonzero(found.any(1))).tolist())
    if not lines:
        return None
    across = np.flatnonzero(columns)
    return Window(int(across[0]), lines[0], int(across[-1] - across[0]) + 1, lines[-1] - lines[0] + 1)
