"""Providers: functions of higher rooms that lower rooms request by name, so that no import runs upwards.

For example, a scene can display itself, although the code that draws it is built on scenes. The scene requests
``"scene.card"`` here, and ``geomedsr/__init__.py``, which knows all rooms, registers where that is. It is imported on
first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_homes: dict[str, str] = {}


def provide(homes: Mapping[str, str]) -> None:
    """Register functions: the name under which each is requested, and its place as ``"module:name"``."""
    _homes.update(homes)


def provider(name: str) -> Callable[..., Any]:
    """The function that is registered under a name."""
    module, _, attribute = _homes[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
