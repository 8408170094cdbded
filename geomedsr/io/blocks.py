"""Blocks of raster formats, and the regions that their sinks store: whole blocks, whatever the tile is."""

from __future__ import annotations

#: Sides of blocks of a GeoTIFF and of chunks of a Zarr store, in pixels.
BLOCK, CHUNK = 512, 1024

#: The most bytes that a block of all bands may have, but for the smallest blocks: GDAL's cache must hold several.
_BLOCK_BYTES, _SMALLEST = 32 << 20, 64


def block_side(bands: int, itemsize: int) -> int:
    """The side of a GeoTIFF's blocks: 512, or less where there are so many bands that a block of them all is large."""
    side = BLOCK
    while side > _SMALLEST and side**2 * bands * itemsize > _BLOCK_BYTES:
        side //= 2
    return side


def chunk_side(bands: int, itemsize: int) -> int:
    """The side of a Zarr store's chunks: 1024, or less where there are as many bands; always two blocks."""
    return CHUNK // BLOCK * block_side(bands, itemsize)


def region_side(pixels: int, least: int, chunk: int) -> int:
    """The side of the regions that raster sinks store, for tiles that are so many output pixels wide.

    Whole chunks of a side; or ``least``, a format's own block. Chunks are an even number of blocks, so that overviews
    end where regions do.
    """
    return least if pixels <= least else -(-pixels // chunk) * chunk
