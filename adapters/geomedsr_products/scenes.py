"""How a described product becomes scenes.

``scene_of`` gives the finest part of a :class:`~geomedsr_products.product.Product`; the others are opened when
``scene.at`` asks for them. Of each part the bands that have its resolution are opened through the core, whatever their
format: headers alone are read. They must lie on one grid, which is that of the files; the metadata's is taken where
files have none. Stored numbers are those of the files; scale, offset, units, names, no data and what classes mean are
those of the description, and become those of the scene's bands.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from affine import Affine

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.crs import crs_code, same_crs
from geomedsr.geometry.grid import Grid
from geomedsr.io import open_scene
from geomedsr.scene.areas import text_of
from geomedsr.scene.parts import Part, Parts
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Source
from geomedsr_products.drawn import DrawnSource
from geomedsr_products.joined import JoinedSource
from geomedsr_products.product import SATURATED_VALUE, BandFile, Flagged, Outlined, Product
from geomedsr_products.screens import (
    PolygonScreen,
    RasterScreen,
    SaturationScreen,
    Screen,
    ScreenedSource,
    between,
)
from geomedsr_products.tiles import TiledSource

#: The mask of pixels that have a band's saturated value, which any product may have that tells such a value.
SATURATED = "saturated"

#: Largest part of a pixel by which grids of one part may differ.
_APART = 1e-3


def scene_of(
    product: Product,
    mask: str | None = None,
    resolution: float | None = None,
    bands: Sequence[str | int] = (),
) -> Scene:
    """The finest part of a product that holds all ``bands``, or the one that its path asks for; it knows the others.

    Args:
        product: what its metadata tell.
        mask: what is to be no data, of ``product.masks``; several with commas between.
        resolution: that of the part, instead.
        bands: by name, as :meth:`geomedsr.Scene.select` takes them.

    Raises:
        InputError: no such mask, no such resolution, no band that is there, bands that lie in no one part, or that
            cannot be opened or do not lie on one grid.
    """
    kinds = _kinds(product, mask)
    missing = tuple((band.name, band.missing) for band in product.bands if band.missing is not None)
    parts = Parts(_parts(product), partial(_open, product, kinds), missing)
    for complaint in product.complaints:
        warnings.warn(complaint, SceneWarning, stacklevel=5)
    return parts.holding(bands, resolution or product.resolution)


def _parts(product: Product) -> tuple[Part, ...]:
    """What there is at each resolution, the finest first."""
    there = [band for band in product.bands if band.missing is None]
    sizes = sorted({band.resolution for band in there if not band.named})
    if not sizes:
        raise InputError(f"{product.name} without a band", "at least one", "download it again")
    of = {size: [band for band in there if band.resolution == size] for size in sizes}
    return tuple(
        Part(size, tuple(b.name for b in bands if not b.named), tuple(b.name for b in bands if b.named))
        for size, bands in of.items()
    )


def _kinds(product: Product, mask: str | None) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(word.strip().lower() for word in (mask or "").split(",") if word.strip()))
    known = [*product.masks, *([SATURATED] if any(map(_saturated, product.bands)) else [])]
    for kind in kinds:
        if kind not in known:
            listed = ", ".join(dict.fromkeys(known)) or "none: it tells of no such pixels"
            raise InputError(f"the mask {kind!r} for {product.name}", f"one that it has: {listed}", "leave it out")
    return kinds


def _saturated(band: BandFile) -> int | None:
    value = band.tags.get("", {}).get(SATURATED_VALUE)
    return None if value is None else int(value)


def _open(product: Product, kinds: tuple[str, ...], resolution: float, named: tuple[str, ...]) -> Scene:
    """The part at a resolution, with the bands that come only when they are named."""
    bands = [b for b in product.bands if b.resolution == resolution and b.missing is None]
    bands = [b for b in bands if not b.named] + [b for name in named for b in bands if b.name == name]
    filed = [band for band in bands if band.drawn is None]
    files = {band.name: _opened(product, band) for band in filed}
    grid = _grid(product, resolution, filed, list(files.values()))
    opened = [files[b.name] if b.name in files else _drawn(product, b, grid) for b in bands]
    described = tuple(_band(band, scene.bands[0]) for band, scene in zip(bands, opened, strict=True))
    members = [_member(file, band, scene) for file, band, scene in zip(bands, described, opened, strict=True)]
    source: Source = JoinedSource(tuple(members))
    if kinds:
        fills = tuple(0 if b.nodata is None else b.nodata for b in described)
        kept = tuple(fill if b.kind == "continuous" else None for fill, b in zip(fills, described, strict=True))
        source = ScreenedSource(source, tuple(_screens(product, kinds, grid, bands, members)), kept)
    scene = Scene(
        source=source,
        grid=grid,
        bands=described,
        name=product.name,
        files=tuple(dict.fromkeys([product.path, *product.files, *(file for s in opened for file in s.files)])),
        tags={"": dict(product.identity)},
    )
    return replace(scene, provenance=scene.provenance.choosing(mask=",".join(kinds))) if kinds else scene


def _drawn(product: Product, band: BandFile, grid: Grid) -> Scene:
    """A band of classes that polygons tell, on the grid of its part."""
    assert band.drawn is not None
    classes = tuple((value, _in_pixels(product, band.name, outlined, grid)) for value, outlined in band.drawn())
    source = DrawnSource(grid.shape, classes)
    path = band.path if os.path.exists(band.path) else product.path
    return Scene(source=source, grid=grid, bands=(Band(band.name),), name=band.name, files=(path,))


def _in_pixels(product: Product, name: str, outlined: Outlined, grid: Grid) -> str:
    """Polygons in pixels of a grid, as text."""
    if grid.affine is None:
        raise InputError(f"{product.name}, which has no georeference, with the mask {name}", "one", "leave it out")
    back = ~grid.affine
    return text_of([[np.array([back @ point for point in ring]) for ring in rings] for rings in outlined.polygons])


def _opened(product: Product, band: BandFile) -> Scene:
    """A band's file, that band alone."""
    try:
        scene = open_scene(band.path)
        return scene if len(scene.bands) == 1 else scene.select([band.band])
    except InputError as error:
        file = band.path.rsplit("/", 1)[-1]
        raise InputError(
            f"{product.name}, whose band {band.name} cannot be opened: {error.got}",
            f"a whole {file}",
            f"download it again, or leave {band.name} out by removing its file",
        ) from error


def _grid(product: Product, resolution: float, bands: Sequence[BandFile], opened: Sequence[Scene]) -> Grid:
    """The one grid on which all of them lie."""
    grids = [scene.grid for scene in opened]
    if (stated := product.grids.get(resolution)) is not None:
        bare = [grid.affine is None and grid.shape == stated.shape for grid in grids]
        grids = [stated if nothing else grid for nothing, grid in zip(bare, grids, strict=True)]
    for band, grid in zip(bands, grids, strict=True):
        if not _same(grids[0], grid):
            places = [f"{b.name} of {_words(g)}" for b, g in ((bands[0], grids[0]), (band, grid))]
            raise InputError(
                f"{product.name}, whose bands at {resolution:g} lie on different grids: {' and '.join(places)}",
                "one grid for all bands of a resolution",
                "cut all of them alike, or choose --bands of one file by its own name",
            )
    return grids[0]


def _same(one: Grid, other: Grid) -> bool:
    if one.shape != other.shape or (one.affine is None) != (other.affine is None) or not same_crs(one.crs, other.crs):
        return False
    if one.affine is None or other.affine is None:
        return True
    moved = ~one.affine @ other.affine
    height, width = one.shape
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    return all(np.allclose(moved @ corner, corner, rtol=0, atol=_APART) for corner in corners)


def _words(grid: Grid) -> str:
    place = "" if grid.affine is None else f" from {grid.affine.c:.10g}, {grid.affine.f:.10g}"
    code = crs_code(grid.crs)
    return f"{grid.shape[1]} × {grid.shape[0]} pixels{place}" + (f" in {code[0]}:{code[1]}" if code else "")


def _band(described: BandFile, own: Band) -> Band:
    """What the description says of a band, and of the rest its file."""
    tags = {namespace: dict(of) for namespace, of in described.tags.items()}
    if described.wavelength is not None:  # as GDAL has them, from 3.10 on
        known = {"CENTRAL_WAVELENGTH_UM": described.wavelength, "FWHM_UM": described.width}
        tags["IMAGERY"] = {key: f"{value:g}" for key, value in known.items() if value is not None}
    if described.meanings:  # as the CF conventions have them, section 3.5
        key = "flag_masks" if described.kind == "flags" else "flag_values"
        tags.setdefault("", {})[key] = ",".join(map(str, described.meanings))
        tags[""]["flag_meanings"] = " ".join(described.meanings.values())
    return Band(
        name=described.name,
        kind="continuous" if described.kind == "continuous" else "nearest",
        nodata=own.nodata if described.nodata is None else described.nodata,
        scale=own.scale if described.scale is None else described.scale,
        offset=own.offset if described.offset is None else described.offset,
        units=own.units if described.scale is None and described.units is None else described.units,
        description=described.name,
        limits=own.limits,
        tags=tags,
        role=described.common,
    )


def _member(file: BandFile, band: Band, scene: Scene) -> Source:
    """What a band is read from."""
    same = band.nodata is None or band.nodata == scene.bands[0].nodata
    source = scene.source if same else scene.with_nodata(band.nodata).source
    return TiledSource(source, (band.nodata,)) if file.path.lower().endswith(".jp2") else source


def _screens(
    product: Product, kinds: Sequence[str], grid: Grid, bands: Sequence[BandFile], members: Sequence[Source]
) -> list[Screen]:
    """What flags the pixels of a grid."""
    found: list[Screen] = []
    for kind in kinds:
        found += [_screen(product, kind, mask, grid) for mask in product.masks.get(kind, ())]
        if kind == SATURATED:
            pairs = ((_saturated(band), member) for band, member in zip(bands, members, strict=True))
            found += [SaturationScreen(member, value) for value, member in pairs if value is not None]
    return found


def _screen(product: Product, kind: str, mask: Flagged | Outlined, grid: Grid) -> Screen:
    if isinstance(mask, Outlined):
        return PolygonScreen(_in_pixels(product, kind, mask, grid))
    if grid.affine is None:
        raise InputError(f"{product.name}, which has no georeference, with the mask {kind}", "one", "leave it out")
    try:
        raster = open_scene(mask.path)
    except InputError as error:
        raise InputError(
            f"{product.name}, whose mask of {kind} cannot be opened: {error.got}",
            f"a whole {mask.path.rsplit('/', 1)[-1]}",
            "download it again, or leave the mask out",
        ) from error
    own = raster.grid.affine
    own = _placed_like(product, raster.grid) if own is None else own
    place = None if own is None else between(grid.affine, own)
    if place is None:
        raise InputError(
            f"{product.name}, whose mask of {kind} lies on no grid beside its bands", "one that does", "leave it out"
        )
    return RasterScreen(raster.select(mask.bands).source, place, mask.values, mask.bits)


def _placed_like(product: Product, grid: Grid) -> Affine | None:
    """The affine that the metadata give to files of a size, where the file itself has none."""
    return next((stated.affine for stated in product.grids.values() if stated.shape == grid.shape), None)
