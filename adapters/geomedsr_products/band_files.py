"""A folder with one raster file for each band, and no metadata of a product.

A band's name is what differs between the files' names: ``scene_B02.tif`` beside ``scene_B03.tif`` is ``B02``. Scale,
offset, units and no data are each file's own, and so is where it lies.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence

from geomedsr.errors import InputError
from geomedsr.io import open_scene
from geomedsr.io.stac import COMMON_NAMES
from geomedsr.scene import classes
from geomedsr.scene.scene import Scene
from geomedsr_products.product import BandFile, Product

_RASTERS = (".tif", ".tiff", ".jp2")

#: How bands are called, beside STAC's common names.
_BAND = re.compile(r"(?:(?:sr|st|toa|boa)_)?b\d{1,3}a?", re.IGNORECASE)

#: What may lie beside them.
_BESIDE = (
    ".aux.xml",
    ".ovr",
    ".msk",
    ".tfw",
    ".txt",
    ".md",
    ".json",
    ".geojson",
    ".xml",
    ".png",
    ".jpg",
    ".pdf",
    ".csv",
)


def recognises(path: str) -> bool:
    """Whether a folder holds several rasters that are called like bands, and no other data."""
    if not os.path.isdir(path) or len(files := _in_folder(path)) < 2:
        return False
    return sum(_BAND.fullmatch(name) is not None or name.lower() in COMMON_NAMES for name in names_of(files)) > 1


def describe(path: str, tile: str | None = None) -> Product:
    """What the names and headers of the files state; there is but one ``tile``.

    Raises:
        InputError: a file that cannot be opened, or holds several bands, or lies in another coordinate system.
    """
    if tile is not None:
        raise InputError(f"--series {tile} for the folder {path}", "a product of tiles", "leave it out")
    files = _in_folder(path)
    name = os.path.basename(os.path.abspath(path))
    bands, systems = [], {}
    for file, short in zip(files, names_of(files), strict=True):
        scene = open_scene(os.path.join(path, file))
        if len(scene.bands) != 1:
            raise InputError(
                f"the folder {path}, whose {file} holds {len(scene.bands)} bands",
                "files of one band each, or the metadata of a product",
                f"open {file} by itself",
            )
        systems[scene.grid.crs] = file
        bands.append(_band(short, os.path.join(path, file), scene))
    if len(systems) > 1:
        shown = " and ".join(list(systems.values())[:2])
        raise InputError(
            f"the folder {path}, whose {shown} lie in different coordinate systems", "one", "open them one by one"
        )
    return Product(path=path, name=name, bands=tuple(bands), identity={"PRODUCT_ID": name})


def _in_folder(path: str) -> list[str]:
    """The rasters of a folder; none, where it holds other data, too."""
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError:
        return []
    rasters = [name for name in names if name.lower().endswith(_RASTERS)]
    known = len(rasters) + sum(name.lower().endswith(_BESIDE) for name in names)
    return rasters if known == len(names) else []


def names_of(files: Sequence[str]) -> list[str]:
    """What differs between names of files, without their suffixes: pieces between ``_``, ``-``, ``.`` and spaces."""
    stems = [os.path.splitext(name)[0] for name in files]
    pieces = [re.split(r"[_\-. ]", stem) for stem in stems]
    lead = _alike(pieces)
    tail = _alike([part[::-1] for part in pieces], min(len(part) - lead for part in pieces) - 1)
    short = ["_".join(part[lead : len(part) - tail]) for part in pieces]
    bare = [re.sub(r"_\d+m$", "", name) for name in short]  # the resolution, which the files have themselves
    return next((found for found in (bare, short) if len(set(found)) == len(found) and all(found)), stems)


def _alike(pieces: Sequence[Sequence[str]], most: int | None = None) -> int:
    """How many pieces all begin with; fewer than the shortest has."""
    limit = min(map(len, pieces)) - 1 if most is None else most
    count = 0
    while count < limit and len({part[count] for part in pieces}) == 1:
        count += 1
    return count


def _band(name: str, path: str, scene: Scene) -> BandFile:
    own, affine = scene.bands[0], scene.grid.affine
    size = 1.0 if affine is None else max(math.hypot(affine.a, affine.d), math.hypot(affine.b, affine.e))
    nearest = own.kind == "nearest" or classes.by_band(name, {})
    return BandFile(
        name=name,
        path=path,
        resolution=round(size, 9),
        kind="classes" if nearest else "continuous",
        common=own.role,
        scale=None,
        offset=None,
        units=own.units,
        tags=own.tags,
        named=nearest,
    )
