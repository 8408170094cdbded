"""Where the regions of an output gather: in the store itself, under a hidden name, whole chunks at a time."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from geomedsr.adapters import Region
from geomedsr.errors import InputError, OutputError
from geomedsr.outputs import CHUNK, Scratch, exists, reason, region_side, unwritable
from geomedsr.scene import Scene
from geomedsr.sources import Array

#: The names of the array, of the mask that some have beside it, and of the variable that holds the reference system.
IMAGE, MASK, PLACE = "image", "mask", "spatial_ref"


@dataclass(frozen=True)
class ZarrSink:
    """See :class:`geomedsr.adapters.Sink`."""

    target: Path
    scratch: Scratch
    overwrite: bool
    mask: bool
    side: int

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole chunks."""
        return self.side, self.side

    def put(self, region: Region, values: Array, valid: Array) -> None:
        """Store a region (one frame)."""
        with self._io():
            w = region.window
            place = slice(w.row, w.row + w.height), slice(w.col, w.col + w.width)
            store, version = os.fspath(self._store), os.stat(self._store / "zarr.json")
            stamp = version.st_ino, version.st_mtime_ns  # another job's store may have had this path
            if self.mask:
                _array(store, MASK, stamp)[place] = valid[0].any(0).astype(np.uint8)
            _array(store, IMAGE, stamp)[(slice(None), *place)] = values[0]
            (self.scratch.folder / f"{region.key}.done").touch()

    def done(self) -> set[str]:
        """Keys of the regions that are stored."""
        return {p.name.removesuffix(".done") for p in self.scratch.folder.glob("*.done")}

    def finish(self) -> None:
        """Move the store to its name; remove the scratch folder."""
        with self._io():
            if self.target.exists():
                if not self.overwrite:
                    raise exists(self.target)
                _check_replaceable(self.target)
                old = self.scratch.folder / "old"
                shutil.rmtree(old, ignore_errors=True)
                os.replace(self.target, old)
            os.replace(self._store, self.target)
        self.discard()

    def release(self) -> None:
        """Leave it for the same job to go on with."""
        self.scratch.release()

    def discard(self) -> None:
        """Remove the scratch folder."""
        self.scratch.discard()

    @property
    def _store(self) -> Path:
        return self.scratch.folder / "result.zarr"

    @contextmanager
    def _io(self) -> Iterator[None]:
        try:
            yield
        except (InputError, OutputError):
            raise
        except OSError as error:
            raise unwritable(self.target, reason(error)) from error


@lru_cache(maxsize=8)
def _array(store: str, name: str, stamp: tuple[int, int]) -> Any:
    return zarr.open_array(store, path=name, mode="r+")


def create_sink(scene: Scene, path: str, overwrite: bool) -> ZarrSink:
    """Check everything that can be checked before the work begins, and make the store without its chunks.

    Raises:
        OutputError: the path exists, is the source itself, or cannot be written; or the scene is no raster.
    """
    if "://" in path or path.startswith("/vsi"):
        raise OutputError(f"the output {path}", "a path on a local disk", "write there, then copy it")
    target = Path(os.path.realpath(path))
    frames = scene.shape[0]
    if scene.grid.planes or frames > 1:
        raise OutputError(
            f"a series of {frames} slice{'s' * (frames != 1)} for a Zarr store",
            "a scene that lies on a map",
            "name a folder for a DICOM series, or a volume such as result.nii.gz",
        )
    if len({str(b.nodata) for b in scene.bands}) > 1:
        raise OutputError("bands of different nodata values", "one for all in one array", "select bands")
    if any(os.path.exists(f) and os.path.realpath(f) == str(target) for f in scene.files):
        raise OutputError(f"the output {path}, which is the input itself", "another one", "choose another name")
    if target.exists():
        if not overwrite:
            raise exists(target)
        _check_replaceable(target)
    if not target.parent.is_dir():
        raise OutputError(f"the output {path}", "a folder that exists", f"make {target.parent} first")
    side = region_side(max(scene.source.block))
    mask = scene.masked and scene.bands[0].nodata is None
    scratch = Scratch.open(target, scene, {"format": "zarr", "region": str(side)})
    sink = ZarrSink(target, scratch, overwrite, mask, side)
    try:
        with sink._io():
            if not sink._store.exists():
                for mark in scratch.folder.glob("*.done"):  # of a store that was published
                    mark.unlink()
                made = scratch.folder / "new.zarr"
                _lay_out(scene, made, mask)
                os.replace(made, sink._store)
    except BaseException:
        scratch.discard()
        raise
    return sink


def _check_replaceable(target: Path) -> None:
    if not (target / "zarr.json").is_file():
        raise OutputError(
            f"the output {target}, which is no Zarr store", "a store to replace, or a new name", "choose another name"
        )


def _lay_out(scene: Scene, store: Path, mask: bool) -> None:
    """The store as xarray lays it out, without chunks."""
    _, count, height, width = scene.shape
    chunks = (1, min(CHUNK, height), min(CHUNK, width))
    image = da.zeros((count, height, width), dtype=scene.dtype, chunks=chunks)
    attrs: dict[str, Any] = {"grid_mapping": PLACE, "long_name": [b.name for b in scene.bands]}
    for key in ("units", "scale", "offset", "description", "interpretation", "kind", "role"):
        attrs[f"band_{key}"] = [getattr(b, key) for b in scene.bands]
    if any(b.tags for b in scene.bands):
        attrs["band_tags"] = [_tags(b.tags) for b in scene.bands]
    if any(b.palette for b in scene.bands):
        attrs["band_palette"] = [json.dumps(dict(b.palette)) if b.palette else None for b in scene.bands]
    if scene.bands[0].nodata is not None:
        attrs["_FillValue"] = scene.dtype.type(scene.bands[0].nodata)
    variables: dict[str, Any] = {IMAGE: (("band", "y", "x"), image, attrs)}
    if mask:
        seen = da.zeros((height, width), dtype=np.uint8, chunks=chunks[1:])
        variables[MASK] = (("y", "x"), seen, {"grid_mapping": PLACE, "long_name": "1 where there is data"})
    coordinates: dict[str, Any] = {"band": np.arange(1, count + 1), PLACE: ((), np.int64(0), _place(scene))}
    affine = scene.grid.affine
    if affine is not None and affine.b == affine.d == 0:
        standard = {"axis": "X", "long_name": "x of pixel centres"}, {"axis": "Y", "long_name": "y of pixel centres"}
        coordinates["x"] = ("x", affine.c + (np.arange(width) + 0.5) * affine.a, standard[0])
        coordinates["y"] = ("y", affine.f + (np.arange(height) + 0.5) * affine.e, standard[1])
    tags = {"tags": _tags(scene.tags), **scene.provenance}
    dataset = xr.Dataset(variables, coordinates, {"Conventions": "CF-1.10", **tags})
    encoding = {name: {"chunks": chunks[-array[1].ndim :]} for name, array in variables.items()}
    shutil.rmtree(store, ignore_errors=True)
    with warnings.catch_warnings():  # version 3 does not specify consolidated metadata, but xarray asks for it
        warnings.simplefilter("ignore")
        dataset.to_zarr(store, zarr_format=3, compute=False, encoding=encoding, consolidated=True, mode="w")


def _tags(tags: Mapping[str, Mapping[str, str]]) -> str:
    """As a text: an attribute holds no tables."""
    return json.dumps({namespace: dict(values) for namespace, values in tags.items()})


def _place(scene: Scene) -> dict[str, str]:
    """What rioxarray and GDAL look for: the reference system as WKT, the affine in GDAL's order."""
    grid = scene.grid
    attrs: dict[str, str] = {}
    if grid.crs:
        attrs.update(crs_wkt=grid.crs, spatial_ref=grid.crs)
    if grid.affine is not None:
        a = grid.affine
        attrs["GeoTransform"] = " ".join(repr(float(v)) for v in (a.c, a.a, a.b, a.f, a.d, a.e))
    if grid.gcps:
        attrs["gcps"] = json.dumps([[p.row, p.col, p.x, p.y, p.z, p.id, p.info] for p in grid.gcps])
        attrs["gcp_crs"] = grid.gcp_crs or ""
    if grid.rpcs:
        attrs["rpcs"] = json.dumps(dict(grid.rpcs))
    if grid.geolocation:
        attrs["geolocation"] = json.dumps(dict(grid.geolocation))
    if grid.epoch is not None:
        attrs["coordinate_epoch"] = repr(grid.epoch)
    return attrs
