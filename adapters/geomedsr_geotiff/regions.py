"""Regions as small GeoTIFFs, encoded like the result, so that their blocks can be copied into it unchanged."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
from affine import Affine
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from geomedsr.geometry.grid import Window
from geomedsr.io.blocks import BLOCK, CHUNK, block_side, region_side
from geomedsr.io.files import atomic_write
from geomedsr.scene.sources import Array
from geomedsr_geotiff.handles import gdal
from geomedsr_geotiff.tiff import OFFSETS, SIZES, Directory, Tiff

#: The compression level: lossless, fast, and for noisy imagery about as small as higher levels.
_LEVEL = 1

#: GDAL's settings for internal overviews, which its functions read from the environment.
_OVERVIEWS = {
    "GDAL_TIFF_INTERNAL_MASK": True,
    "COMPRESS_OVERVIEW": "ZSTD",
    "INTERLEAVE_OVERVIEW": "PIXEL",
    "ZSTD_LEVEL_OVERVIEW": _LEVEL,
}

#: Rows of an overview that are averaged at once, so that they stay in a core's cache.
_ROWS = 64

#: The most region files that are kept open while their blocks are read.
_OPEN = 128

#: Sides, in blocks, of the regions in which coarser overviews are made: the larger one if all its bands take few bytes.
_UPPER, _UPPER_BYTES = (4, 2), 128 << 20


@dataclass(frozen=True)
class Encoding:
    """The encoding of an output's blocks; ``bits`` are the bits of a sample, if its type has more."""

    count: int
    dtype: str
    nodata: float | int | None
    resampling: str
    bits: int | None = None

    @property
    def profile(self) -> dict[str, Any]:
        """The options for ``rasterio.open``: tiled, compressed."""
        return {
            "driver": "GTiff",
            "count": self.count,
            "dtype": self.dtype,
            "nodata": self.nodata,
            "tiled": True,
            "blockxsize": self.block,
            "blockysize": self.block,
            "interleave": "pixel",
            "compress": "zstd",
            "zstd_level": _LEVEL,
            "predictor": self.predictor,
            **({} if self.bits is None else {"nbits": self.bits}),
        }

    @property
    def block(self) -> int:
        """The side of a block."""
        return block_side(self.count, np.dtype(self.dtype).itemsize)

    @property
    def predictor(self) -> int:
        """TIFF's predictor: differences of floats' bytes, or of integers with whole bytes."""
        if self.bits is not None:
            return 1
        return 3 if np.dtype(self.dtype).kind == "f" else 2

    def reduce(self, dataset: Any, factors: list[int]) -> None:
        """Add overviews to an open data set."""
        with gdal(**_OVERVIEWS, GDAL_TIFF_OVR_BLOCKSIZE=self.block, PREDICTOR_OVERVIEW=self.predictor):
            dataset.build_overviews(factors, Resampling[self.resampling])

    def store(self, path: Path, values: Array, mask: Array | None, levels: int, spare: bool = False) -> bool:
        """Write a region ``(band, y, x)`` as a TIFF with ``levels`` overviews; ``mask`` is not 0 where there is data.

        With ``spare`` only the overviews are needed, and values are left out if possible. Returns whether values are
        written.

        At the edges of the image its last pixels are repeated within their blocks, so that each pixel of an overview
        stands for exactly 2 × 2 pixels: GDAL would stretch an odd number of pixels over the overview.
        """
        more = [(0, -n % 2**levels) for n in values.shape[1:]]
        if any(after for _, after in more):
            values = np.pad(values, [(0, 0), *more], mode="edge")
            mask = None if mask is None else np.pad(mask, more, mode="edge")
        halved = self._halved(values, levels) if mask is None else None
        pages = [values, *(halved or ())]
        first, *others = pages[1:] if spare and halved else pages
        # Any affine will do: rasterio warns if there is none, and suppressing warnings is not thread-safe.
        profile = {**self.profile, "transform": Affine.scale(2)}
        with gdal(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
            with memory.open(height=first.shape[1], width=first.shape[2], **profile) as dataset:
                dataset.write(first)
                if mask is not None:
                    dataset.write_mask(mask)
            for coarse in others:
                height, width = coarse.shape[1:]
                page = {"height": height, "width": width, "append_subdataset": True, **profile}
                with rasterio.open(memory.name, "w", **page) as dataset:
                    dataset.write(coarse)
            if levels and halved is None:
                with rasterio.open(memory.name, "r+") as dataset:
                    self.reduce(dataset, [2**level for level in range(1, levels + 1)])
            atomic_write(path, memory.getbuffer(), durable=True)
        return first is values

    def _halved(self, values: Array, levels: int) -> list[Array] | None:
        """Overviews averaged as GDAL does; None where this is left to GDAL: other types, or pixels without data.

        GDAL would decode the blocks that it has just encoded, which takes as long as encoding.
        """
        if self.resampling != "average" or values.dtype not in (np.uint8, np.uint16):
            return None
        if self._missing(values):
            return None
        found = []
        for _ in range(levels):
            coarse = np.empty((len(values), values.shape[1] // 2, values.shape[2] // 2), values.dtype)
            for row in range(0, coarse.shape[1], _ROWS):
                rows = values[:, 2 * row : 2 * (row + _ROWS)]
                pairs = rows[:, 0::2].astype(np.uint32) + rows[:, 1::2]
                coarse[:, row : row + _ROWS] = (pairs[..., 0::2] + pairs[..., 1::2] + 2) // 4
            values = coarse
            found.append(values)
        return None if any(map(self._missing, found)) else found

    def _missing(self, values: Array) -> bool:
        return self.nodata is not None and bool((values == self.nodata).any())


class BlockReader:
    """Reads encoded blocks of TIFF files; the last used files stay open."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, tuple[Tiff, dict[tuple[int, bool], tuple[Directory, Array, Array]]]] = (
            OrderedDict()
        )

    def read(self, path: Path, level: int, mask: bool, row: int, col: int) -> bytes:
        """The block of a level's image or mask, by row and column of blocks."""
        tiff, levels = self._opened(path)
        directory, offsets, sizes = levels[level, mask]
        index = row * directory.blocks[1] + col
        return tiff.bytes_at(int(offsets[index]), int(sizes[index]))

    def encoding(self, path: Path) -> tuple[int, ...]:
        """The encoding of a file's blocks."""
        return self._opened(path)[1][0, False][0].encoding

    def close(self) -> None:
        """Close all files."""
        while self._files:
            self._files.popitem()[1][0].file.close()

    def _opened(self, path: Path) -> tuple[Tiff, dict[tuple[int, bool], tuple[Directory, Array, Array]]]:
        if path not in self._files:
            tiff = Tiff(open(path, "rb"))  # noqa: SIM115 - closed when it is the oldest
            levels = {
                (level, directory.mask): (directory, directory.numbers(OFFSETS), directory.numbers(SIZES))
                for group in (tiff.images, tiff.masks)
                for level, directory in enumerate(group)
            }
            self._files[path] = tiff, levels
            while len(self._files) > _OPEN:
                self._files.popitem(last=False)[1][0].file.close()
        self._files.move_to_end(path)
        return self._files[path]


@dataclass(frozen=True)
class Tiling:
    """Regions of ``side`` pixels from the first pixel on, in whole blocks of ``inner`` pixels; the last are smaller."""

    shape: tuple[int, int]
    side: int
    inner: int = BLOCK

    @classmethod
    def of(cls, shape: tuple[int, int], block: tuple[int, int], inner: int = BLOCK) -> Tiling:
        """Regions that hold whole blocks of a source; the output's blocks have the side ``inner``."""
        side = region_side(max(block), inner, CHUNK // BLOCK * inner)
        if side >= max(shape):
            side = inner << cls(shape, inner, inner).overviews
        return cls(shape, side, inner)

    @property
    def levels(self) -> int:
        """How many overviews of a region end at block edges."""
        count, side = 0, self.side
        while side % (2 * self.inner) == 0:
            count, side = count + 1, side // 2
        return min(count, self.overviews)

    @property
    def overviews(self) -> int:
        """How many overviews the output has: down to a single block."""
        count = 0
        while max(self.shape) > self.inner << count:
            count += 1
        return count

    def windows(self) -> Iterator[Window]:
        """The regions, rows first."""
        height, width = self.shape
        for row in range(0, height, self.side):
            for col in range(0, width, self.side):
                yield Window(col, row, min(self.side, width - col), min(self.side, height - row))

    def locate(self, level: int, row: int, col: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """For a block of a level: its region's first pixel, and its place in the region; ``(row, col)`` each."""
        blocks = self.side // (self.inner << level)
        return (row // blocks * self.side, col // blocks * self.side), (row % blocks, col % blocks)


@dataclass(frozen=True)
class Stage:
    """One stage of a pyramid: regions of an image that is ``level`` halvings coarser than the output.

    ``spared`` are regions whose finest image is not in their files, because the stage below has it.
    """

    level: int
    tiling: Tiling
    paths: dict[tuple[int, int], Path]
    spared: set[tuple[int, int]] = field(default_factory=set)

    @property
    def top(self) -> int:
        """The coarsest level in its regions."""
        return self.level + self.tiling.levels

    def block(self, reader: BlockReader, level: int, mask: bool, row: int, col: int) -> bytes:
        """The encoded block of a level of the output."""
        corner, inner = self.tiling.locate(level - self.level, row, col)
        return reader.read(self.paths[corner], level - self.level - (corner in self.spared), mask, *inner)

    def above(self, encoding: Encoding, folder: Path, masked: bool) -> Stage:
        """The next stage, whose finest image is the coarsest of this one."""
        shape = tuple(-(-n // 2**self.tiling.levels) for n in self.tiling.shape)
        inner, many = self.tiling.inner, encoding.count * np.dtype(encoding.dtype).itemsize
        side = inner * _UPPER[(inner * _UPPER[0]) ** 2 * many > _UPPER_BYTES]
        stage = Stage(self.top, Tiling((shape[0], shape[1]), side, inner), {})
        for window in stage.tiling.windows():
            values, mask = self._coarsest(encoding, window, masked)
            path = folder / f"level{self.top}_r{window.row}_c{window.col}.tif"
            if not encoding.store(path, values, mask, stage.tiling.levels, spare=True):
                stage.spared.add((window.row, window.col))
            stage.paths[window.row, window.col] = path
        return stage

    def _coarsest(self, encoding: Encoding, window: Window, masked: bool) -> tuple[Array, Array | None]:
        """A window of the coarsest image, read from the regions that it covers."""
        values = np.empty((encoding.count, window.height, window.width), encoding.dtype)
        mask = np.empty(values.shape[1:], np.uint8) if masked else None
        levels, side = self.tiling.levels, self.tiling.side >> self.tiling.levels
        for row in range(window.row // side, -(-window.stop[0] // side)):
            for col in range(window.col // side, -(-window.stop[1] // side)):
                corner = row * self.tiling.side, col * self.tiling.side
                with open_level(self.paths[corner], levels - (corner in self.spared)) as part:
                    top, left = row * side, col * side
                    first = max(top, window.row), max(left, window.col)
                    last = min(top + part.height, window.stop[0]), min(left + part.width, window.stop[1])
                    inside = rasterio.windows.Window.from_slices(
                        (first[0] - top, last[0] - top), (first[1] - left, last[1] - left)
                    )
                    place = (
                        slice(first[0] - window.row, last[0] - window.row),
                        slice(first[1] - window.col, last[1] - window.col),
                    )
                    values[(slice(None), *place)] = part.read(window=inside)
                    if mask is not None:
                        mask[place] = part.dataset_mask(window=inside)
        return values, mask


def open_level(path: Path, number: int) -> Any:
    """A region's image or one of its overviews, which are stored as GDAL overviews or as separate pages."""
    with rasterio.open(path) as part:
        pages = len(part.subdatasets)
    if pages:
        return rasterio.open(f"GTIFF_DIR:{number + 1}:{path}")
    return rasterio.open(path, **({"overview_level": number - 1} if number else {}))


def pyramid(ground: Stage, encoding: Encoding, folder: Path, masked: bool) -> list[Stage]:
    """All stages, made from the lowest, up to the coarsest overview."""
    stages = [ground]
    while stages[-1].top < ground.tiling.overviews:
        stages.append(stages[-1].above(encoding, folder, masked))
    return stages
