"""The JPEG streams of rasters: a JPEG file, or the tiles and strips of a TIFF with JPEG inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from geomedsr.addresses import file_name
from geomedsr.errors import InputError
from geomedsr.jpeg.coded import Streams
from geomedsr_geotiff.handles import gdal, handle

#: Drivers whose file is a single stream; the others' are refused by what it holds.
_SINGLE = {"JPEG", "JP2OpenJPEG", "JP2ECW", "JP2KAK", "JPEGLS", "JPEGXL"}


@dataclass(frozen=True)
class RasterStreams(Streams):
    """Streams of a file; ``tables`` are those that a TIFF's streams share, and ``single`` tells that it is one stream.

    Strips of a TIFF are tiles as wide as the image.
    """

    path: str = field(repr=False)
    version: tuple[int, int]
    name: str
    size: tuple[int, int]
    tile: tuple[int, int]
    luma: bool | None
    tables: bytes
    single: bool

    def stream(self, frame: int, row: int, column: int) -> tuple[bytes, bytes]:
        """See :class:`geomedsr.jpeg.coded.Streams`."""
        start, length = 0, -1
        if not self.single:
            start, length = self._place(row, column)
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                return file.read(length), self.tables
        except OSError as error:
            raise InputError(
                f"{self.name}, whose bytes cannot be read: {error.strerror}", "a file on this machine", "copy it here"
            ) from error

    def _place(self, row: int, column: int) -> tuple[int, int]:
        with gdal():
            dataset = handle(self.path, self.version)
            found = [dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", 1) for what in ("OFFSET", "SIZE")]
        if None in found:
            raise InputError(f"{self.name}, without its JPEG tile {column}, {row}", "all of them", "fill it in first")
        return int(found[0]), int(found[1])


def streams_of(path: str, version: tuple[int, int], picks: tuple[int, ...]) -> RasterStreams | None:
    """The streams of a raster, if all its bands together are decoded from JPEG."""
    with gdal():
        dataset: Any = handle(path, version)
        if picks != tuple(range(1, dataset.count + 1)) and dataset.driver not in _SINGLE:
            return None
        size, name = (dataset.height, dataset.width), file_name(path)
        if dataset.driver in _SINGLE:
            whole = _whole(size[0]), _whole(size[1])
            return RasterStreams(path, version, name, size, whole, None, b"", single=True)
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
        compressed = structure.get("COMPRESSION", "")
        if dataset.driver not in ("GTiff", "COG") or not compressed.endswith("JPEG"):
            return None
        if dataset.count > 1 and structure.get("INTERLEAVE") != "PIXEL":
            return None
        tables = bytes.fromhex(dataset.get_tag_item("JPEGTABLES", "TIFF", 1) or "")
        high, wide = dataset.block_shapes[0]
        if wide == size[1] and high == size[0]:  # a single strip, not in whole blocks
            high, wide = _whole(high), _whole(wide)
        elif wide == size[1]:
            wide = _whole(wide)
        luma = structure.get("SOURCE_COLOR_SPACE") == "YCbCr" or "YCbCr" in compressed
        return RasterStreams(path, version, name, size, (high, wide), luma, tables, single=False)


def _whole(length: int) -> int:
    """In whole units of any sampling that is read."""
    return -(-length // 32) * 32
