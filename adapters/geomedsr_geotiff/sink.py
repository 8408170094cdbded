"""Where the regions of an output raster gather, and how they become one finished file.

Each region is a file of its own in a hidden folder beside the destination: written under another name,
then renamed, so it is there whole or not at all. At the end they are assembled into one GeoTIFF, which
GDAL's COG driver turns into the result; that is checked and renamed to the destination.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from geomedsr.adapters import Region
from geomedsr.errors import InputError, OutputError
from geomedsr.grid import Grid
from geomedsr.outputs import exists, file_target, publish, scratch_folder, unwritable
from geomedsr.scene import Band, Scene
from geomedsr.sources import Array
from geomedsr_geotiff import namespaces
from geomedsr_geotiff.handles import gdal, one_line, unplaced

#: GDAL driver by suffix.
FORMATS = {".tif": "COG", ".tiff": "COG", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

#: What the image formats hold: types, and band counts.
_IMAGES = {"PNG": ({"uint8", "uint16"}, {1, 2, 3, 4}), "JPEG": ({"uint8"}, {1, 3})}

_OPTIONS: dict[str, dict[str, Any]] = {
    "COG": {
        "COMPRESS": "ZSTD",
        "LEVEL": 1,
        "PREDICTOR": "YES",
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": "ALL_CPUS",
        "BLOCKSIZE": 512,
    },
    "PNG": {"WRITE_METADATA_AS_TEXT": "YES"},
    "JPEG": {"QUALITY": 95},
}

#: Files GDAL keeps beside a raster; those of a file that is replaced describe the old one.
_SIDECARS = (".aux.xml", ".ovr", ".msk")


@dataclass(frozen=True)
class RasterSink:
    """See :class:`geomedsr.adapters.Sink`. ``scratch`` is the hidden folder, ``target`` the final path."""

    target: Path
    scratch: Path
    driver: str
    overwrite: bool
    shape: tuple[int, int, int]
    dtype: str
    grid: Grid
    bands: tuple[Band, ...]
    mask: bool
    tags: Mapping[str, Mapping[str, str]]

    def put(self, region: Region, values: Array, valid: Array) -> None:
        """Store a region (one frame)."""
        with self._io():
            if self.mask:
                plane = valid[0].any(0)
                if (plane & ~valid[0] & np.isfinite(values[0])).any():  # NaN tells by itself
                    raise InputError(
                        f"bands whose masks differ near column {region.window.col}, row {region.window.row}",
                        "one mask for all bands, as GeoTIFF has it",
                        "upscale them one by one with --bands, or give the file a nodata value",
                    )
                self._save(f"{region.key}.mask.npy", np.packbits(plane))
            self._save(f"{region.key}.npy", values[0])

    def done(self) -> set[str]:
        """Keys of the regions that are stored."""
        names = {p.name for p in self.scratch.iterdir()}
        return {n.removesuffix(".npy") for n in names if n.endswith(".npy") and not n.endswith(".mask.npy")}

    def finish(self) -> None:
        """Assemble, convert, check, rename; remove the scratch folder."""
        with self._io(), unplaced(), gdal(GDAL_TIFF_INTERNAL_MASK=True, GDAL_NUM_THREADS="ALL_CPUS"):
            whole, result = self.scratch / "whole.tif", self.scratch / f"result{self.target.suffix}"
            self._assemble(whole)
            options = dict(_OPTIONS[self.driver])
            if self.driver == "COG":
                classes = any(b.kind == "nearest" and b.interpretation != "alpha" for b in self.bands)
                # The driver has one method for all bands, and a class must not be averaged.
                options["OVERVIEW_RESAMPLING"] = "NEAREST" if classes else "AVERAGE"
            rasterio.shutil.copy(whole, result, driver=self.driver, **options)
            if self.driver == "COG" and (xml := namespaces.items(self.tags, self.bands)):
                namespaces.fill(result, xml)
            self._check(result)
            replaced = self.target.exists()
            if replaced and not self.overwrite:
                raise exists(self.target)
            for suffix in _SIDECARS:
                beside = Path(f"{self.target}{suffix}")
                made = Path(f"{result}{suffix}")
                if made.exists():
                    os.replace(made, beside)
                elif replaced:
                    beside.unlink(missing_ok=True)
            publish(result, self.target, self.overwrite)
        self.discard()

    def discard(self) -> None:
        """Remove the scratch folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _save(self, name: str, array: Array) -> None:
        partial = self.scratch / f".{name}.{os.getpid()}.part"
        with open(partial, "wb") as file:
            np.save(file, array)
        os.replace(partial, self.scratch / name)

    def _check(self, result: Path) -> None:
        """Read the whole result back: GDAL does not always report a write that failed, as on a full disk."""
        with rasterio.open(result) as dataset:
            whole = (dataset.count, *dataset.shape) == self.shape
            for key, place in self._regions():
                if not whole:
                    break
                stored = dataset.read(window=place)
                exact = self.driver != "JPEG"
                whole = not exact or stored.tobytes() == np.load(self.scratch / f"{key}.npy").tobytes()
        if not whole:
            raise OSError(errno.EIO, "what was written does not read back the same: is the disk full?")

    def _regions(self) -> Iterator[tuple[str, RasterWindow]]:
        """The stored regions and where they belong."""
        for key in sorted(self.done()):
            row, col, size = key.split("_")[1:]
            width, height = (int(n) for n in size.split("x"))
            yield key, RasterWindow(int(col[1:]), int(row[1:]), width, height)

    def _assemble(self, path: Path) -> None:
        count, height, width = self.shape
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=count,
            height=height,
            width=width,
            dtype=self.dtype,
            nodata=self.bands[0].nodata,
            tiled=True,
            blockxsize=512,
            blockysize=512,
            interleave="pixel",
            BIGTIFF="IF_SAFER",
        ) as dataset:
            self._describe(dataset)
            for key, place in self._regions():
                dataset.write(np.load(self.scratch / f"{key}.npy", mmap_mode="r"), window=place)
                if self.mask:
                    bits = np.load(self.scratch / f"{key}.mask.npy")
                    plane = np.unpackbits(bits, count=place.width * place.height).reshape(place.height, place.width)
                    dataset.write_mask(plane * np.uint8(255), window=place)

    def _describe(self, dataset: Any) -> None:
        """Everything about the raster but its pixels."""
        grid = self.grid
        if grid.affine is not None:
            dataset.transform = Affine(*grid.affine[:6])
        elif grid.gcps:
            points = [
                GroundControlPoint(row=p.row, col=p.col, x=p.x, y=p.y, z=p.z, id=p.id, info=p.info) for p in grid.gcps
            ]
            dataset.gcps = points, CRS.from_wkt(grid.gcp_crs) if grid.gcp_crs else None
        if grid.crs is not None and (grid.affine is not None or not grid.gcps):
            dataset.crs = CRS.from_wkt(grid.crs)
        if grid.rpcs is not None:
            dataset.update_tags(ns="RPC", **grid.rpcs)
        dataset.colorinterp = [ColorInterp[b.interpretation] for b in self.bands]
        dataset.scales = [b.scale for b in self.bands]
        dataset.offsets = [b.offset for b in self.bands]
        for index, band in enumerate(self.bands, 1):
            if band.description:
                dataset.set_band_description(index, band.description)
            if band.units:
                dataset.set_band_unit(index, band.units)
            if band.palette and len(self.bands) == 1:  # the one place where TIFF has room for it
                dataset.write_colormap(index, band.palette)
            dataset.update_tags(index, **namespaces.plain(band.tags))
        dataset.update_tags(**namespaces.plain(self.tags))
        if self.driver == "COG" and (xml := namespaces.items(self.tags, self.bands)):
            dataset.update_tags(**{namespaces.RESERVED: namespaces.placeholder(xml)})

    @contextmanager
    def _io(self) -> Iterator[None]:
        """Turn failures of the disk into one clear error."""
        try:
            yield
        except (InputError, OutputError):
            raise
        except (OSError, RasterioError, CPLE_BaseError) as error:
            raise unwritable(self.target, one_line(error)) from error


def create_sink(scene: Scene, path: str, overwrite: bool) -> RasterSink:
    """Check everything that can be checked before the work begins, and make the scratch folder.

    Raises:
        OutputError: the path exists, is the source itself, is no local path, or cannot be written; or the
            format does not hold such a scene.
    """
    if "://" in path or path.startswith("/vsi"):
        raise OutputError(f"the output {path}", "a path on a local disk", "write there, then copy it")
    target = file_target(scene, path, overwrite)
    driver = FORMATS[target.suffix.lower()]
    _check_format(scene, driver)
    scratch = scratch_folder(target)
    need, free = 2 * math.prod(scene.shape) * scene.dtype.itemsize, shutil.disk_usage(target.parent).free
    if free < need:
        os.rmdir(scratch)
        raise OutputError(
            f"{free >> 20} MiB of free disk at {target.parent}",
            f"{need >> 20} MiB for the work",
            "free some, or choose another place",
        )
    _, count, height, width = scene.shape
    merged = {ns: dict(tags) for ns, tags in scene.tags.items()}
    merged.setdefault("", {}).update(scene.provenance)
    return RasterSink(
        target=target,
        scratch=scratch,
        driver=driver,
        overwrite=overwrite,
        shape=(count, height, width),
        dtype=str(scene.dtype),
        grid=scene.grid,
        bands=scene.bands,
        mask=_needs_mask(scene),
        tags=merged,
    )


def _check_format(scene: Scene, driver: str) -> None:
    frames, count, _, _ = scene.shape
    if scene.grid.planes or frames > 1:
        raise OutputError(
            f"a series of {frames} slice{'s' * (frames != 1)} for a raster",
            "a scene that lies on a map",
            "name a folder for a DICOM series, or a volume such as result.nii.gz",
        )
    if len({_comparable(b.nodata) for b in scene.bands}) > 1:
        raise OutputError("bands of different nodata values", "one for all, as GeoTIFF has it", "select bands")
    if driver in _IMAGES and _needs_mask(scene):
        raise OutputError(f"a masked scene for {driver}", "a format with masks", "write a .tif")
    if driver in _IMAGES:
        types, counts = _IMAGES[driver]
        if str(scene.dtype) not in types or count not in counts:
            raise OutputError(
                f"{count} band{'s' * (count != 1)} of {scene.dtype} for {driver}",
                f"{' or '.join(sorted(types))} and {', '.join(map(str, sorted(counts)))} bands",
                "write a .tif",
            )


def _needs_mask(scene: Scene) -> bool:
    """Whether validity can be said by a mask alone: by no nodata value and no alpha band."""
    alpha = any(b.interpretation == "alpha" for b in scene.bands)
    return scene.masked and not alpha and scene.bands[0].nodata is None


def _comparable(nodata: float | int | None) -> float | int | str | None:
    return "nan" if isinstance(nodata, float) and math.isnan(nodata) else nodata
