"""A STAC item that describes a result (SpatioTemporal Asset Catalog 1.1), for catalogs and tools.

Extensions: projection 2.0, raster 2.0, eo 2.0 and processing 1.2. Bands are described by STAC 1.1's own ``bands``.
"""

from __future__ import annotations

import json
import math
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from geomedsr._version import __version__
from geomedsr.addresses import public
from geomedsr.errors import InputError
from geomedsr.geometry import Factors
from geomedsr.geometry.crs import crs_code
from geomedsr.geometry.footprint import footprint
from geomedsr.geometry.grid import Grid
from geomedsr.scene.bands import colours
from geomedsr.scene.moments import acquired
from geomedsr.scene.provenance import Provenance, Step, provenance_of
from geomedsr.scene.scene import Band, Scene

_EXTENSIONS = {
    prefix: f"https://stac-extensions.github.io/{name}/schema.json"
    for prefix, name in (
        ("proj", "projection/v2.0.0"),
        ("raster", "raster/v2.0.0"),
        ("eo", "eo/v2.0.0"),
        ("processing", "processing/v1.2.0"),
    )
}

#: Band names that STAC's extension eo defines.
_VISIBLE = {"pan", "coastal", "blue", "green", "green05", "yellow", "red"}
_NEAR = {"rededge", "rededge071", "rededge075", "rededge078", "nir", "nir08", "nir09", "cirrus"}
COMMON_NAMES = _VISIBLE | _NEAR | {"swir16", "swir22", "lwir", "lwir11", "lwir12"}

#: Media types by suffix; another file has none stated.
_MEDIA = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".tiff": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jp2": "image/jp2",
    ".zarr": "application/vnd.zarr",
    ".json": "application/geo+json",
    ".xml": "application/xml",
    ".zip": "application/zip",
}

#: Other properties of the item that a scene's tags may state.
_PROPERTIES = {
    "platform": ("PLATFORM", "SPACECRAFT_ID", "SPACECRAFT_NAME"),
    "processing:level": ("PROCESSING_LEVEL",),
    "processing:version": ("PROCESSING_BASELINE",),
}


def item_path(target: Path) -> Path:
    """The path of a result's item: beside the result, with the suffix ``.json``."""
    return target.with_suffix(".json")


def item_text(scene: Scene, target: Path) -> str:
    """The item of a scene that is written to ``target``, as JSON. User, password and query are removed from addresses.

    Its time is the acquisition time from tags or frames; if neither states one, the time of processing is used
    (:func:`states_time`).

    Raises:
        InputError: the scene has no position on the Earth.
    """
    place = footprint(scene.grid)
    if place is None:
        raise InputError(
            f"--stac for {scene.name}, which has no affine or no CRS",
            "a georeferenced scene",
            "leave --stac out",
        )
    geometry, bbox = place
    now = _text_of(datetime.now(UTC).replace(microsecond=0))
    provenance = provenance_of(scene)
    properties = {
        **(_times(scene) or {"datetime": now}),
        "created": now,
        **_product(scene),
        **_processing(provenance, now),
        **_projection(scene.grid),
    }
    asset = _asset(scene, target)
    seen = {key.split(":")[0] for part in (properties, asset, *asset["bands"]) for key in part if ":" in key}
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [address for prefix, address in _EXTENSIONS.items() if prefix in seen],
        "id": target.stem,
        "geometry": geometry,
        "bbox": bbox,
        "properties": properties,
        "links": _links(scene, target),
        "assets": {"data": asset},
    }
    return json.dumps(item, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def states_time(scene: Scene) -> bool:
    """Whether a scene states its acquisition time."""
    return _times(scene) is not None


def _times(scene: Scene) -> dict[str, Any] | None:
    frames = scene.frames
    if frames is not None and frames.places.dtype.kind == "M" and frames.places.size:
        first, last = (_text_of(_moment(frames.places.astype("datetime64[us]"), end)) for end in (np.min, np.max))
        return (
            {"datetime": first} if first == last else {"datetime": None, "start_datetime": first, "end_datetime": last}
        )
    moment = acquired(scene)
    return None if moment is None else {"datetime": _text_of(moment)}


def _moment(places: Any, end: Any) -> datetime:
    found: datetime = end(places).item()
    return found.replace(tzinfo=UTC)


def _text_of(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _product(scene: Scene) -> dict[str, Any]:
    """The properties that a product states, with STAC's names."""
    tags = scene.tags.get("", {})
    found: dict[str, Any] = {}
    for name, keys in _PROPERTIES.items():
        if text := next((tags[key] for key in keys if tags.get(key, "").strip()), None):
            found[name] = text.lower().replace("_", "-") if name == "platform" else text
    clouds = _number(scene.tags.get("IMAGERY", {}).get("CLOUDCOVER") or tags.get("CLOUD_COVER"))
    if clouds is not None and 0 <= clouds <= 100:
        found["eo:cloud_cover"] = clouds
    return found


def _processing(provenance: Provenance, now: str) -> dict[str, Any]:
    software, model = {"geomedsr": __version__}, provenance.model
    found: dict[str, Any] = {"processing:datetime": now}
    if model.name is not None:
        last = provenance.steps[len(provenance.before) :]
        software |= {step.model: step.version or "unknown" for step in provenance.steps}
        words = f"{provenance.source or 'its source'} made {', '.join(map(_step, last))}"
        found["processing:lineage"] = f"{words}. {provenance.note}" if provenance.note else words
        if model.sha256:
            found["geomedsr:model_sha256"] = model.sha256
    return {"processing:software": software, **found}


def _step(step: Step) -> str:
    """What a pass did, in a few words."""
    finer = "finer" if step.factor is None else Factors(step.frame_factor or 1, step.factor, step.factor).words
    return f"{finer} by {step.model}" + (f" in {', '.join(step.bands)}" if step.bands else "")


def _projection(grid: Grid) -> dict[str, Any]:
    """The grid by the extension projection, with the affine as rows of a matrix."""
    assert grid.affine is not None
    from pyproj import CRS  # slow to import

    code = crs_code(grid.crs)
    known = {"proj:code": ":".join(code)} if code else {"proj:code": None, "proj:wkt2": CRS(grid.crs).to_wkt()}
    return {
        **known,
        "proj:shape": list(grid.shape),
        "proj:transform": [float(value) for value in tuple(grid.affine)[:6]],
        "proj:bbox": list(grid.bounds),
    }


def _asset(scene: Scene, target: Path) -> dict[str, Any]:
    shown = {position: colour for colour, position in colours(scene.bands).items()}
    metres = _metres(scene.grid)
    asset: dict[str, Any] = {
        "href": f"./{quote(target.name)}",
        "title": target.name,
        **_media(target.name),
        "roles": ["data"],
    }
    if metres is not None:
        asset["gsd"] = metres
    return asset | {"bands": [_band(band, scene.dtype, shown.get(i)) for i, band in enumerate(scene.bands)]}


def _band(band: Band, dtype: np.dtype[Any], colour: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": band.name}
    if band.description and band.description != band.name:
        found["description"] = band.description
    found["data_type"] = str(dtype)
    if band.nodata is not None:
        found["nodata"] = _json_number(band.nodata)
    if band.units:
        found["unit"] = band.units
    if (band.scale, band.offset) != (1.0, 0.0):
        found |= {"raster:scale": band.scale, "raster:offset": band.offset}
    name = next((text for text in (band.role, colour) if text in COMMON_NAMES), None)
    if name is not None:
        found["eo:common_name"] = name
    for key, text in (("eo:center_wavelength", "CENTRAL_WAVELENGTH_UM"), ("eo:full_width_half_max", "FWHM_UM")):
        value = _number(band.tags.get("IMAGERY", {}).get(text))
        if value is not None and value > 0:
            found[key] = value
    return found


def _links(scene: Scene, target: Path) -> list[dict[str, str]]:
    """A link to the source, if others can follow it; relative to the item if the source is on this machine."""
    source = scene.files[0] if scene.files else ""
    if re.match(r"(?:https?|s3|gs)://", source):
        href = re.split(r"[?#]", public(source), maxsplit=1)[0]
    elif source and os.path.exists(source):
        beside = os.path.relpath(os.path.realpath(source), target.parent).replace(os.sep, "/")
        href = quote(beside if beside.startswith(".") else f"./{beside}")
    else:
        return []
    media = _media(href)
    return [{"rel": "derived_from", "href": href, **({"type": media["type"].split(";")[0]} if media else {})}]


def _media(name: str) -> dict[str, str]:
    media = _MEDIA.get(os.path.splitext(name)[1].lower())
    return {} if media is None else {"type": media}


def _metres(grid: Grid) -> float | None:
    """The longer side of a pixel in metres; None if the CRS has other units."""
    assert grid.affine is not None
    from pyproj import CRS

    units = {axis.unit_name for axis in CRS(grid.crs).axis_info[:2]}
    if units != {"metre"}:
        return None
    return round(max(math.hypot(grid.affine.a, grid.affine.d), math.hypot(grid.affine.b, grid.affine.e)), 6)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _json_number(value: float) -> float | int | str:
    """A number, or STAC's text for a value that JSON cannot represent."""
    if math.isnan(value):
        return "nan"
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"
