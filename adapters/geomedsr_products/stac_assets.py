"""The assets of a STAC item as bands of a product.

Read are STAC 1.1's ``bands`` and, from before it, ``eo:bands`` and ``raster:bands``; the extensions projection, raster,
eo, classification and alternate-assets.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geomedsr.errors import InputError
from geomedsr.geometry.crs import crs_code, wkt_of
from geomedsr.io import open_scene
from geomedsr.scene import classes
from geomedsr_products.documents import pointed
from geomedsr_products.product import BandFile, Kind

#: Media types of rasters that GDAL reads, and endings of those that state none.
_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/x.geotiff")
_ENDINGS = (".tif", ".tiff", ".jp2")

#: Roles of pictures of the data.
_PICTURES = {"thumbnail", "overview", "visual"}

#: Pixels this much smaller than what the instrument sees hold resampled data: they are stated by the latter.
_RESAMPLED = 1.5


@dataclass(frozen=True)
class Asset:
    """A raster of an item: its key there, where it is, and its own properties, after those of the item."""

    key: str
    path: str
    stated: Mapping[str, Any]

    @property
    def bands(self) -> list[dict[str, Any]]:
        """What is stated of each of its bands, the three ways in one: by STAC 1.1's names."""
        lists = [self.stated.get(name) for name in ("bands", "eo:bands", "raster:bands")]
        known = [found if isinstance(found, list) else [] for found in lists]
        count = max([1, *map(len, known)])
        made = []
        for i in range(count):
            core, eo, raster = (of[i] if i < len(of) and isinstance(of[i], dict) else {} for of in known)
            prefixed = {f"eo:{key}": value for key, value in eo.items()} | {
                f"raster:{key}": value for key, value in raster.items()
            }
            plain = {
                key: raster[key] for key in ("nodata", "unit", "data_type", "classification:classes") if key in raster
            }
            named = {key: eo[key] for key in ("name", "description") if key in eo}
            made.append({**prefixed, **plain, **named, **core})
        return made

    @property
    def crs(self) -> str | None:
        """Its coordinate system as a short text, if the item states one."""
        if isinstance(code := self.stated.get("proj:code"), str):
            return code.upper()
        if (epsg := self.stated.get("proj:epsg")) is not None:
            return f"EPSG:{epsg}"
        if (wkt := self.stated.get("proj:wkt2") or self.stated.get("proj:projjson")) is not None:
            found = wkt_of(wkt)
            known = crs_code(found)
            return ":".join(known).upper() if known else found
        return None


def assets_of(item: Mapping[str, Any], base: str, alternate: str | None) -> tuple[Asset, ...]:
    """The rasters of an item, those that hold data.

    Args:
        item: the item.
        base: where it is, to which references are relative.
        alternate: by which of their alternates they are to be read; by default by none.

    Raises:
        InputError: there is none, or none has such an alternate.
    """
    listed = item.get("assets")
    listed = {k: v for k, v in listed.items() if isinstance(v, dict)} if isinstance(listed, dict) else {}
    rasters = {key: asset for key, asset in listed.items() if _is_data(asset)}
    if not rasters:
        shown = ", ".join(list(listed)[:8]) or "none"
        raise InputError(
            f"the STAC item {item.get('id')} without an asset that is a raster of data (assets: {shown})",
            "GeoTIFF or JPEG 2000 among its assets",
            "open the file of an asset by itself",
        )
    if alternate is not None:
        rasters = {key: found for key, asset in rasters.items() if (found := _by(asset, alternate)) is not None}
        if not rasters:
            known = sorted({name for asset in listed.values() for name in asset.get("alternate") or {}})
            raise InputError(
                f"the alternate {alternate!r} of the STAC item {item.get('id')}",
                f"one of its assets' own: {', '.join(known) or 'they have none'}",
                "leave it out, and the assets' own addresses are read",
            )
    common = item.get("properties")
    shared = {k: v for k, v in (common if isinstance(common, dict) else {}).items() if k.startswith("proj:")}
    return tuple(
        Asset(key, pointed(base, asset["href"]), shared | asset) for key, asset in _without_doubles(rasters).items()
    )


def _is_data(asset: Mapping[str, Any]) -> bool:
    href, media, roles = asset.get("href"), asset.get("type"), asset.get("roles")
    if not isinstance(href, str) or not href or _PICTURES & set(roles if isinstance(roles, list) else ()):
        return False
    if isinstance(media, str):
        return media.split(";")[0].strip().lower() in _RASTERS
    return href.split("?")[0].lower().endswith(_ENDINGS)


def _by(asset: Mapping[str, Any], alternate: str) -> dict[str, Any] | None:
    """An asset by one of its alternates; the one that it has itself may be named, too."""
    others = asset.get("alternate")
    found = others.get(alternate) if isinstance(others, dict) else None
    if isinstance(found, dict) and isinstance(found.get("href"), str):
        return {**asset, **found}
    return dict(asset) if asset.get("alternate:name") == alternate else None


def _without_doubles(rasters: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One of several formats of one band, as catalogs have it that keep JPEG 2000 beside GeoTIFF: the latter."""
    return {
        key: asset
        for key, asset in rasters.items()
        if not (key.endswith("-jp2") and key.removesuffix("-jp2") in rasters)
    }


def bands_of(item: Mapping[str, Any], assets: tuple[Asset, ...]) -> Iterator[BandFile]:
    """The bands of all assets. A file's header is read where the item does not state the size of its pixels.

    Raises:
        InputError: a file that cannot be opened, a number that is none, or assets of several coordinate systems.
    """
    systems = sorted({asset.crs for asset in assets if asset.crs is not None})
    if len(systems) > 1:
        raise InputError(
            f"the STAC item {item.get('id')}, whose assets lie in several coordinate systems: {', '.join(systems)}",
            "one",
            "open the files of its assets one by one",
        )
    applied = _offset_applied(item)
    names = [name for asset in assets for name in _names(asset)]
    for asset in assets:
        missing = None if "://" in asset.path or asset.path.startswith("/vsi") else _missing(asset.path)
        pixel = None if missing else _pixel(asset)
        for number, (name, stated) in enumerate(zip(_names(asset), asset.bands, strict=True), 1):
            unique = name if names.count(name) == 1 else f"{asset.key}_{name}"
            yield _band(asset, unique, number, stated, pixel, applied, missing)


def _missing(path: str) -> str | None:
    return None if os.path.exists(path) else f"{path} is not there"


def _names(asset: Asset) -> list[str]:
    """Those of its bands: the asset's key, which is the item's own, if it has but one, and is not just ``data``."""
    stated = [str(band.get("name") or "") for band in asset.bands]
    if len(stated) == 1:
        return [stated[0] if asset.key in ("data", "image", "asset") and stated[0] else asset.key]
    return [name or f"{asset.key}_{i}" for i, name in enumerate(stated, 1)]


def _band(
    asset: Asset,
    name: str,
    number: int,
    stated: Mapping[str, Any],
    pixel: float | None,
    applied: bool,
    missing: str | None,
) -> BandFile:
    every = {**asset.stated, **stated}
    meanings, kind = _meanings(every, asset, name)
    scale, offset = (_number(asset, every.get(f"raster:{of}")) for of in ("scale", "offset"))
    units = every.get("unit") or every.get("raster:unit")
    common = every.get("eo:common_name")
    continuous = kind == "continuous"
    return BandFile(
        name=name,
        path=asset.path,
        resolution=_resolution(asset, every, pixel),
        band=number,
        kind=kind,
        common=str(common) if common else None,
        wavelength=_number(asset, every.get("eo:center_wavelength")),
        width=_number(asset, every.get("eo:full_width_half_max")),
        scale=scale if continuous else None,
        offset=0.0 if applied and offset else offset if continuous else None,
        units=str(units) if units and continuous else None,
        nodata=_nodata(asset, every.get("nodata")),
        meanings=meanings,
        named=not continuous,
        missing=missing,
    )


def _offset_applied(item: Mapping[str, Any]) -> bool:
    """Whether an item says that the offset which it lists is in the stored numbers already, as Earth Search's do."""
    stated = item.get("properties")
    return isinstance(stated, dict) and any(
        stated.get(f"{prefix}:boa_offset_applied") is True for prefix in ("earthsearch", "sentinel", "s2")
    )


def _meanings(stated: Mapping[str, Any], asset: Asset, name: str) -> tuple[dict[int, str], Kind]:
    """What the numbers of classes and flags mean, and what they are; else that they are continuous."""
    fields, kinds = stated.get("classification:bitfields"), stated.get("classification:classes")
    if isinstance(fields, list) and fields:
        found = {}
        for field in fields:
            start, length = _whole(asset, field, "offset", 63), _whole(asset, field, "length", 32)
            found[((1 << length) - 1) << start] = _word(field, f"bits_{start}")
        return found, "flags"
    if isinstance(kinds, list) and kinds:
        values = {_whole(asset, of, "value", 1 << 32): of for of in kinds}
        return {value: _word(of, str(value)) for value, of in values.items()}, "classes"
    file = asset.path.split("?")[0].rsplit("/", 1)[-1]
    known = any(classes.by_band(text, {}) for text in (name, asset.key)) or classes.by_file(file)
    return {}, "classes" if known else "continuous"


def _word(stated: Mapping[str, Any], otherwise: str) -> str:
    text = str(stated.get("name") or stated.get("description") or otherwise)
    return "_".join(text.replace(",", " ").split()).lower()


def _resolution(asset: Asset, stated: Mapping[str, Any], pixel: float | None) -> float:
    """Pixel size in units of the CRS; what the instrument sees, where that is much more."""
    if pixel is None:
        sizes = (_number(asset, stated.get(key)) for key in ("gsd", "raster:spatial_resolution"))
        return next((size for size in sizes if size), 1.0)
    seen = _number(asset, stated.get("gsd"))
    return seen if seen is not None and pixel > 1e-2 and seen > _RESAMPLED * pixel else pixel


def _pixel(asset: Asset) -> float:
    """Its pixels' size, of the longer side: by the item, or by the file's header."""
    affine = asset.stated.get("proj:transform")
    if isinstance(affine, list) and len(affine) in (6, 9):
        a, b, _, d, e, _ = (_number(asset, value) or 0.0 for value in affine[:6])
        return round(max(math.hypot(a, d), math.hypot(b, e)), 9)
    grid = open_scene(asset.path).grid
    if grid.affine is None:
        return 1.0
    return round(max(math.hypot(grid.affine.a, grid.affine.d), math.hypot(grid.affine.b, grid.affine.e)), 9)


def _number(asset: Asset, stated: Any) -> float | None:
    if stated is None:
        return None
    try:
        value = float(stated)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(stated, bool) or not math.isfinite(value):
        raise InputError(
            f"{str(stated)[:40]!r} in the asset {asset.key} of a STAC item", "a number", "correct the item"
        )
    return value


def _whole(asset: Asset, stated: Any, key: str, most: int) -> int:
    value = _number(asset, stated.get(key)) if isinstance(stated, dict) else None
    if value is None or not value.is_integer() or abs(value) > most:
        where = f"{str(stated)[:60]} in the asset {asset.key} of a STAC item"
        raise InputError(where, f"a whole number as {key}", "correct the item")
    return int(value)


def _nodata(asset: Asset, stated: Any) -> float | int | None:
    if isinstance(stated, str) and stated.lower() in ("nan", "inf", "-inf"):
        return float(stated)
    value = _number(asset, stated)
    return int(value) if value is not None and value.is_integer() else value
