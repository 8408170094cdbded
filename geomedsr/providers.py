"""Providers: what a lower room asks of a higher one, by name, so that no import runs back up.

A scene can show itself, though what draws it is built on scenes. So the scene asks here for ``"scene.card"``, and
``geomedsr/__init__.py``, which knows all rooms, says where that is. It is imported when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_homes: dict[str, str] = {}


def provide(homes: Mapping[str, str]) -> None:
    """Say where things are: ``"module:name"`` by what they are asked for as."""
    _homes.update(homes)


def provider(name: str) -> Callable[..., Any]:
    """What was provided under a name."""
    module, _, attribute = _homes[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
