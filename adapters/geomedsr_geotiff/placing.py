"""A raster's georeferencing: reading it with GDAL, and writing it without loss.

GeoTIFF cannot hold some coordinate systems, ground control points together with an affine, and parts that a version of
GDAL loses. These go into the sidecar file ``.aux.xml`` that GDAL reads; a trial with a small file finds them.
"""

from __future__ import annotations

import math
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree

import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import MemoryFile

from geomedsr.addresses import file_name, public
from geomedsr.errors import OutputError, SceneWarning
from geomedsr.geometry.crs import crs_name, same_crs
from geomedsr.geometry.grid import ControlPoint, Grid
from geomedsr_geotiff.handles import gdal, one_line, unplaced
from geomedsr_geotiff.native import Limited, Native, opened

#: The suffix of GDAL's sidecar file.
BESIDE = ".aux.xml"

#: The tag that tells whether coordinates refer to a pixel's centre ("Point").
AREA_OR_POINT = "AREA_OR_POINT"

#: Side of the trial raster, in pixels.
_SIDE = 16

_RPC_NEEDED = {"LINE_OFF", "SAMP_OFF", "LINE_SCALE", "SAMP_SCALE"}

#: The items that GDAL requires in its GEOLOCATION domain.
_SWATH_NEEDED = {"X_DATASET", "Y_DATASET", "PIXEL_OFFSET", "LINE_OFFSET", "PIXEL_STEP", "LINE_STEP"}


def grid_of(dataset: Any, native: Native | Limited, path: str) -> Grid:
    """The grid of an open data set; warns about RPCs and geolocation arrays that cannot be used."""
    points, gcp_crs = dataset.gcps
    affine: Affine | None = native.affine
    if affine == Affine.identity() and (points or dataset.crs is None):
        affine = None
    return Grid(
        shape=dataset.shape,
        affine=affine,
        crs=dataset.crs.to_wkt() if dataset.crs else None,
        gcps=tuple(ControlPoint(p.row, p.col, p.x, p.y, p.z or 0.0, str(p.id or ""), p.info or "") for p in points),
        gcp_crs=gcp_crs.to_wkt() if points and gcp_crs else None,  # JPEG 2000's driver always states one
        rpcs=_rpcs(path, native.tags(domain="RPC")),
        epoch=native.epoch,
        geolocation=_geolocation(path, native.tags(domain="GEOLOCATION")),
    )


def _rpcs(path: str, tags: Mapping[str, str]) -> dict[str, str] | None:
    """The RPC fields; units from a `_rpc.txt` (`+0010.00 pixels`) are dropped."""
    single = {k: v.split()[0] for k, v in tags.items() if k.endswith(("_OFF", "_SCALE")) and v.split()}
    if not single.keys() >= _RPC_NEEDED:
        return None
    fields = {**tags, **single}
    checked = {key for key in fields if key in single or "_COEFF" in key}
    return fields if _usable(path, "its RPCs", fields, checked) else None


def _geolocation(path: str, tags: Mapping[str, str]) -> dict[str, str] | None:
    """The names of a swath's geolocation arrays, and the pixels that they are for."""
    if not tags.keys() >= _SWATH_NEEDED:
        return None
    numbers = _SWATH_NEEDED - {"X_DATASET", "Y_DATASET"}
    return dict(tags) if _usable(path, "its geolocation arrays", tags, numbers) else None


def _usable(path: str, what: str, fields: Mapping[str, str], numbers: set[str]) -> bool:
    """Whether the fields that must be numbers are; warns about one that is not."""
    wrong = [key for key in fields if key in numbers and not _numbers(fields[key])]
    if wrong:
        value = f"{wrong[0]} is {fields[wrong[0]][:40]!r}, which is no number"
        message = f"{file_name(path)}: {what} are left out, since {value}"
        warnings.warn(message, SceneWarning, stacklevel=2)
    return not wrong


def _numbers(text: str) -> bool:
    """Whether a text consists of finite numbers separated by blanks."""
    try:
        return bool(text.split()) and all(math.isfinite(float(part)) for part in text.split())
    except ValueError:
        return False


def describe(dataset: Any, grid: Grid) -> None:
    """Write the parts of a grid that rasterio supports into an open data set."""
    if grid.affine is not None:
        dataset.transform = Affine(*grid.affine[:6])
    if (crs := _crs_of(grid)) is not None:
        dataset.crs = CRS.from_user_input(crs)
    if grid.rpcs is not None:
        dataset.update_tags(ns="RPC", **grid.rpcs)


def has_room_for_point(grid: Grid) -> bool:
    """Whether GeoTIFF can hold the tag ``AREA_OR_POINT``; otherwise GDAL would invent a CRS to hold it."""
    return bool(grid.gcps) or (grid.affine is not None and grid.crs is not None)


def beside(grid: Grid, point: bool) -> bytes | None:
    """The remaining parts of a grid, and parts that belong to them, as a sidecar file of GDAL; None if there are none.

    ``point`` tells whether the tag ``AREA_OR_POINT`` is "Point".
    """
    root = ElementTree.Element("PAMDataset")
    if (crs := _crs_of(grid)) is not None:
        ElementTree.SubElement(root, "SRS", _epoch(grid)).text = crs
    if point and (grid.gcp_crs if grid.gcps else grid.affine is not None):  # GDAL would shift GCPs without a CRS
        ElementTree.SubElement(ElementTree.SubElement(root, "Metadata"), "MDI", key=AREA_OR_POINT).text = "Point"
    if grid.gcps:
        projection = {"Projection": grid.gcp_crs} if grid.gcp_crs else {}
        points = ElementTree.SubElement(root, "GCPList", {**projection, **_epoch(grid)})
        for one in grid.gcps:
            texts = {"Id": one.id, "Info": one.info} if one.info else {"Id": one.id}
            places = {"Pixel": one.col, "Line": one.row, "X": one.x, "Y": one.y, "Z": one.z}
            ElementTree.SubElement(points, "GCP", {**texts, **{key: repr(float(v)) for key, v in places.items()}})
    return ElementTree.tostring(root, encoding="UTF-8") if len(root) else None


def _epoch(grid: Grid) -> dict[str, str]:
    return {} if grid.epoch is None else {"coordinateEpoch": repr(grid.epoch)}


def needs_copy(grid: Grid) -> bool:
    """Whether a file can only hold all of a grid if it is copied from a file with a sidecar file."""
    return grid.epoch is not None or bool(grid.gcps)


def copy(plain: MemoryFile, made: MemoryFile, grid: Grid, point: bool, **options: Any) -> None:
    """Copy a file in memory, together with the parts of its grid that rasterio does not write."""
    place = PurePosixPath(plain.name)
    text = beside(grid, point)
    if text is None or (options["driver"] in ("COG", "GTiff") and not needs_copy(grid)):
        rasterio.shutil.copy(plain.name, made.name, **options)
        return
    with MemoryFile(text, dirname=place.parent.name, filename=place.name + BESIDE):
        rasterio.shutil.copy(plain.name, made.name, **options)


def settle(grid: Grid, driver: str, point: bool, target: str) -> tuple[Grid, bool]:
    """The grid that a driver's file can hold, and whether a part of it needs a sidecar file; warns about both.

    ``point`` tells whether the tag ``AREA_OR_POINT`` is "Point".

    Raises:
        OutputError: PROJ does not know the CRS, or the grid cannot be stored even with a sidecar file.
    """
    if grid.affine is not None and grid.gcps:
        _tell(f"{target} keeps the affine, not the {len(grid.gcps)} ground control points beside it")
        grid = replace(grid, gcps=(), gcp_crs=None)
    if grid.gcps and grid.epoch is not None:
        _tell(f"{target} cannot keep the coordinate epoch {grid.epoch:g} of ground control points")
        grid = replace(grid, epoch=None)
    if grid.geolocation is not None:
        arrays = public(grid.geolocation["X_DATASET"])
        _tell(f"{target} refers to the geolocation arrays in {arrays}: keep that file where it is")
    try:
        alone, together = _lost(replace(grid, shape=(_SIDE, _SIDE)), driver, point)
    except (CRSError, RasterioError, CPLE_BaseError) as error:
        raise OutputError(
            f"georeferencing that cannot be written ({one_line(error)})",
            "one that GDAL and PROJ understand",
            "correct the CRS, for example with `gdal_edit.py -a_srs`",
        ) from error
    if together:
        crs = crs_name(grid.crs or grid.gcp_crs) or "none"
        raise OutputError(
            f"georeferencing whose {' and '.join(together)} {target} cannot hold (CRS {crs})",
            "one that GDAL's files hold",
            "give the scene another CRS with `gdalwarp -t_srs`, or write a .zarr",
        )
    if alone:
        crs = crs_name(grid.crs or grid.gcp_crs) or "none"
        what = " and ".join(alone)
        _tell(f"GeoTIFF cannot hold its {what} (CRS {crs}); {target}{BESIDE} does: keep that beside {target}")
    return grid, bool(alone)


def _tell(text: str) -> None:
    warnings.warn(text, SceneWarning, stacklevel=3)


def _lost(grid: Grid, driver: str, point: bool) -> tuple[list[str], list[str]]:
    """The parts of a grid that a small trial file loses: by itself, and with a sidecar file."""
    if grid.affine is None and not grid.gcps:
        return [], []
    suffix = {"PNG": ".png", "JPEG": ".jpg"}.get(driver, ".tif")
    with gdal(), unplaced(), MemoryFile(ext=".tif") as plain, MemoryFile(ext=suffix) as made:
        with plain.open(driver="GTiff", count=1, height=_SIDE, width=_SIDE, dtype="uint8") as dataset:
            describe(dataset, grid)
            if has_room_for_point(grid):
                dataset.update_tags(**{AREA_OR_POINT: "Point" if point else "Area"})
        copy(plain, made, grid, point, driver=driver)
        if suffix != ".tif":
            return [], _differences(grid, point, made.name)
        whole = bytes(made.getbuffer())
    with gdal(), unplaced(), _together(whole, None) as name:
        alone = _differences(grid, point, name)
    with gdal(), unplaced(), _together(whole, beside(grid, point)) as name:
        return alone, _differences(grid, point, name) if alone else []


@contextmanager
def _together(data: bytes, text: bytes | None) -> Iterator[str]:
    """A TIFF in memory with its sidecar file."""
    folder = uuid.uuid4().hex
    with MemoryFile(data, dirname=folder, filename="trial.tif") as file:
        if text is None:
            yield file.name
        else:
            with MemoryFile(text, dirname=folder, filename=f"trial.tif{BESIDE}"):
                yield file.name


def _differences(wanted: Grid, point: bool, name: str) -> list[str]:
    """In words, the parts of a grid in which a file differs from the wanted one."""
    with rasterio.open(name) as dataset, opened(name, dataset) as native:
        found, tag = grid_of(dataset, native, name), native.tags().get(AREA_OR_POINT)
    checks = {
        "affine": _close(wanted.affine, found.affine),
        "CRS": same_crs(_crs_of(wanted), _crs_of(found)),
        "GCPs": _close(_places(wanted), _places(found)) and same_crs(wanted.gcp_crs, found.gcp_crs),
        "RPCs": (wanted.rpcs is None) == (found.rpcs is None),
        "coordinate epoch": wanted.epoch == found.epoch,
        AREA_OR_POINT: wanted.affine is None or point == (tag == "Point"),
    }
    return [what for what, kept in checks.items() if not kept]


def _crs_of(grid: Grid) -> str | None:
    """The CRS of the affine; for a file with GCPs, their CRS."""
    return grid.crs if grid.affine is not None or not grid.gcps else None


def _places(grid: Grid) -> list[float]:
    return [number for p in grid.gcps for number in (p.row, p.col, p.x, p.y, p.z)]


def _close(wanted: Iterable[float] | None, found: Iterable[float] | None) -> bool:
    """Whether numbers agree within the precision of their texts in a file."""
    ones, others = list(wanted or ()), list(found or ())
    return len(ones) == len(others) and all(map(partial(math.isclose, rel_tol=1e-9, abs_tol=1e-9), ones, others))
