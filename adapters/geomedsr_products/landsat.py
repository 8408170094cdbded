"""Landsat 8 and 9, Collection 2, Level 1 and Level 2: where a product is, and what its metadata say.

Accepted are a folder, a ``.tar`` as it is delivered, and its ``*_MTL.txt`` or ``*_MTL.json``. Scale and offset are the
metadata's, whatever the date. Level 1 has the reflectance at the top of the atmosphere without a correction for the
sun's angle (physical value = ρ · sin(sun elevation)), and of thermal bands radiance: kelvin is K2 / ln(K1 / L + 1)
with two constants among the band's tags. Level 2 has surface reflectance, and surface temperature in kelvin.

Two grids say less than one would think. Thermal bands have a resolution of 100 m, resampled to the 30 m grid: they are
a part of their own, of resolution 100. And each second centre of the panchromatic band's pixels lies on one of the 30 m
grid's: N pixels have 2N − 1 of it, and its corner lies half a pixel of its own inside theirs.

Source: Landsat 8-9 OLI/TIRS Collection 2 Level 1 and Level 2 Data Format Control Books (LSDS-1822, LSDS-1328).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from geomedsr.errors import InputError
from geomedsr.scene.sensors.landsat import AEROSOL, CLOUDS, PIXEL, RADSAT, SATURATION, SHADOWS, SNOW, SPECTRAL
from geomedsr_products import landsat_mtl
from geomedsr_products.folders import Archive, Folder, LocalFolder, archive_at, packed, split
from geomedsr_products.landsat_mtl import Metadata
from geomedsr_products.product import BandFile, Flagged, Product

_METADATA = re.compile(r"L\w+_MTL\.(?:txt|json)$", re.IGNORECASE)

#: How archives of products are called.
_NAMED = re.compile(r"L[COTEM]\d\d_L[12]\w\w_\d{6}_\d{8}_\d{8}_\d\d_\w\w", re.IGNORECASE)

_CRAFT = {"LANDSAT_8", "LANDSAT_9"}
_CONTENTS, _IMAGE, _MAP = "PRODUCT_CONTENTS", "IMAGE_ATTRIBUTES", "PROJECTION_ATTRIBUTES"
_RESCALING, _THERMAL = "LEVEL1_RADIOMETRIC_RESCALING", "LEVEL1_THERMAL_CONSTANTS"
_SURFACE, _KELVIN = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS"

#: Reflectance and radiance have 0 where nothing was measured.
_FILL = 0

#: Rasters that come when they are named: how the metadata list them, their name, scale, units and fill value.
_MORE: Mapping[str, tuple[str, float, str | None, int]] = {
    "FILE_NAME_THERMAL_RADIANCE": ("ST_TRAD", 0.001, "W/(m2 sr um)", -9999),
    "FILE_NAME_UPWELL_RADIANCE": ("ST_URAD", 0.001, "W/(m2 sr um)", -9999),
    "FILE_NAME_DOWNWELL_RADIANCE": ("ST_DRAD", 0.001, "W/(m2 sr um)", -9999),
    "FILE_NAME_ATMOSPHERIC_TRANSMITTANCE": ("ST_ATRAN", 0.0001, None, -9999),
    "FILE_NAME_EMISSIVITY": ("ST_EMIS", 0.0001, None, -9999),
    "FILE_NAME_EMISSIVITY_STDEV": ("ST_EMSD", 0.0001, None, -9999),
    "FILE_NAME_CLOUD_DISTANCE": ("ST_CDIST", 0.01, "km", -9999),
    "FILE_NAME_QUALITY_L2_SURFACE_TEMPERATURE": ("ST_QA", 0.01, "K", -9999),
}

#: Bands of flags: how the metadata list them, their name and their bits.
_FLAGS: Mapping[str, tuple[str, Mapping[int, str]]] = {
    "FILE_NAME_QUALITY_L1_PIXEL": ("QA_PIXEL", PIXEL),
    "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION": ("QA_RADSAT", RADSAT),
    "FILE_NAME_QUALITY_L2_AEROSOL": ("SR_QA_AEROSOL", AEROSOL),
}


def recognises(path: str) -> bool:
    """Whether a path is a Landsat product, by names alone; of archives the lists are read."""
    name = os.path.basename(path.rstrip("/"))
    if os.path.isdir(path):
        return bool(_in_folder(path))
    if _METADATA.match(name):
        return os.path.isfile(path) or path.startswith("/vsitar/")
    return packed(path, _NAMED, lambda inner: _METADATA.match(inner.rsplit("/", 1)[-1]) is not None)


def describe(path: str, tile: str | None = None) -> Product:
    """What the metadata of a product say; it has but one ``tile``.

    Raises:
        InputError: there is no product, or more than one, or of another satellite or collection, or its metadata are
            not whole.
    """
    if tile is not None:
        raise InputError(f"--series {tile} for the Landsat product {path}", "a product of tiles", "leave it out")
    folder, name = _address(path)
    metadata = landsat_mtl.read(folder, name)
    craft = metadata.text(_IMAGE, "SPACECRAFT_ID")
    if craft not in _CRAFT:
        raise InputError(f"{metadata.file} of {craft}", "Landsat 8 or 9", "open the files of its bands")
    root = name[: len(name) - len(name.rsplit("/", 1)[-1])]
    there = {each[len(root) :] for each in folder.names() if each.startswith(root)}
    product = metadata.text(_CONTENTS, "LANDSAT_PRODUCT_ID")
    bands = tuple(_placed(band, folder, root, there) for band in _bands(metadata))
    complaints = []
    if missing := [band.name for band in bands if band.missing is not None and not band.named]:
        complaints.append(f"{product} lists {', '.join(missing)} in its metadata, but has no files of them: left out")
    return Product(
        path=path,
        name=product,
        bands=bands,
        identity=_identity(metadata, product, craft),
        masks=_masks(bands),
        files=(folder.gdal(name),),
        complaints=tuple(complaints),
    )


def _in_folder(path: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path) if _METADATA.match(name))
    except OSError:
        return []


def _address(path: str) -> tuple[Folder, str]:
    """The folder and the name of the one file of metadata; of text and JSON that tell the same, the text."""
    if os.path.isdir(path):
        folder: Folder = LocalFolder(path)
        found = _in_folder(path)
    elif (pack := archive_at(path)) is not None:
        folder, found = pack, [name for name in pack.names() if _METADATA.match(name.rsplit("/", 1)[-1])]
    else:
        folder, name = split(path)
        return folder, name
    stems = sorted({os.path.splitext(name)[0] for name in found})
    if len(stems) > 1:
        shown = ", ".join(stem.rsplit("/", 1)[-1].removesuffix("_MTL") for stem in stems[:3])
        shown += f" … {len(stems)} in all" if len(stems) > 3 else ""
        remedy = "unpack it" if isinstance(folder, Archive) else "name one of their *_MTL.txt"
        raise InputError(f"{path}, which holds several products: {shown}", "one", remedy)
    if not stems:
        raise InputError(f"{path} without *_MTL.txt or *_MTL.json", "a whole product", "download it again")
    return folder, max(found, key=lambda name: name.lower().endswith(".txt"))


def _bands(metadata: Metadata) -> Iterator[BandFile]:
    """All bands that the metadata list, with the names of their files as paths."""
    level = metadata.text(_CONTENTS, "PROCESSING_LEVEL")
    if level[:2] not in ("L1", "L2"):
        raise InputError(f"{metadata.file} of processing level {level}", "one of Level 1 or Level 2", "order that")
    listed = metadata.group(_CONTENTS)
    make = _top if level.startswith("L1") else _surface
    for number in SPECTRAL:
        yield from make(metadata, listed, number)
    if level.startswith("L2"):
        for key, (name, scale, units, fill) in _MORE.items():
            if listed.get(key):
                yield BandFile(name, listed[key], 100.0, scale=scale, units=units, nodata=fill, named=True)
    for key, (name, bits) in _FLAGS.items():
        if listed.get(key):
            yield BandFile(name, listed[key], 30.0, kind="flags", meanings=bits, named=True)


def _top(metadata: Metadata, listed: Mapping[str, str], number: int) -> Iterator[BandFile]:
    """A band of Level 1."""
    file = listed.get(f"FILE_NAME_BAND_{number}")
    if not file:
        return
    radiance = {f"RADIANCE_{of}": metadata.text(_RESCALING, f"RADIANCE_{of}_BAND_{number}") for of in ("MULT", "ADD")}
    if SPECTRAL[number].resolution == 100:
        constants = {f"K{i}_CONSTANT": metadata.text(_THERMAL, f"K{i}_CONSTANT_BAND_{number}") for i in (1, 2)}
        scale, offset = (metadata.number(_RESCALING, f"RADIANCE_{of}_BAND_{number}") for of in ("MULT", "ADD"))
        yield _spectral(f"B{number}", file, number, scale, offset, "W/(m2 sr um)", radiance | constants)
    else:
        scale, offset = (metadata.number(_RESCALING, f"REFLECTANCE_{of}_BAND_{number}") for of in ("MULT", "ADD"))
        yield _spectral(f"B{number}", file, number, scale, offset, "reflectance", radiance)


def _surface(metadata: Metadata, listed: Mapping[str, str], number: int) -> Iterator[BandFile]:
    """A band of Level 2."""
    if file := listed.get(f"FILE_NAME_BAND_{number}"):
        scale, offset = (metadata.number(_SURFACE, f"REFLECTANCE_{of}_BAND_{number}") for of in ("MULT", "ADD"))
        yield _spectral(f"SR_B{number}", file, number, scale, offset, "reflectance", {})
    elif file := listed.get(f"FILE_NAME_BAND_ST_B{number}"):
        scale, offset = (metadata.number(_KELVIN, f"TEMPERATURE_{of}_BAND_ST_B{number}") for of in ("MULT", "ADD"))
        yield _spectral(f"ST_B{number}", file, number, scale, offset, "K", {})


def _spectral(
    name: str, file: str, number: int, scale: float, offset: float, units: str, tags: Mapping[str, str]
) -> BandFile:
    known = SPECTRAL[number]
    coarse = {"DETECTOR_RESOLUTION": "100 m, resampled to the grid of 30 m"} if known.resolution == 100 else {}
    return BandFile(
        name=name,
        path=file,
        resolution=float(known.resolution),
        common=known.common,
        wavelength=known.centre,
        width=known.width,
        scale=scale,
        offset=offset,
        units=units,
        nodata=_FILL,
        tags={"": {**tags, **coarse}},
    )


def _placed(band: BandFile, folder: Folder, root: str, there: set[str]) -> BandFile:
    """A band with the path of its file, or why it has none."""
    missing = None if band.path in there else f"{band.path} is not there"
    return replace(band, path=folder.gdal(root + band.path), missing=missing)


def _masks(bands: tuple[BandFile, ...]) -> dict[str, tuple[Flagged, ...]]:
    """What may be taken for no data, by the bands of flags that are there."""
    paths = {band.name: band.path for band in bands if band.missing is None}
    found: dict[str, tuple[Flagged, ...]] = {}
    if pixel := paths.get("QA_PIXEL"):
        for name, bits in (("clouds", CLOUDS), ("shadows", SHADOWS), ("snow", SNOW)):
            found[name] = (Flagged(pixel, bits=bits),)
    if radsat := paths.get("QA_RADSAT"):
        found["saturated"] = (Flagged(radsat, bits=sum(SATURATION)),)
    return found


def _identity(metadata: Metadata, product: str, craft: str) -> dict[str, str]:
    """Which product it is, and what of it is not as its grid says; what its metadata do not tell is left out."""
    date, time = metadata.known(_IMAGE, "DATE_ACQUIRED"), metadata.known(_IMAGE, "SCENE_CENTER_TIME")
    path, row = metadata.known(_IMAGE, "WRS_PATH"), metadata.known(_IMAGE, "WRS_ROW")
    known = {
        "PRODUCT_ID": product,
        "ACQUISITION_TIME": f"{date}T{time}" if date and time else date,
        "PLATFORM": craft,
        "INSTRUMENT": metadata.known(_IMAGE, "SENSOR_ID"),
        "PROCESSING_LEVEL": metadata.known(_CONTENTS, "PROCESSING_LEVEL"),
        "PROCESSING_BASELINE": _version(metadata),
        "COLLECTION_CATEGORY": metadata.known(_CONTENTS, "COLLECTION_CATEGORY"),
        "TILE_ID": f"{path:0>3}{row:0>3}" if path and row else None,
        "SUN_AZIMUTH": metadata.known(_IMAGE, "SUN_AZIMUTH"),
        "SUN_ELEVATION": metadata.known(_IMAGE, "SUN_ELEVATION"),
        "CLOUD_COVER": _cover(metadata),
        "PANCHROMATIC_GRID": _pan(metadata),
    }
    return {key: value for key, value in known.items() if value}


def _version(metadata: Metadata) -> str | None:
    groups = ("LEVEL2_PROCESSING_RECORD", "LEVEL1_PROCESSING_RECORD")
    return next((text for group in groups if (text := metadata.known(group, "PROCESSING_SOFTWARE_VERSION"))), None)


def _cover(metadata: Metadata) -> str | None:
    """Clouds in per cent; -1 stands for not computed."""
    text = metadata.known(_IMAGE, "CLOUD_COVER")
    return None if text is None or text.startswith("-") else text


def _pan(metadata: Metadata) -> str | None:
    """How the panchromatic band lies beside the others, where its pixels are twice as many less one."""
    sizes = [
        metadata.known(_MAP, f"{of}_{axis}") for axis in ("LINES", "SAMPLES") for of in ("PANCHROMATIC", "REFLECTIVE")
    ]
    if not all(text and text.isdigit() for text in sizes):
        return None
    counts = [int(text or 0) for text in sizes]
    if counts[0] != 2 * counts[1] - 1 or counts[2] != 2 * counts[3] - 1:
        return None
    return "2N - 1 pixels: centres on those of the 30 m grid, the corner half a pixel of 15 m inside its corner"
