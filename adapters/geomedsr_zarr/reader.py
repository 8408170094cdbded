"""A Zarr store as a scene: stores written by geomedsr, and others with coordinates, a CF grid mapping or GeoZarr's
attributes. Several arrays with the same shape and type are bands.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import xarray as xr
import zarr

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry.grid import ControlPoint, Grid
from geomedsr.labelled.axes import Axes, named, spatial
from geomedsr.labelled.place import grid_of, mapping_of
from geomedsr.labelled.scenes import frames_of
from geomedsr.labelled.values import bands_of, numbers
from geomedsr.scene.bands import listed
from geomedsr.scene.provenance import PREFIX, Provenance, picked
from geomedsr.scene.scene import Band, Scene
from geomedsr_zarr.groups import located, marker
from geomedsr_zarr.layout import MASK, ORDER, SEEN
from geomedsr_zarr.source import ZarrSource

#: Attributes of a group that also apply to its arrays, as in GeoZarr.
_INHERITED = ("proj:", "spatial:", "grid_mapping", "crs")

#: The most arrays that a message names.
_NAMED = 8


def open_store(path: str) -> Scene:
    """The scene in a store, a group, or a single array; only headers and coordinates are read.

    Raises:
        InputError: no array is a raster, several groups hold rasters, or coordinates are not a regular grid.
    """
    folder, chosen = located(path)
    header = marker(folder)
    assert header is not None
    version = os.stat(header).st_mtime_ns
    dataset = _dataset(folder)
    mask = MASK if MASK in dataset.data_vars and dataset[MASK].attrs.get("long_name") == SEEN else None
    arrays = _chosen(path, dataset, chosen, mask)
    first = arrays[0]
    axes = named(first)
    attrs = first.attrs
    own = [_named(array, axes) for array in arrays]
    records = [_records(array.attrs, numbers(array, axes.band)) for array in arrays]
    bands = [
        _band(band, said) for found, of in zip(own, records, strict=True) for band, said in zip(found, of, strict=True)
    ]
    at = [None if axis is None else first.dims.index(axis) for axis in (axes.frame, axes.band, axes.y, axes.x)]
    chunks = zarr.open_array(os.path.join(folder, str(first.name)), mode="r").chunks
    rows, columns = first.dims.index(axes.y), first.dims.index(axes.x)
    source = ZarrSource(
        path=folder,
        version=version,
        names=tuple(str(array.name) for array in arrays),
        axes=(at[0], at[1], rows, columns),
        shape=(
            1 if axes.frame is None else first.sizes[axes.frame],
            len(bands),
            first.sizes[axes.y],
            first.sizes[axes.x],
        ),
        kind=str(first.dtype),
        chunk=(max(1, int(chunks[rows])), max(1, int(chunks[columns]))),
        picks=tuple((i, band) for i, found in enumerate(own) for band in range(len(found))),
        nodata=tuple(band.nodata for band in bands),
        mask=mask,
    )
    tags = _tags(dataset.attrs.get("tags"))
    tags.setdefault("", {}).update(_provenance(dataset.attrs, attrs, numbers(first, axes.band)))
    return Scene(
        source=source,
        grid=_grid(first, axes),
        bands=tuple(bands),
        name=os.path.basename(path.rstrip("/")),
        files=(path, header),
        tags={ns: values for ns, values in tags.items() if values},
        frames=frames_of(first, axes),
    )


def _dataset(folder: str) -> xr.Dataset:
    """The group as xarray reads it, with stored values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failure: Exception | None = None
        for times in (True, False):  # times in an unknown unit stay numbers
            try:
                found: xr.Dataset = xr.open_zarr(
                    folder, mask_and_scale=False, chunks=None, decode_coords="all", decode_times=times
                )
                return found
            except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
                failure = failure or error
    raise InputError(f"{folder} ({' '.join(str(failure).split())[:120]})", "a Zarr store", "check it") from failure


def _chosen(path: str, dataset: xr.Dataset, name: str | None, mask: str | None) -> list[xr.DataArray]:
    """The arrays that become bands: all with the most common shape and type; a warning names the others."""
    group = {key: value for key, value in dataset.attrs.items() if str(key).startswith(_INHERITED)}
    if name is not None and name not in dataset.variables:
        raise InputError(f"the array {path}", "one that xarray opens", "check it")
    names = [name] if name is not None else [n for n in _ordered(dataset) if n != mask]
    kinds: dict[Any, list[xr.DataArray]] = {}
    for key in names:
        array = dataset[key]
        array = array.assign_attrs({**group, **array.attrs})
        if spatial(array) is None or array.ndim > 4 or array.dtype.kind not in "iuf":
            continue
        kinds.setdefault((array.dims, array.shape, array.dtype), []).append(array)
    if name is not None and not kinds:
        array = dataset[name]
        raise InputError(
            f"{path} of axes {', '.join(map(str, array.dims))} and type {array.dtype}",
            "rows and columns known by their names, of real integers or floats",
            "rename or convert it",
        )
    if not kinds:
        raise InputError(
            f"the Zarr store {path}",
            "an array with axes such as (band, y, x), (time, y, x) or (lat, lon)",
            "name another, or rename its axes",
        )
    most = max(map(len, kinds.values()))
    largest = [arrays for arrays in kinds.values() if len(arrays) == most]
    if len(largest) > 1:
        found = [_kind(array) for arrays in kinds.values() for array in arrays]
        raise InputError(
            f"{path} with arrays of several shapes or types: {_listed(found)}",
            "arrays of one kind, which are bands of one scene",
            f"name one, as in {os.path.join(path.rstrip('/'), str(largest[0][0].name))}",
        )
    left = [_kind(array) for arrays in kinds.values() for array in arrays if arrays is not largest[0]]
    if left:
        bands = ", ".join(str(array.name) for array in largest[0][:_NAMED])
        warnings.warn(
            f"{path}: {bands} are bands of one scene; left out, being of another shape or type: {_listed(left)} "
            f"(open {os.path.join(path.rstrip('/'), left[0].split(' ')[0])} for it)",
            SceneWarning,
            stacklevel=3,
        )
    if most > 1 and named(largest[0][0]).band is not None:
        raise InputError(
            f"{path} with several arrays of bands: {_listed([_kind(array) for array in largest[0]])}",
            "one",
            f"name one, as in {os.path.join(path.rstrip('/'), str(largest[0][0].name))}",
        )
    return largest[0]


def _ordered(dataset: xr.Dataset) -> list[str]:
    """The names of the arrays as geomedsr listed them, else sorted, numbers by value; folders have no order."""
    names, ours = [str(name) for name in dataset.data_vars], dataset.attrs.get(ORDER)
    listed_first = {name: i for i, name in enumerate(ours)} if isinstance(ours, list) else {}

    def key(name: str) -> tuple[int, list[tuple[int, str]]]:
        parts = re.findall(r"\d+|\D+", name)
        return listed_first.get(name, len(listed_first)), [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]

    return sorted(names, key=key)


def _kind(array: xr.DataArray) -> str:
    return f"{array.name} ({', '.join(map(str, array.dims))}: {' × '.join(map(str, array.shape))}, {array.dtype})"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _tags(text: Any) -> dict[str, dict[str, str]]:
    """geomedsr's tags by namespace; other software may use this attribute for something else."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    ours = isinstance(found, dict) and all(isinstance(values, dict) for values in found.values())
    return found if ours else {}


def _palette(text: Any) -> dict[int, tuple[int, ...]] | None:
    """The colours of stored values; None if there are none, or other software wrote the attribute."""
    try:
        return {int(value): tuple(map(int, colour)) for value, colour in json.loads(text).items()}
    except (TypeError, ValueError, AttributeError, RecursionError):
        return None


def _named(array: xr.DataArray, axes: Axes) -> list[Band]:
    """The bands in an array's attributes; bands that only have a number, such as a wavelength, are counted from 1."""
    found, of = bands_of(array, axes), numbers(array, axes.band)
    return [
        replace(band, name=str(i)) if not isinstance(number, str) and band.name == str(number) else band
        for i, (band, number) in enumerate(zip(found, of, strict=True), 1)
    ]


def _records(attrs: Mapping[str, Any], of: Sequence[Any]) -> list[dict[str, Any]]:
    """The entries of each band in attributes that are lists with one entry for each band."""
    found: list[dict[str, Any]] = [{} for _ in of]
    for key, values in attrs.items():
        entries = listed(of, len(values)) if isinstance(values, (list, tuple)) else None
        for band, entry in zip(found, entries or (), strict=False):
            if values[entry] is not None:
                band[key] = values[entry]
    return found


def _provenance(attributes: Mapping[Any, Any], attrs: Mapping[str, Any], of: Sequence[Any]) -> dict[str, str]:
    """The provenance that geomedsr wrote with the store, for those of its bands that are still present."""
    ours = {str(key): str(value) for key, value in attributes.items() if str(key).startswith(PREFIX)}
    names = attrs.get("long_name")
    entries = listed(of, len(names)) if isinstance(names, (list, tuple)) else None
    if not ours or not names or entries is None or list(entries) == list(range(len(names))):
        return ours
    return dict(picked(Provenance.of(ours), [str(name) for name in names], entries))


def _band(band: Band, fields: Mapping[str, Any]) -> Band:
    """A band from its array's attributes, with its entries in geomedsr's own lists."""
    return replace(
        band,
        name=str(fields.get("band_name", band.name)),
        nodata=float("nan") if fields.get("band_nodata") == "nan" else band.nodata,
        scale=float(fields.get("band_scale", band.scale)),
        offset=float(fields.get("band_offset", band.offset)),
        units=fields.get("band_units", band.units),
        description=fields.get("band_description", None if "band_kind" in fields else band.description),
        interpretation=fields.get("band_interpretation", "undefined"),
        palette=_palette(fields.get("band_palette")),
        tags=_tags(fields.get("band_tags")),
    )


def _grid(array: xr.DataArray, axes: Axes) -> Grid:
    grid, where = grid_of(array, axes), mapping_of(array)
    try:
        points = tuple(ControlPoint(*point) for point in json.loads(where.get("gcps", "[]")))
        rpcs, places = (json.loads(where[key]) if key in where else None for key in ("rpcs", "geolocation"))
        epoch = float(where["coordinate_epoch"]) if "coordinate_epoch" in where else None
    except (TypeError, ValueError, RecursionError):  # other software uses these names for something else
        return grid
    gcp_crs = where.get("gcp_crs") or None
    return replace(grid, gcps=points, gcp_crs=gcp_crs, rpcs=rpcs, epoch=epoch, geolocation=places)
