"""A granule of Sentinel-2: the files of its bands and masks, its grids, and what the numbers in them mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from affine import Affine

from geomedsr.errors import InputError
from geomedsr.geometry.crs import wkt_of
from geomedsr.geometry.grid import Grid
from geomedsr.scene.sensors.sentinel2 import (
    CLASSI,
    CLOUDS,
    DETECTORS,
    OTHERS,
    QUALIT,
    SCENE_CLASSES,
    SHADOWS,
    SPECTRAL,
)
from geomedsr_products.folders import Folder
from geomedsr_products.metadata import Element, every, number, parsed, text
from geomedsr_products.product import SATURATED_VALUE, BandFile, Flagged, Outlined

#: Images by name: the band, and the resolution where there are several of it. Products of Level-2A of before 2017 have
#: the name of what is no spectral band in the middle: ``S2A_USER_SCL_L2A_TL_…_T32TQM_20m``.
_STEM = r"_(?:(B\d{2}|B8A|AOT|WVP|SCL)(?:_(10|20|60)m)?|(AOT|WVP|SCL)_L2A_TL_\w+_(10|20|60)m)"
_IMAGE, _LISTED = re.compile(_STEM + r"\.jp2$"), re.compile(_STEM + "$")

#: Masks by name, as rasters; those of polygons have the same with ``.gml``, in older products within longer names.
_MASK = re.compile(r"MSK_(DETFOO|QUALIT|CLASSI|CLDPRB|SNWPRB)_(B\d{2}|B8A|20m|60m)\.jp2$")
_FOOTPRINTS = re.compile(r"MSK_DETFOO_(?:\w+_)?(B\d{2}|B8A)(?:_MSIL1C)?\.gml$")
_DETECTOR = re.compile(r"detector_footprint-\w+?-(\d{1,2})-\d+$")
_CLOUD_POLYGONS = re.compile(r"MSK_CLOUDS_\w*?B00(?:_MSIL1C)?\.gml$")

_TILE = re.compile(r"(?:MTD_TL|S2[A-Z]_\w{4}_MTD_L(?:1C|2A)_TL_\w+)\.xml$")


@dataclass(frozen=True)
class Granule:
    """A granule: its folder within the product's, its files, the name of its metadata if it has some, and its tile."""

    name: str
    files: tuple[str, ...]
    metadata: str | None
    tile: str | None


@dataclass(frozen=True)
class Numbers:
    """What stored numbers mean: reflectance = (number + offset) / ``divisor``, at the surface or at the top.

    ``offsets`` and ``centres`` (nm) are by the band's number in the metadata; ``aerosol`` and ``vapour`` divide, too.
    """

    surface: bool
    divisor: float | None
    offsets: Mapping[int, float]
    nodata: int | None
    saturated: int | None
    aerosol: float | None
    vapour: float | None
    centres: Mapping[int, float]


def granule_of(folder: Folder, root: str, name: str) -> Granule:
    """The granule of a name."""
    files = folder.names(f"{root}GRANULE/{name}")
    depth = f"{root}GRANULE/{name}/".count("/")
    metadata = [file for file in files if file.count("/") == depth and _TILE.match(file.rsplit("/", 1)[-1])]
    tile = re.search(r"_T(\d{2}[A-Z]{3})(?:_|$)", name)
    return Granule(name, files, metadata[0] if metadata else None, tile[1] if tile else None)


def grids_of(info: Element | None) -> dict[float, Grid]:
    """The grids that the metadata of a granule tell, by resolution."""
    if info is None or (code := text(info, "HORIZONTAL_CS_CODE")) is None:
        return {}
    crs, found = wkt_of(code), {}
    sizes = {element.get("resolution"): element for element in every(info, "Size")}
    for place in every(info, "Geoposition"):
        size = sizes.get(place.get("resolution"))
        stated = [
            number(size, "NROWS"),
            number(size, "NCOLS"),
            *(number(place, k) for k in ("XDIM", "YDIM", "ULX", "ULY")),
        ]
        known = [value for value in stated if value is not None]
        if len(known) == len(stated):
            rows, cols, x, y, left, top = known
            found[abs(x)] = Grid((int(rows), int(cols)), Affine(x, 0, left, 0, y, top), crs)
    return found


def bands_of(folder: Folder, granule: Granule, numbers: Numbers, product: str, listed: Sequence[str]) -> list[BandFile]:
    """The bands of a granule: each at its own resolution, or at the finest coarser one that is there.

    What is delivered at other resolutions besides was made of it by resampling, and is left out. Bands that are listed
    and have no file are reported as missing. Masks come after them.
    """
    there: dict[str, dict[int, str]] = {}
    for file in granule.files:
        if "/IMG_DATA/" in file and (known := _image(_IMAGE, file)) is not None:
            name, size = known
            there.setdefault(name, {})[size] = file
    lost: dict[str, str] = {}
    for name in listed:
        if (known := _image(_LISTED, name)) is not None and known[0] not in there:
            lost.setdefault(known[0], name)
    order = [*SPECTRAL, *OTHERS]
    made = []
    for name in sorted({*there, *lost} & {*order}, key=order.index):
        files = there.get(name, {})
        fitting = sorted(size for size in files if size >= _own(name)) or sorted(files, reverse=True)
        missing = None if files else f"its file {lost[name]}.jp2 is missing"
        size = fitting[0] if fitting else _own(name)
        made.append(_band(name, folder.gdal(files[size]) if files else "", size, numbers, product, missing))
    return [*made, *_masks(folder, granule)]


def _image(pattern: re.Pattern[str], file: str) -> tuple[str, int] | None:
    """The band of an image and its resolution, by its name."""
    match = pattern.search(file)
    if match is None:
        return None
    name = match[1] or match[3]
    return (name, int(match[2] or match[4] or _own(name))) if name in {*SPECTRAL, *OTHERS} else None


def _own(name: str) -> int:
    return SPECTRAL[name].resolution if name in SPECTRAL else OTHERS[name]


def _band(name: str, path: str, size: int, numbers: Numbers, product: str, missing: str | None) -> BandFile:
    about: dict[str, Any] = {"nodata": numbers.nodata, "missing": missing}
    if name == "SCL":
        return BandFile(name, path, float(size), kind="classes", meanings=SCENE_CLASSES, **about)
    if name in OTHERS:
        divisor, units = (numbers.aerosol, None) if name == "AOT" else (numbers.vapour, "cm")
        scale = 1 / divisor if divisor else 1.0
        return BandFile(name, path, float(size), scale=scale, units=units if divisor else None, named=True, **about)
    band = SPECTRAL[name]
    if numbers.offsets and band.number not in numbers.offsets:
        raise InputError(
            f"{product}, whose metadata have offsets, but none for {name}", "one for each band", "download it again"
        )
    divisor = numbers.divisor or 1.0
    tags = {} if numbers.saturated is None else {"": {SATURATED_VALUE: str(numbers.saturated)}}
    return BandFile(
        name,
        path,
        float(size),
        common=band.common,
        wavelength=numbers.centres.get(band.number, band.centre) / 1000,
        width=band.width / 1000,
        scale=1 / divisor,
        offset=numbers.offsets.get(band.number, 0.0) / divisor,
        units="reflectance",
        tags=tags,
        **about,
    )


def _masks(folder: Folder, granule: Granule) -> Iterator[BandFile]:
    """Masks of quality, rasters and the detectors' polygons: they come when they are named."""
    for file in granule.files:
        if "/QI_DATA/" in file and (match := _FOOTPRINTS.search(file)) is not None and match[1] in SPECTRAL:
            own, drawn = float(_own(match[1])), partial(_footprints, folder, file)
            about: dict[str, Any] = {"kind": "classes", "meanings": DETECTORS, "named": True, "drawn": drawn}
            yield BandFile(f"MSK_DETFOO_{match[1]}", folder.gdal(file), own, **about)
        if "/QI_DATA/" not in file or (match := _MASK.search(file)) is None:
            continue
        kind, of = match.groups()
        path, name = folder.gdal(file), f"MSK_{kind}_{of}"
        if kind in ("CLDPRB", "SNWPRB"):
            yield BandFile(f"MSK_{kind}", path, float(of.removesuffix("m")), units="%", named=True)
        elif kind == "DETFOO" and of in SPECTRAL:
            yield BandFile(name, path, float(_own(of)), kind="classes", meanings=DETECTORS, named=True)
        elif kind in ("CLASSI", "QUALIT"):
            size = 60.0 if kind == "CLASSI" else float(_own(of)) if of in SPECTRAL else None
            for layer, word in enumerate(CLASSI if kind == "CLASSI" else QUALIT, 1):
                if size is not None:
                    short = f"{name.removesuffix('_B00')}_{word}".upper()
                    yield BandFile(short, path, size, layer, kind="mask", meanings={0: "no", 1: word}, named=True)


def masks_of(folder: Folder, granule: Granule) -> dict[str, tuple[Flagged | Outlined, ...]]:
    """What may be taken for no data: of Level-2A by its classes, else by the mask of clouds, whichever it has."""
    found = [(file, _image(_IMAGE, file)) for file in granule.files]
    scl = {known[1]: file for file, known in found if known is not None and known[0] == "SCL"}
    if scl:
        path = folder.gdal(scl.get(20) or next(iter(scl.values())))
        return {"clouds": (Flagged(path, CLOUDS),), "shadows": (Flagged(path, SHADOWS),)}
    for file in granule.files:
        if file.endswith("/MSK_CLASSI_B00.jp2"):
            return {"clouds": (Flagged(folder.gdal(file), (1,), bands=(1, 2)),)}
    for file in granule.files:
        if _CLOUD_POLYGONS.search(file):
            return {"clouds": (_outlined(folder, file),)}
    return {}


def _outlined(folder: Folder, file: str) -> Outlined:
    """The polygons of a mask in GML: opaque clouds and cirrus alike."""
    return Outlined(tuple(_polygons(folder, file, parsed(folder, file))))


def _footprints(folder: Folder, file: str) -> tuple[tuple[int, Outlined], ...]:
    """What each detector saw, by its number, of a mask in GML."""
    found = []
    for feature in every(parsed(folder, file), "MaskFeature"):
        name = next((value for key, value in feature.attrib.items() if key.rsplit("}", 1)[-1] == "id"), "")
        if (match := _DETECTOR.match(name)) is None or int(match[1]) not in DETECTORS:
            raise InputError(
                f"{file} of {folder.path} with the footprint {name[:40]!r}", "those of detectors", "download it again"
            )
        found.append((int(match[1]), Outlined(tuple(_polygons(folder, file, feature)))))
    return tuple(found)


def _polygons(folder: Folder, file: str, root: Element) -> Iterator[tuple[tuple[tuple[float, float], ...], ...]]:
    for polygon in every(root, "Polygon"):
        rings = []
        for ring in every(polygon, "posList"):
            try:
                step = int(ring.get("srsDimension", "2"))
                values = [float(word) for word in (ring.text or "").split()]
            except ValueError as error:
                raise InputError(
                    f"{file} of {folder.path} ({error})", "a mask of polygons", "download it again"
                ) from error
            if step not in (2, 3):
                raise InputError(f"{file} of {folder.path} in {step} dimensions", "2 or 3", "download it again")
            rings.append(tuple(zip(values[0::step], values[1::step], strict=False)))
        if whole := tuple(ring for ring in rings if len(ring) > 2):
            yield whole
