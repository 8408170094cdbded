"""The metadata of a Landsat product of Collection 2: ``*_MTL.txt`` and ``*_MTL.json`` hold the same groups of values.

Source: Landsat 8-9 OLI/TIRS Collection 2 Level 1 and Level 2 Data Format Control Books (LSDS-1822, LSDS-1328). The text
is Object Description Language: ``GROUP = NAME``, ``KEY = VALUE``, ``END_GROUP = NAME``, and ``END`` behind all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from geomedsr.errors import InputError
from geomedsr_products.folders import Folder

#: The group of everything; Collection 1 had another.
_ROOT, _BEFORE = "LANDSAT_METADATA_FILE", "L1_METADATA_FILE"

_AGAIN = "download it again"


@dataclass(frozen=True)
class Metadata:
    """The groups of a file by their names; ``file`` is what to call it in messages."""

    file: str
    groups: Mapping[str, Mapping[str, str]]

    def group(self, name: str) -> Mapping[str, str]:
        """A group.

        Raises:
            InputError: it is not there.
        """
        if name not in self.groups:
            raise InputError(f"{self.file} without the group {name}", "the metadata of a whole product", _AGAIN)
        return self.groups[name]

    def text(self, group: str, key: str) -> str:
        """A value of a group.

        Raises:
            InputError: the group is not there, or has none of that name.
        """
        found = self.group(group).get(key, "")
        if not found:
            raise InputError(f"{self.file} without {key} in {group}", "the metadata of a whole product", _AGAIN)
        return found

    def number(self, group: str, key: str) -> float:
        """A number of a group.

        Raises:
            InputError: it is not there, or is no finite number.
        """
        text = self.text(group, key)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{key} = {text[:40]!r} in {self.file}", "a number", _AGAIN)
        return value

    def known(self, group: str, key: str) -> str | None:
        """A value that need not be there."""
        return self.groups.get(group, {}).get(key) or None


def read(folder: Folder, name: str) -> Metadata:
    """The metadata in a file of a folder.

    Raises:
        InputError: it cannot be read, is cut off, or is of another collection.
    """
    text = folder.read(name).decode("utf-8", "replace")
    file = name.rsplit("/", 1)[-1]
    groups = _of_json(file, text) if name.lower().endswith(".json") else _of_text(file, text)
    if _ROOT not in groups:
        old = " of Collection 1" if _BEFORE in groups else ""
        raise InputError(f"{file}{old} without the group {_ROOT}", "a product of Landsat Collection 2", "order that")
    return Metadata(file, groups)


def _of_text(file: str, text: str) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    opened: list[str] = []
    ended = False
    lines = text.rstrip().splitlines()
    for number, line in enumerate(lines, 1):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key or ended:
            continue
        if key == "END" and not equals:
            ended = True
        elif key == "GROUP":
            opened.append(value)
            groups.setdefault(value, {})
        elif key == "END_GROUP":
            if not opened or opened.pop() != value:
                raise InputError(f"line {number} of {file}, END_GROUP = {value[:40]}", "the end of its group", _AGAIN)
        elif equals and opened:
            groups[opened[-1]][key] = value.removeprefix('"').removesuffix('"')
        elif number < len(lines):
            raise InputError(f"line {number} of {file}, {line.strip()[:40]!r}", "KEY = VALUE in a group", _AGAIN)
    if not ended or opened:
        raise InputError(f"{file}, which is cut off", "END behind all groups", _AGAIN)
    return groups


def _of_json(file: str, text: str) -> dict[str, dict[str, str]]:
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}, which is no JSON ({str(error)[:80]})", "a whole file", _AGAIN) from error
    groups: dict[str, dict[str, str]] = {}
    for outer, inner in root.items() if isinstance(root, dict) else ():
        groups[outer] = {}
        for name, values in inner.items() if isinstance(inner, dict) else ():
            if isinstance(values, dict):
                groups[name] = {key: str(value) for key, value in values.items()}
    return groups
