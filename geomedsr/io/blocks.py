"""Blocks of raster formats, and the regions that their sinks store: always whole blocks, whatever the tile."""

from __future__ import annotations

#: Sides of blocks of a GeoTIFF and of chunks of a Zarr store, in pixels.
BLOCK, CHUNK = 512, 1024

#: The maximum size of a block with all bands, in bytes, except for the smallest blocks: GDAL's cache must hold several.
_BLOCK_BYTES, _SMALLEST = 32 << 20, 64


def block_side(bands: int, itemsize: int) -> int:
    """The side of a GeoTIFF's blocks: 512, or less if a block would be too large because of many bands."""
    side = BLOCK
    while side > _SMALLEST and side**2 * bands * itemsize > _BLOCK_BYTES:
        side //= 2
    return side


def chunk_side(bands: int, itemsize: int) -> int:
    """The side of a Zarr store's chunks: 1024, or less for many bands; always twice the side of a block."""
    return CHUNK // BLOCK * block_side(bands, itemsize)


def region_side(pixels: int, least: int, chunk: int) -> int:
    """The side of the regions that raster sinks store, for tiles of ``pixels`` output pixels.

    A whole number of chunks, or ``least``, the format's own block. Chunks are an even number of blocks, so that the
    blocks of overviews end where regions end.
    """
    return least if pixels <= least else -(-pixels // chunk) * chunk
