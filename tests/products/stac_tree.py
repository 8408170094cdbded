"""Small STAC items with a GeoTIFF for each band, as catalogs of Sentinel-2 have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

LEFT, TOP, EPSG, NAME = 600000.0, 5100000.0, 32632, "S2B_32TQM_20240706_0_L2A"

#: Key: resolution, common name, wavelength.
BANDS: dict[str, tuple[float, str, float]] = {
    "red": (10.0, "red", 0.665),
    "nir": (10.0, "nir", 0.842),
    "swir16": (20.0, "swir16", 1.61),
}
SIDE = 240.0  # m

CLASSES = {0: "no_data", 4: "vegetation", 9: "cloud_high_probability"}


def numbers(key: str) -> np.ndarray:
    """The stored numbers of a band; a pixel of the classes is cloud, and one of each band no data."""
    side = int(SIDE / (BANDS[key][0] if key in BANDS else 20))
    if key == "scl":
        found = np.full((side, side), 4, np.uint8)
        found[2, 3] = 9
    else:
        found = np.random.default_rng(sum(map(ord, key))).integers(1, 9000, (side, side)).astype(np.uint16)
        found[0, 0] = 0
    return found


def raster(path: Path, array: np.ndarray, size: float, epsg: int = EPSG, **more: Any) -> None:
    """A GeoTIFF of a band ``(y, x)``, or of several; without a value of its own for no data."""
    bands = array if array.ndim == 3 else array[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"crs": f"EPSG:{epsg}", "transform": from_origin(LEFT, TOP, size, size)}
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **more) as file:
        file.write(bands)


def item(version: str = "1.1.0", place: bool = True, href: str = "bands/{}.tif") -> dict[str, Any]:
    """An item of STAC 1.0, with ``eo:bands`` and ``raster:bands``, or 1.1, with ``bands``."""
    assets: dict[str, dict[str, Any]] = {
        "thumbnail": {"href": "https://example.com/preview.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
        "visual": {"href": "bands/visual.tif", "type": "image/tiff; application=geotiff", "roles": ["visual"]},
        "granule_metadata": {"href": "metadata.xml", "type": "application/xml", "roles": ["metadata"]},
    }
    numbers_of = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1, "unit": "reflectance"}
    for key, (size, common, centre) in BANDS.items():
        asset = {"href": href.format(key), "type": "image/tiff; application=geotiff; profile=cloud-optimized"}
        asset |= {"roles": ["data", "reflectance"], "gsd": size}
        if version == "1.0.0":
            asset["eo:bands"] = [{"name": key, "common_name": common, "center_wavelength": centre}]
            asset["raster:bands"] = [numbers_of]
        else:
            band = {"name": key, "eo:common_name": common, "eo:center_wavelength": centre}
            band |= {k if k in ("nodata", "data_type", "unit") else f"raster:{k}": v for k, v in numbers_of.items()}
            asset["bands"] = [band]
        assets[key] = asset
        assets[f"{key}-jp2"] = {**asset, "href": f"s3://elsewhere/{key}.jp2", "type": "image/jp2"}
    assets["scl"] = {"href": href.format("scl"), "type": "image/tiff; application=geotiff", "roles": ["data"]}
    assets["scl"]["classification:classes"] = [{"value": value, "name": name} for value, name in CLASSES.items()]
    if place:
        for key in (*BANDS, "scl"):
            size = BANDS[key][0] if key in BANDS else 20.0
            code: dict[str, Any] = {"proj:epsg": EPSG} if version == "1.0.0" else {"proj:code": f"EPSG:{EPSG}"}
            assets[key] |= code | {"proj:transform": [size, 0, LEFT, 0, -size, TOP]}
    return {
        "type": "Feature",
        "stac_version": version,
        "stac_extensions": [],
        "id": NAME,
        "geometry": {"type": "Point", "coordinates": [10.3, 46.0]},
        "bbox": [10.29, 46.03, 10.3, 46.04],
        "properties": {
            "datetime": "2024-07-06T10:15:59.024000Z",
            "platform": "sentinel-2b",
            "instruments": ["msi"],
            "eo:cloud_cover": 0.25,
            "view:sun_azimuth": 150.125,
            "view:sun_elevation": 64.5,
            "s2:processing_baseline": "05.11",
            "grid:code": "MGRS-32TQM",
        },
        "links": [],
        "assets": assets,
    }


def written(folder: Path, told: dict[str, Any] | None = None, name: str = "item.json") -> Path:
    """An item beside the files of its bands."""
    for key in (*BANDS, "scl"):
        raster(folder / "bands" / f"{key}.tif", numbers(key), BANDS[key][0] if key in BANDS else 20.0)
    (folder / name).write_text(json.dumps(told or item()))
    return folder / name
