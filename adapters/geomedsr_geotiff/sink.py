"""The sink: it collects the regions of an output raster and joins them to one file.

Each region is a small compressed GeoTIFF with overviews, in a hidden folder beside the destination. It is written under
another name and then renamed, so that it is complete or missing. At the end GDAL lays out the result without blocks;
the blocks are copied unchanged from the regions; the file is checked and renamed to the destination.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterWindow

from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Grid
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.blocks import BLOCK, block_side
from geomedsr.io.files import atomic_write, file_target
from geomedsr.scene.provenance import ROLE
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array
from geomedsr_geotiff import namespaces, placing, tiff
from geomedsr_geotiff.drivers import IMAGES, check_format, driver_for, needs_mask
from geomedsr_geotiff.handles import gdal, one_line, unplaced
from geomedsr_geotiff.regions import BlockReader, Encoding, Stage, Tiling, pyramid

_OPTIONS: dict[str, dict[str, Any]] = {"PNG": {"WRITE_METADATA_AS_TEXT": "YES"}, "JPEG": {"QUALITY": 95}}

#: Suffixes of GDAL's sidecar files; sidecars of a replaced file would describe the old one.
_SIDECARS = (".aux.xml", ".ovr", ".msk")


@dataclass(frozen=True)
class RasterSink(Sink):
    """See :class:`geomedsr.io.Sink`. ``beside`` tells that a part of the grid goes into a sidecar file."""

    driver: str
    shape: tuple[int, int, int]
    dtype: str
    grid: Grid
    bands: tuple[Band, ...]
    beside: bool
    mask: bool
    tags: Mapping[str, Mapping[str, str]]
    tiling: Tiling
    bits: int | None = None

    faults = (OSError, RasterioError, CPLE_BaseError)

    @property
    def block(self) -> tuple[int, int]:
        """The required ``(height, width)`` of regions, except for the last of a row or column."""
        return self.tiling.side, self.tiling.side

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region (one frame)."""
        plane = None
        if self.mask:
            plane = valid[0].any(0)
            differ = plane & ~valid[0] & np.isfinite(values[0])  # NaN and alpha need no mask
            alpha = next((i for i, band in enumerate(self.bands) if band.interpretation == "alpha"), None)
            if alpha is not None:
                plane = valid[0, alpha]
                differ = (plane != valid[0]) & (values[0, alpha] != 0) & np.isfinite(values[0])
            if differ.any():
                raise InputError(
                    f"bands whose masks differ near column {box.start[2]}, row {box.start[1]}",
                    "one mask for all bands, as GeoTIFF has it",
                    "upscale them one by one with --bands, or give the file a nodata value",
                )
        levels = self.tiling.levels if self.driver == "COG" else 0
        self._encoding.store(self.folder / f"{box.key}.tif", values[0], plane, levels)

    def mark(self, box: Box) -> None:
        """Nothing to do: a region's file shows that it is stored."""

    def done(self) -> set[str]:
        """Keys of the regions that are stored."""
        with self.io():
            names = [p.name for p in self.folder.iterdir()]
        return {name.removesuffix(".tif") for name in names if name[0] == "f" and name.endswith(".tif")}

    def assemble(self) -> list[Move]:
        """Join the regions to one file with its sidecars; sidecars of a replaced file are removed."""
        result = self.folder / f"result{self.target.suffix}"
        for suffix in _SIDECARS:  # left by an earlier attempt
            Path(f"{result}{suffix}").unlink(missing_ok=True)
        with unplaced(), gdal(GDAL_TIFF_INTERNAL_MASK=True, GDAL_NUM_THREADS="ALL_CPUS"):
            if self.driver in IMAGES:
                self._write_image(result)
            else:
                self._write_tiff(result)
                if self.beside and (text := placing.beside(self.grid, self._point)):
                    atomic_write(Path(f"{result}{placing.BESIDE}"), text)
        moves = [self.move(result)]
        for suffix in _SIDECARS:
            made, beside = (Path(f"{path}{suffix}") for path in (result, self.target))
            if made.exists():
                moves.append(self.move(made, beside, overwrite=True))
            elif self.overwrite:
                moves.append(self.move(None, beside))
        return moves

    def why(self, error: Exception) -> str:
        """The reason for an error in a few words, as GDAL states it."""
        return one_line(error)

    @property
    def _encoding(self) -> Encoding:
        classes = any(b.kind == "nearest" and b.interpretation != "alpha" for b in self.bands)
        # GDAL uses one method for all bands, and classes must not be averaged.
        return Encoding(self.shape[0], self.dtype, self.bands[0].nodata, "nearest" if classes else "average", self.bits)

    @property
    def _point(self) -> bool:
        return self.tags.get("", {}).get(placing.AREA_OR_POINT) == "Point"

    def _places(self) -> Iterator[tuple[Path, RasterWindow]]:
        """The files of stored regions, and their windows."""
        for key in sorted(self.done()):
            row, col, size = key.split("_")[1:]
            width, height = (int(n) for n in size.split("x"))
            yield self.folder / f"{key}.tif", RasterWindow(int(col[1:]), int(row[1:]), width, height)

    def _write_tiff(self, result: Path) -> None:
        """Lay out a file, and copy the regions' blocks into it."""
        folder, encoding = self.folder, self._encoding
        paths = {(place.row_off, place.col_off): path for path, place in self._places()}
        stages = [Stage(0, self.tiling, paths)]
        with ThreadPoolExecutor(1) as beside:
            layout = beside.submit(self._lay_out, encoding)
            if self.driver == "COG":
                stages = pyramid(stages[0], encoding, folder, self.mask)
            atomic_write(result, layout.result())
        reader = BlockReader()
        try:
            wanted = reader.encoding(next(iter(paths.values())))
            size = tiff.fill(result, partial(_block, stages, reader))
        finally:
            reader.close()
        with open(result, "rb") as file:
            same = {d.encoding for d in tiff.Tiff(file).images} == {wanted}
        with rasterio.open(result) as dataset:
            whole = same and (dataset.count, *dataset.shape) == self.shape and os.path.getsize(result) == size
        if not whole:
            raise OSError(errno.EIO, "what was written does not read back the same: is the disk full?")

    def _lay_out(self, encoding: Encoding) -> bytes:
        """The result without its blocks: all metadata, and empty overviews."""
        _, height, width = self.shape
        alone = gdal(GDAL_TIFF_INTERNAL_MASK=True, GDAL_NUM_THREADS=1)  # threads only wait for one another here
        with alone, MemoryFile(ext=".tif") as empty, MemoryFile(ext=".tif") as made:
            with empty.open(height=height, width=width, sparse_ok=True, BIGTIFF="IF_SAFER", **encoding.profile) as data:
                self._describe(data)
                if self.mask:  # one block of it makes its directory
                    data.write_mask(np.zeros((1, 1), np.uint8), window=RasterWindow(0, 0, 1, 1))
            copied = self.driver == "COG" or placing.needs_copy(self.grid)
            if copied:
                self._arrange(empty, made, encoding)
            whole = bytes((made if copied else empty).getbuffer())
        xml = namespaces.items(self.tags, self.bands)
        return namespaces.filled(whole, xml) if xml else whole

    def _arrange(self, plain: MemoryFile, made: MemoryFile, encoding: Encoding) -> None:
        """Copy a file without blocks, as a COG, or unchanged with more metadata."""
        if self.driver == "GTiff":
            profile = {key: value for key, value in encoding.profile.items() if key not in ("count", "dtype", "nodata")}
            placing.copy(plain, made, self.grid, self._point, SPARSE_OK=True, BIGTIFF="IF_SAFER", **profile)
            return
        factors = [2**level for level in range(1, self.tiling.overviews + 1)]
        if factors:
            with gdal(SPARSE_OK_OVERVIEW=True), rasterio.open(plain.name, "r+") as data:
                replace(encoding, resampling="nearest").reduce(data, factors)  # of nothing, the quickest way
        options = {"SPARSE_OK": True, "OVERVIEWS": "FORCE_USE_EXISTING", "COMPRESS": "ZSTD"}
        options["PREDICTOR"] = "NO" if encoding.bits else "YES"
        placing.copy(
            plain, made, self.grid, self._point, driver="COG", BLOCKSIZE=encoding.block, BIGTIFF="IF_SAFER", **options
        )

    def _write_image(self, result: Path) -> None:
        """Write PNG or JPEG; pixels are read back, because GDAL does not report every full disk."""
        whole = self.folder / "whole.tif"
        count, height, width = self.shape
        tiles = math.prod(-(-side // BLOCK) * BLOCK for side in (height, width))
        _check_room(whole, count * tiles * np.dtype(self.dtype).itemsize)
        with rasterio.open(
            whole,
            "w",
            driver="GTiff",
            count=count,
            height=height,
            width=width,
            dtype=self.dtype,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            nodata=self.bands[0].nodata,
        ) as dataset:
            self._describe(dataset)
            for region, place in self._places():
                with rasterio.open(region) as part:
                    dataset.write(part.read(), window=place)
        if text := placing.beside(self.grid, self._point):
            atomic_write(Path(f"{whole}{placing.BESIDE}"), text)
        rasterio.shutil.copy(whole, result, driver=self.driver, **_OPTIONS[self.driver])
        namespaces.put_beside(Path(f"{result}{_SIDECARS[0]}"), self.tags, self.bands)
        with rasterio.open(result) as dataset:
            same = (dataset.count, *dataset.shape) == self.shape
            for region, place in self._places() if self.driver != "JPEG" and same else ():
                with rasterio.open(region) as part:
                    same = same and bool((dataset.read(window=place) == part.read()).all())
        if not same:
            raise OSError(errno.EIO, "what was written does not read back the same: is the disk full?")

    def _describe(self, dataset: Any) -> None:
        """Write all metadata of the raster."""
        placing.describe(dataset, self.grid)
        dataset.colorinterp = [ColorInterp[b.interpretation] for b in self.bands]
        dataset.scales = [b.scale for b in self.bands]
        dataset.offsets = [b.offset for b in self.bands]
        for index, band in enumerate(self.bands, 1):
            if band.description:
                dataset.set_band_description(index, band.description)
            if band.units:
                dataset.set_band_unit(index, band.units)
            if band.palette and len(self.bands) == 1:  # TIFF allows a palette only there
                dataset.write_colormap(index, band.palette)
            role = {} if band.role is None else {ROLE: band.role}
            dataset.update_tags(index, **namespaces.plain(band.tags), **role)
        tags = namespaces.plain(self.tags)
        if not placing.has_room_for_point(self.grid):
            tags.pop(placing.AREA_OR_POINT, None)
        dataset.update_tags(**tags)
        if self.driver not in IMAGES and (xml := namespaces.items(self.tags, self.bands)):
            dataset.update_tags(**{namespaces.RESERVED: namespaces.placeholder(xml)})


def _check_room(path: Path, size: int) -> None:
    """Raise an error if ``size`` bytes do not fit: libtiff would only report that on standard error."""
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise  # other errors are from file systems that cannot allocate space
    finally:
        path.unlink(missing_ok=True)


def _block(stages: list[Stage], reader: BlockReader, level: int, mask: bool, row: int, col: int) -> bytes:
    """The block of a level, from the stage that holds it."""
    stage = next(stage for stage in stages if level <= stage.top)
    return stage.block(reader, level, mask, row, col)


def create_sink(scene: Scene, path: str, overwrite: bool, format: str | None = None) -> RasterSink:
    """Make all checks that are possible before the computation, and make the scratch folder.

    Raises:
        OutputError: the path exists, is the source itself, is not a local path, or cannot be written; or the
            format cannot hold the scene.
    """
    if "://" in path or path.startswith("/vsi"):
        raise OutputError(f"the output {path}", "a path on a local disk", "write there, then copy it")
    target = file_target(scene, path, overwrite)
    driver = driver_for(target, format)
    check_format(scene, driver)
    _, count, height, width = scene.shape
    merged = {ns: dict(tags) for ns, tags in scene.tags.items()}
    merged.setdefault("", {}).update(scene.provenance)
    point = merged[""].get(placing.AREA_OR_POINT) == "Point"
    grid, beside = placing.settle(scene.grid, driver, point, target.name)
    if grid.geolocation is not None:
        merged["GEOLOCATION"] = dict(grid.geolocation)
    tiling = Tiling.of((height, width), scene.source.block, block_side(count, scene.dtype.itemsize))
    scratch = Scratch.open(target, scene, _layout(driver, tiling))
    # Regions and result, each compressed to about one half.
    need, free = math.prod(scene.shape) * scene.dtype.itemsize, shutil.disk_usage(target.parent).free
    if free < need and not scratch.resumed:
        scratch.discard()
        raise OutputError(
            f"{free / 2**20:.1f} MiB of free disk at {target.parent}",
            f"{need / 2**20:.1f} MiB for the work",
            "free some, or choose another place",
        )
    return RasterSink(
        target=target,
        scratch=scratch,
        driver=driver,
        overwrite=overwrite,
        shape=(count, height, width),
        dtype=str(scene.dtype),
        grid=grid,
        beside=beside,
        bands=scene.bands,
        mask=needs_mask(scene),
        tags=merged,
        tiling=tiling,
        bits=_bits(scene),
    )


def _bits(scene: Scene) -> int | None:
    """The bits of a sample, if all bands of a TIFF state fewer bits than their type has.

    Other formats state the number of used bits, too, but pack samples differently; TIFF readers prefer whole bytes.
    """
    limits = {band.limits for band in scene.bands}
    most = next(iter(limits))
    packed = any(file.lower().endswith((".tif", ".tiff")) for file in scene.files)
    if not packed or len(limits) > 1 or most is None or most[0] != 0 or scene.dtype.kind != "u":
        return None
    bits, nodata = int(most[1]).bit_length(), scene.bands[0].nodata
    return bits if most[1] == 2**bits - 1 and (nodata is None or nodata <= most[1]) else None


def _layout(driver: str, tiling: Tiling) -> dict[str, str]:
    """The writer's options on which a job's parts depend."""
    usual = {"format": driver, "region": str(tiling.side)}
    return usual if tiling.inner == BLOCK else {**usual, "block": str(tiling.inner)}
