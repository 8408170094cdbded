"""A grey picture as a PNG file: training needs no library of images, nor a raster format, to show what it does."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from geomedsr.scene.sources import Array


def grey_png(shades: Array) -> bytes:
    """An image ``(y, x)`` of uint8 as a PNG file (ISO/IEC 15948: 8 bits, colour type 0, rows unfiltered)."""
    height, width = shades.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # a byte before each row says that it is not filtered
    rows[:, 1:] = shades
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
