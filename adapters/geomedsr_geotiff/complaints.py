"""GDAL's messages: they are hidden, stripped of secrets, and evaluated.

Some of GDAL's readers report a truncated or damaged image in a message, and go on with whatever is in their buffers.
Messages during a read of pixels therefore count: errors always, warnings if their words mean damaged data.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from geomedsr.addresses import public

#: rasterio's loggers for GDAL's messages, including errors that no call reports (as INFO).
_SPEAKERS = [logging.getLogger("rasterio._env"), logging.getLogger("rasterio._err")]

#: rasterio's loggers whose messages contain names of data sets.
_OTHERS = [logging.getLogger(f"rasterio{name}") for name in ("", "._base", "._io", ".env")]

_ERROR = re.compile(r"GDAL signalled an error: err_no=\d+, msg='(.*)'", re.S)

#: Warnings of decoders (libtiff, libjpeg, OpenJPEG, fax, PackBits …) about data, not about metadata.
_DAMAGE = re.compile(
    r"corrupt|premature|mismatch|bad (?:code|huffman)|discarding|truncat|not enough|too short|does not end|without EOL"
    r"|(?:decod|decompress)\w* (?:error|fail)|(?:error|fail\w*) (?:while |in |to |at )?(?:decod|decompress|reading)",
    re.I,
)

_local = threading.local()


class _Discreet(logging.Filter):
    """Hides secrets in log messages of this thread's calls."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(_local, "depth", 0):
            record.msg, record.args = public(record.getMessage()), ()
        return True


class _Ear(logging.Filter):
    """Collects messages for this thread's reads; passes on what the user's settings would show."""

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
    """A context in which GDAL's log messages contain no secrets."""
    for logger in (*_SPEAKERS, *_OTHERS):
        logger.addFilter(_DISCREET)  # a filter is only added once
    _local.depth = getattr(_local, "depth", 0) + 1
    try:
        yield
    finally:
        _local.depth -= 1


@contextmanager
def listening() -> Iterator[list[str]]:
    """A context for a read of pixels, inside :func:`discreet`; its list collects messages about damaged data."""
    for speaker in _SPEAKERS:
        if not speaker.isEnabledFor(logging.INFO):
            speaker.setLevel(logging.INFO)
        speaker.addFilter(_EAR)
    before, _local.heard = getattr(_local, "heard", None), []
    try:
        yield _local.heard
    finally:
        _local.heard = before
