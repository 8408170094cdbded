"""What GDAL says while it works: kept out of sight, without secrets, and heard.

Some of its readers find that a picture is cut or damaged, say so, and go on with whatever is in their buffers. So what
is said during a read of pixels counts: an error always, a warning where its words tell of damaged data.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from geomedsr.addresses import public

#: Where rasterio hands on all that GDAL says, errors that no call reports included (those as INFO).
_SPEAKERS = [logging.getLogger("rasterio._env"), logging.getLogger("rasterio._err")]

#: Its loggers that tell of data sets by their names.
_OTHERS = [logging.getLogger(f"rasterio{name}") for name in ("", "._base", "._io", ".env")]

_ERROR = re.compile(r"GDAL signalled an error: err_no=\d+, msg='(.*)'", re.S)

#: Warnings of decoders (libtiff, libjpeg, OpenJPEG, fax, PackBits …) about the data, not about its description.
_DAMAGE = re.compile(
    r"corrupt|premature|mismatch|bad (?:code|huffman)|discarding|truncat|not enough|too short|does not end|without EOL"
    r"|(?:decod|decompress)\w* (?:error|fail)|(?:error|fail\w*) (?:while |in |to |at )?(?:decod|decompress|reading)",
    re.I,
)

_local = threading.local()


class _Discreet(logging.Filter):
    """Hides secrets in what the calls of this thread log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(_local, "depth", 0):
            record.msg, record.args = public(record.getMessage()), ()
        return True


class _Ear(logging.Filter):
    """Hears for the reads of this thread; lets through what the user's settings would show."""

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(_local, "heard", None)
        if heard is not None:
            text = record.getMessage()
            error = _ERROR.search(text)
            if error is not None:
                heard.append(error[1])
            elif record.levelno >= logging.WARNING and _DAMAGE.search(text):
                heard.append(text)
        return record.levelno >= logging.getLogger("rasterio").getEffectiveLevel()


_DISCREET, _EAR = _Discreet(), _Ear()


@contextmanager
def discreet() -> Iterator[None]:
    """A time in which nothing that is logged of GDAL holds a secret."""
    for logger in (*_SPEAKERS, *_OTHERS):
        logger.addFilter(_DISCREET)  # once: one that is there is not added again
    _local.depth = getattr(_local, "depth", 0) + 1
    try:
        yield
    finally:
        _local.depth -= 1


@contextmanager
def listening() -> Iterator[list[str]]:
    """A read of pixels, inside :func:`discreet`: the list that it gives ends with what was said of damaged data."""
    for speaker in _SPEAKERS:
        if not speaker.isEnabledFor(logging.INFO):
            speaker.setLevel(logging.INFO)
        speaker.addFilter(_EAR)
    before, _local.heard = getattr(_local, "heard", None), []
    try:
        yield _local.heard
    finally:
        _local.heard = before
