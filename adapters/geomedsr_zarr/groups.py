"""Finding the groups and arrays in a store, version 2 or 3, from a path to a store, a group, or an array."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geomedsr.errors import InputError

#: The files that mark a folder as part of a store: for version 3, and for a group and an array of version 2.
_V3, _GROUP, _ARRAY = "zarr.json", ".zgroup", ".zarray"

#: The most groups that a message names.
_NAMED = 6


def marker(path: str) -> str | None:
    """The file that marks a folder as a group or an array; None if there is none."""
    found = (os.path.join(path, name) for name in (_V3, _GROUP, _ARRAY))
    return next((name for name in found if os.path.isfile(name)), None)


def located(path: str) -> tuple[str, str | None]:
    """The folder of a group with rasters, and the name of the array in it that a path selects, if it does.

    Raises:
        InputError: no group in the store has arrays with two axes, or several have.
    """
    path = path.rstrip("/")
    if _axes(path):
        return os.path.dirname(path) or ".", os.path.basename(path)
    groups = dict.fromkeys(os.path.dirname(array) for array in _rasters(path))
    if path in groups or not groups:
        return path, None
    if len(groups) == 1:
        return next(iter(groups)), None
    names = [os.path.relpath(group, path) for group in groups]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise InputError(
        f"{path}, rasters of which are in the groups {', '.join(names[:_NAMED])}{more}",
        "one group",
        f"name it, as in {os.path.join(path, names[0])}",
    )


def _rasters(path: str) -> Iterator[str]:
    """The arrays with two or more axes longer than a pixel, in a folder and its subfolders."""
    for folder, inner, _ in os.walk(path):
        if _axes(folder) or (folder != path and marker(folder) is None):
            inner.clear()  # chunks, or not part of a store
            if _axes(folder) >= 2:
                yield folder
        inner.sort()


def _axes(folder: str) -> int:
    """The number of an array's axes that are longer than a pixel; 0 if it is no array."""
    for name in (_V3, _ARRAY):
        shape = _header(os.path.join(folder, name)).get("shape")
        if isinstance(shape, list):
            return max(1, sum(isinstance(length, int) and length > 1 for length in shape))
    return 0


def _header(path: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
