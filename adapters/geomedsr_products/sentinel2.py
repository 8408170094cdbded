"""Sentinel-2 Level-1C and Level-2A products: where one is, and what its metadata say.

Taken are a ``.SAFE`` folder, a zip of one, one of its ``MTD_*.xml``, and GDAL's names of subdatasets, such as
``SENTINEL2_L2A:/data/…/MTD_MSIL2A.xml:10m:EPSG_32618``. Reflectance = (number + offset of the band) / quantification
value, both as the metadata have them, whatever the date and the processing baseline: offsets came with baseline 04.00,
and products that were processed again have them, too.

Source: the Products Specification Document (S2-PDGS-TAS-DI-PSD), issues 14 and 15.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from geomedsr.errors import InputError
from geomedsr.scene.sensors.sentinel2 import SPECTRAL
from geomedsr_products.folders import Archive, Folder, LocalFolder, archive_at, packed, split
from geomedsr_products.metadata import Element, every, first, local, number, parsed, text
from geomedsr_products.product import Product
from geomedsr_products.sentinel2_granule import Granule, Numbers, bands_of, granule_of, grids_of, masks_of

#: The metadata of a product, by the names of the compact format and of the one before.
_PRODUCT = re.compile(r"(?:MTD_MSIL(?:1C|2A)|S2[A-Z]_\w{4}_MTD_(?:SAF|DMP)L(?:1C|2A)_\w+)\.xml$")

#: Those of a granule.
_TILE = re.compile(r"(?:MTD_TL|S2[A-Z]_\w{4}_MTD_L(?:1C|2A)_TL_\w+)\.xml$")

#: GDAL's names of what it reads; those of true-colour and preview images are left to it.
_SUBDATASET = re.compile(r'SENTINEL2_L(?:1C|2A)(?:_TILE)?:"?(?P<path>.+?)"?:(?P<size>\d+)m(?::EPSG_(?P<epsg>\d+))?$')

#: How products are called.
_NAMED = re.compile(r"S2[A-Z]_(?:MSIL(?:1C|2A)_|\w{4}_PRD_MSIL(?:1C|2A)_)", re.IGNORECASE)

_TILE_ID = re.compile(r"_T(\d{2}[A-Z]{3})(?:_|$)")
_BASELINE = re.compile(r"\d{2}\.\d{2}")


@dataclass(frozen=True)
class Address:
    """Where a product is, and what of it is asked for; ``root`` is its folder within ``folder``, a slash behind."""

    folder: Folder
    root: str
    metadata: str
    granule: str | None = None
    resolution: float | None = None
    epsg: str | None = None


def recognises(path: str) -> bool:
    """Whether a path is a Sentinel-2 product, by names alone; of archives the lists are read."""
    if path.startswith("SENTINEL2_"):
        return _SUBDATASET.match(path) is not None
    name = os.path.basename(path.rstrip("/"))
    if os.path.isdir(path):
        return name.endswith(".SAFE") or bool(_in_folder(path))
    if _PRODUCT.match(name) or _TILE.match(name) or (name == "manifest.safe" and ".SAFE" in path):
        return os.path.isfile(path) or path.startswith(("/vsizip/", "/vsitar/"))
    return packed(path, _NAMED, lambda inner: bool(_is_product(inner) or _packed(inner)))


def describe(path: str, tile: str | None = None) -> Product:
    """What the metadata of a product say; ``tile`` chooses one of several, such as ``32TQM``.

    Raises:
        InputError: there is no product, or more than one, or no such tile, or its metadata are not whole.
    """
    address = _address(path)
    folder = address.folder
    root = parsed(folder, address.metadata)
    level = text(root, "PROCESSING_LEVEL") or ""
    name = _name(path, address, root)
    granule = granule_of(folder, address.root, _chosen(path, address, root, tile))
    info, complaints = parsed(folder, granule.metadata) if granule.metadata else None, list[str]()
    if info is None:
        complaints.append(f"{name} has no MTD_TL.xml: sun angles and the time of the tile are not known")
    try:
        numbers = _numbers(root, "2A" in local(root) or "2A" in level)
        grids = grids_of(info)
        identity = _identity(root, info, name, granule, complaints)
    except ValueError as error:
        raise InputError(
            f"{name}, whose metadata hold a text where a number belongs ({error})",
            "a whole product",
            "download it again",
        ) from error
    _check_offsets(name, identity.get("PROCESSING_BASELINE"), numbers)
    bands = bands_of(folder, granule, numbers, name, _listed(root, granule))
    if missing := [band.name for band in bands if band.missing is not None and band.name in SPECTRAL]:
        complaints.append(f"{name} lists {', '.join(missing)} in its metadata, but has no files of them: left out")
    return Product(
        path=path,
        name=name,
        bands=tuple(bands),
        identity=identity,
        masks=masks_of(folder, granule),
        files=tuple(folder.gdal(each) for each in (address.metadata, granule.metadata) if each),
        grids=grids,
        resolution=address.resolution,
        complaints=tuple(complaints),
    )


def _in_folder(path: str) -> list[str]:
    """What of a product a folder holds by name: its metadata, or folders that are products."""
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    return [n for n in names if _PRODUCT.match(n) or n == "MTD_TL.xml" or (n.endswith(".SAFE") and _NAMED.match(n))]


def _is_product(inner: str) -> bool:
    return _PRODUCT.match(inner.rsplit("/", 1)[-1]) is not None


def _packed(inner: str) -> bool:
    """Whether an archive in an archive is a product by its name."""
    return inner.lower().endswith(".zip") and _NAMED.match(inner.rsplit("/", 1)[-1]) is not None


def _address(path: str) -> Address:
    """The one product of a path."""
    if match := _SUBDATASET.match(path):
        inner = _address(match["path"])
        return Address(inner.folder, inner.root, inner.metadata, inner.granule, float(match["size"]), match["epsg"])
    if os.path.isdir(path):
        return _in_root(path, LocalFolder(path))
    if (pack := archive_at(path)) is not None:
        return _in_archive(path, pack)
    folder, name = split(path)
    base = name.rsplit("/", 1)[-1]
    root = name[: len(name) - len(base)]
    if isinstance(folder, LocalFolder) and not os.path.isfile(path):
        raise InputError(f"{path}, which does not exist", "the metadata of a product", "check the path")
    if _TILE.match(base):
        return _above(path, folder, root)
    if base == "manifest.safe":
        return _in_root(path, folder) if isinstance(folder, LocalFolder) else _in_archive(path, folder)
    return Address(folder, root, name)


def _above(path: str, folder: Folder, root: str) -> Address:
    """The product of a granule, whose folder is two below its own."""
    if isinstance(folder, LocalFolder):
        granule = os.path.basename(os.path.abspath(folder.path))
        above = os.path.dirname(os.path.dirname(os.path.abspath(folder.path)))
        found = [name for name in _in_folder(above) if _PRODUCT.match(name)] if os.path.isdir(above) else []
        if len(found) == 1:
            return Address(LocalFolder(above), "", found[0], granule)
    else:
        *_, granule, _ = ["", *root.split("/")]
        base = root.removesuffix(f"GRANULE/{granule}/")
        found = [n for n in folder.names() if n.startswith(base) and "/" not in n[len(base) :] and _is_product(n)]
        if len(found) == 1:
            return Address(folder, base, found[0], granule)
    raise InputError(
        f"{path}, a granule without its product",
        "one in GRANULE/, beside the product's MTD_MSIL1C.xml or MTD_MSIL2A.xml",
        "name the product, or open the files of its bands",
    )


def _in_root(path: str, folder: LocalFolder) -> Address:
    found = _in_folder(folder.path)
    if "MTD_TL.xml" in found:
        return _above(path, folder, "")
    own = [name for name in found if _PRODUCT.match(name)]
    inner = [name for name in found if name not in own]
    if len(own) == 1:
        return Address(folder, "", own[0])
    if len(own) + len(inner) > 1:
        raise _several(path, own or inner)
    if inner:
        return _in_root(path, LocalFolder(os.path.join(folder.path, inner[0])))
    raise InputError(
        f"{path}, without MTD_MSIL1C.xml or MTD_MSIL2A.xml",
        "a whole product",
        "download it again, or open one of its files",
    )


def _in_archive(path: str, pack: Folder) -> Address:
    names = pack.names()
    own = [name for name in names if _is_product(name)]
    if len(own) == 1:
        return Address(pack, own[0][: len(own[0]) - len(own[0].rsplit("/", 1)[-1])], own[0])
    if len(own) > 1:
        raise _several(path, [name.rsplit("/", 2)[-2] if "/" in name else name for name in own])
    if inner := [name for name in names if _packed(name)]:
        raise InputError(
            f"{path}, in which {inner[0]} is packed once more", "a zip of a product", "unpack the outer one"
        )
    kind = "a zip" if isinstance(pack, Archive) and pack.path.lower().endswith(".zip") else "an archive"
    raise InputError(f"{path}, {kind} without MTD_MSIL1C.xml or MTD_MSIL2A.xml", "a whole product", "download it again")


def _several(path: str, names: Sequence[str]) -> InputError:
    shown = ", ".join(names[:3]) + (f" … {len(names)} in all" if len(names) > 3 else "")
    return InputError(f"{path}, which holds several products: {shown}", "one", "name one of them")


def _name(path: str, address: Address, root: Element) -> str:
    """The product's identifier: as its metadata have it, else as its folder or file is called."""
    stated = text(root, "PRODUCT_URI", "PRODUCT_URI_2A", "PRODUCT_URI_1C")
    inside = address.root.rstrip("/").rsplit("/", 1)[-1]
    shown = stated or inside or os.path.basename(os.path.abspath(address.folder.path)) or path
    return re.sub(r"(?:\.SAFE)?(?:\.zip)?$", "", shown, flags=re.IGNORECASE)


def _chosen(path: str, address: Address, root: Element, tile: str | None) -> str:
    """The folder of the one granule that is meant, within GRANULE/."""
    folder, base = address.folder, f"{address.root}GRANULE"
    found = sorted({name[len(base) + 1 :].split("/")[0] for name in folder.names(base)})
    if address.granule is not None:
        found = [name for name in found if name == address.granule]
    listed = [name for element in every(root, "IMAGE_FILE", "IMAGE_ID") if (name := _granule(text(element)))]
    if not found:
        which = f": {listed[0]} is missing" if listed else ""
        raise InputError(f"{path}, without a granule{which}", "a whole product", "download it again")
    if tile is not None:
        wanted = tile.upper().removeprefix("T")
        found = [name for name in found if _tile_id(name) == wanted]
        if not found:
            raise InputError(f"the tile {tile} of {path}", "one that it has", "choose one, as --series T32TQM")
    if address.epsg is not None and len(found) > 1:
        found = [name for name in found if _epsg(folder, f"{base}/{name}") == address.epsg] or found
    if len(found) > 1:
        tiles = ", ".join(filter(None, map(_tile_id, found)))
        raise InputError(
            f"{path}, which holds {len(found)} tiles: {tiles}",
            "one",
            "choose one, as --series T32TQM or series='T32TQM'",
        )
    return found[0]


def _granule(image: str | None) -> str | None:
    match = re.match(r"GRANULE/([^/]+)/", image or "")
    return match[1] if match else None


def _tile_id(name: str) -> str | None:
    match = _TILE_ID.search(name)
    return match[1] if match else None


def _epsg(folder: Folder, granule: str) -> str | None:
    found = [name for name in folder.names(granule) if _TILE.match(name.rsplit("/", 1)[-1])]
    code = text(parsed(folder, found[0]), "HORIZONTAL_CS_CODE") if found else None
    return code.rsplit(":", 1)[-1] if code else None


def _listed(root: Element, granule: Granule) -> tuple[str, ...]:
    """Images that the metadata list of a granule: the last pieces of their names, without a suffix."""
    found = (text(element) for element in every(root, "IMAGE_FILE", "IMAGE_ID", "IMAGE_ID_2A", "IMAGE_FILE_2A"))
    names = [name for name in found if name and _granule(name) in (None, granule.name)]
    tile = granule.tile
    return tuple(name.rsplit("/", 1)[-1] for name in names if tile is None or f"T{tile}" in name)


def _numbers(root: Element, surface: bool) -> Numbers:
    """What the stored numbers mean."""
    boa = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
    divisor = number(root, *(boa if surface else ("QUANTIFICATION_VALUE", "L1C_TOA_QUANTIFICATION_VALUE")))
    offsets = {
        int(element.get("band_id", "")): float(text(element) or "")
        for element in every(root, "BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET")
    }
    special = {}
    for element in every(root, "Special_Values"):
        value = number(element, "SPECIAL_VALUE_INDEX")
        if (word := text(element, "SPECIAL_VALUE_TEXT")) is not None and value is not None:
            special[word] = int(value)
    centres = {}
    for element in every(root, "Spectral_Information"):
        if (centre := number(element, "CENTRAL")) is not None and element.get("bandId", "").isdigit():
            centres[int(element.get("bandId", ""))] = centre
    return Numbers(
        surface=surface,
        divisor=divisor,
        offsets=offsets,
        nodata=special.get("NODATA"),
        saturated=special.get("SATURATED"),
        aerosol=number(root, "AOT_QUANTIFICATION_VALUE", "L2A_AOT_QUANTIFICATION_VALUE"),
        vapour=number(root, "WVP_QUANTIFICATION_VALUE", "L2A_WVP_QUANTIFICATION_VALUE"),
        centres=centres,
    )


def _check_offsets(name: str, baseline: str | None, numbers: Numbers) -> None:
    """Raise an InputError where metadata lack what they must have: nothing is taken from elsewhere."""
    tag = "BOA_ADD_OFFSET" if numbers.surface else "RADIO_ADD_OFFSET"
    if not numbers.divisor or numbers.divisor < 0:
        raise InputError(f"{name}, whose metadata have no quantification value", "a whole product", "download it again")
    if baseline is not None and float(baseline) >= 4 and not numbers.offsets:
        raise InputError(
            f"{name} of processing baseline {baseline}, whose metadata have no {tag}",
            "an offset for each band, as from 04.00 on",
            "download the product again, so that reflectances are not off by 0.1",
        )


def _identity(
    root: Element, info: Element | None, name: str, granule: Granule, complaints: list[str]
) -> dict[str, str]:
    """Which product it is; what its metadata do not tell is left out."""
    baseline = text(root, "PROCESSING_BASELINE")
    if baseline is not None and not _BASELINE.fullmatch(baseline):
        complaints.append(f"{name} has the processing baseline {baseline!r}, which is none: it is left out")
        baseline = None
    sun = None if info is None else first(info, "Mean_Sun_Angle")
    zenith, azimuth = number(sun, "ZENITH_ANGLE"), number(sun, "AZIMUTH_ANGLE")
    orbit = number(root, "SENSING_ORBIT_NUMBER")
    cloud = number(root, "Cloud_Coverage_Assessment")
    if cloud is None and info is not None:
        cloud = number(info, "CLOUDY_PIXEL_PERCENTAGE")
    level = text(root, "PROCESSING_LEVEL")
    known = {
        "PRODUCT_ID": name,
        "ACQUISITION_TIME": text(info, "SENSING_TIME")
        if info is not None and text(info, "SENSING_TIME")
        else text(root, "DATATAKE_SENSING_START", "PRODUCT_START_TIME"),
        "PLATFORM": text(root, "SPACECRAFT_NAME"),
        "INSTRUMENT": "MSI",
        "PROCESSING_LEVEL": None if level is None else level.removeprefix("Level-").removesuffix("p"),
        "PROCESSING_BASELINE": baseline,
        "TILE_ID": granule.tile,
        "RELATIVE_ORBIT": None if orbit is None else f"{orbit:g}",
        "SUN_AZIMUTH": None if azimuth is None else f"{azimuth:.10g}",
        "SUN_ELEVATION": None if zenith is None else f"{90 - zenith:.10g}",
        "CLOUD_COVER": None if cloud is None else f"{cloud:.10g}",
    }
    return {key: value for key, value in known.items() if value is not None}
