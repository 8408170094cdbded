"""STAC items: a JSON file of this machine, an address, or a folder that holds one.

Each asset that is a raster of data becomes one band or several; scale, offset, no data, units and names are the item's,
and the file's own where it states none. Files are opened where the item points, and read as far as they are needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from geomedsr.errors import InputError
from geomedsr.scene.sensors.landsat import CLOUDS as PIXEL_CLOUDS
from geomedsr.scene.sensors.landsat import SHADOWS as PIXEL_SHADOWS
from geomedsr.scene.sensors.sentinel2 import CLOUDS, SHADOWS
from geomedsr_products.documents import document, is_far
from geomedsr_products.product import BandFile, Flagged, Product
from geomedsr_products.stac_assets import assets_of, bands_of

_SUFFIXES = (".json", ".geojson")

#: What the objects of STAC besides items are.
_OTHERS = {"Collection": "a collection", "Catalog": "a catalog", "FeatureCollection": "a list of items"}

#: Tags that state which product it is: the properties that state it, the first that is there.
_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "ACQUISITION_TIME": ("datetime", "start_datetime"),
    "PLATFORM": ("platform",),
    "INSTRUMENT": ("instruments",),
    "PROCESSING_LEVEL": ("processing:level", "landsat:correction"),
    "PROCESSING_BASELINE": ("s2:processing_baseline", "processing:version"),
    "COLLECTION_CATEGORY": ("landsat:collection_category",),
    "TILE_ID": ("s2:mgrs_tile", "grid:code"),
    "RELATIVE_ORBIT": ("sat:relative_orbit",),
    "SUN_AZIMUTH": ("view:sun_azimuth",),
    "SUN_ELEVATION": ("view:sun_elevation",),
    "CLOUD_COVER": ("eo:cloud_cover",),
}


def recognises(path: str) -> bool:
    """Whether a path is a STAC item: an address by its name, a file by what it begins with."""
    if is_far(path):
        bare = re.split(r"[?#]", path, maxsplit=1)[0].lower()
        return bare.endswith(_SUFFIXES) or re.search(r"/collections/[^/]+/items/[^/]+$", bare) is not None
    if os.path.isdir(path):
        return bool(_in_folder(path))
    return path.lower().endswith(_SUFFIXES) and os.path.isfile(path) and _says_stac(path)


def describe(path: str, tile: str | None = None, alternate: str | None = None) -> Product:
    """What an item states; it has but one ``tile``.

    Args:
        path: of the item.
        tile: nothing.
        alternate: by which of their alternates (STAC extension alternate-assets) files are read, such as ``s3``.

    Raises:
        InputError: it cannot be read, is no item, or its assets are no bands of one place.
    """
    if tile is not None:
        raise InputError(f"--series {tile} for the STAC item {path}", "a product of tiles", "leave it out")
    if os.path.isdir(path):
        found = _in_folder(path)
        if len(found) > 1:
            raise InputError(f"{path}, which holds several products: {', '.join(found[:3])}", "one", "name one of them")
        path = os.path.join(path, found[0])
    item = _item(path)
    name = str(item.get("id") or os.path.basename(path))
    bands = tuple(bands_of(item, assets_of(item, path, alternate)))
    complaints = []
    if missing := [band.name for band in bands if band.missing is not None and not band.named]:
        complaints.append(f"{name} lists {', '.join(missing)}, but their files are not there: left out")
    return Product(
        path=path,
        name=name,
        bands=bands,
        identity={"PRODUCT_ID": name, **_identity(item)},
        masks=_masks(bands),
        complaints=tuple(complaints),
    )


def _in_folder(path: str) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(path) if name.lower().endswith(_SUFFIXES))
    except OSError:
        return []
    return [name for name in names[:20] if _says_stac(os.path.join(path, name))]


def _says_stac(path: str) -> bool:
    """Whether a file has the one key that all of STAC's objects have."""
    try:
        with open(path, "rb") as file:
            return b'"stac_version"' in file.read(4 << 20)
    except OSError:
        return False


def _item(path: str) -> dict[str, Any]:
    stated = document(path)
    if not isinstance(stated, dict) or not (stated.get("type") == "Feature" and "assets" in stated):
        kind = stated.get("type") if isinstance(stated, dict) else None
        what = _OTHERS.get(str(kind), "no STAC item")
        raise InputError(f"{path}, which is {what}", "a STAC item with assets", "name the item itself")
    return stated


def _identity(item: Mapping[str, Any]) -> dict[str, str]:
    stated = item.get("properties")
    stated = stated if isinstance(stated, dict) else {}
    found = {}
    for tag, keys in _IDENTITY.items():
        value = next((stated[key] for key in keys if stated.get(key) not in (None, "", [])), None)
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if value is not None:
            found[tag] = f"{value:.10g}" if isinstance(value, float) else str(value)
    path, row = stated.get("landsat:wrs_path"), stated.get("landsat:wrs_row")
    if path and row and "TILE_ID" not in found:
        found["TILE_ID"] = f"{path:0>3}{row:0>3}"
    return found


def _masks(bands: tuple[BandFile, ...]) -> dict[str, tuple[Flagged, ...]]:
    """Clouds and their shadows, by a scene classification of Sentinel-2 or the bits of Landsat."""
    there = {band.name.lower(): band for band in bands if band.missing is None}
    if (scl := there.get("scl")) is not None:
        return {
            name: (Flagged(scl.path, values=values, bands=(scl.band,)),)
            for name, values in (("clouds", CLOUDS), ("shadows", SHADOWS))
        }
    if (pixel := there.get("qa_pixel")) is not None:
        return {
            name: (Flagged(pixel.path, bits=bits, bands=(pixel.band,)),)
            for name, bits in (("clouds", PIXEL_CLOUDS), ("shadows", PIXEL_SHADOWS))
        }
    return {}
