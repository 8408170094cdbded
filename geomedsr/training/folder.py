"""The folder of a run: made, locked by one process, its faults reported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geomedsr.errors import GeomedsrError, OutputError, RecipeError
from geomedsr.io.files import reason
from geomedsr.io.jobs import hold


def made(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        OutputError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} ({reason(error)})", "one that can be made", "choose another") from error
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder while a run writes to it; the system lets go when the process ends, however it does.

    Raises:
        RecipeError: another process holds it.
    """
    try:
        handle = hold(folder)
    except BlockingIOError as error:
        raise RecipeError(
            f"{folder}, in which another run is going on", "a folder of its own for each", "choose another --out"
        ) from error
    except OSError as error:
        raise OutputError(f"the folder {folder} ({reason(error)})", "one that can be used", "choose another") from error
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Whatever the system refuses there, in one line."""
    try:
        yield
    except GeomedsrError:
        raise
    except OSError as error:
        raise OutputError(
            f"the folder {folder} ({reason(error)})",
            "room and permission to write there",
            "make room, or choose another --out",
        ) from error
