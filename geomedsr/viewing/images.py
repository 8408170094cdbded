"""8-bit images as PNG."""

from __future__ import annotations

import base64
import io

from geomedsr.scene.sources import Array


def png(shades: Array) -> bytes:
    """An image ``(y, x, 3 or 4)`` of uint8 as a PNG file."""
    from PIL import Image  # needed only for pictures

    file = io.BytesIO()
    Image.fromarray(shades).save(file, "PNG", optimize=False)
    return file.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG as a data URI, so that a page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")
