"""Robust reading of single attributes of a data set."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

_lock = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress pydicom's own warnings and log messages, which may quote values of a header."""
    logger = logging.getLogger("pydicom")
    with _lock, warnings.catch_warnings():  # filters are global to the process: one thread at a time
        warnings.simplefilter("ignore")
        before = logger.disabled, logger.propagate
        logger.disabled, logger.propagate = True, False  # the second holds back what its parts say
        try:
            yield
        finally:
            logger.disabled, logger.propagate = before


@contextmanager
def unheard() -> Iterator[None]:
    """Suppress what C libraries write to standard error: OpenJPEG prints errors there that it also raises.

    Output of Python is not suppressed. Use only inside :func:`quiet`: file descriptors are global to the process.
    """
    try:
        screen = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with open(os.devnull, "wb") as nowhere, open(screen, "w", errors="replace", buffering=1) as ours:
        shown = sys.stderr
        if shown is sys.__stderr__ and shown is not None:
            shown.flush()
            sys.stderr = ours
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            sys.stderr = shown


def load(path: str, pixels: bool = False, **options: Any) -> tuple[Dataset, bool]:
    """The header of a file, with its pixels if asked for, and whether its transfer syntax is guessed.

    It is guessed from the encoding of the elements if the file does not name it, as for data sets from a network.
    """
    ds = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True, **options)
    if getattr(ds, "file_meta", None) is None:
        ds.file_meta = FileMetaDataset()
    bare = not ds.file_meta.get("TransferSyntaxUID")
    if bare and ds.get("SOPClassUID"):
        implicit, little = ds.original_encoding
        ds.file_meta.TransferSyntaxUID = (
            ExplicitVRBigEndian if not little else (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
        )
    return ds, bare


def values(value: Any) -> list[Any]:
    """The values of an element, however many there are."""
    if value is None or isinstance(value, str):
        return [] if not value else [value]
    return list(value) if hasattr(value, "__iter__") else [value]


def first(ds: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence, if there is one."""
    items = ds.get(keyword)
    return items[0] if items else None


def number(value: Any) -> float | None:
    """A number, or a time of day (HHMMSS.F, which sorts as a number), or a date-time; None for anything else."""
    try:
        return float(values(value)[0])
    except (ValueError, TypeError, IndexError):
        return None


def whole(value: Any) -> int | None:
    """A whole number; None for anything else."""
    found = number(value)
    return int(found) if found is not None and math.isfinite(found) else None
