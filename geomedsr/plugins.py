"""Plugins: adapters, architectures and operators of other packages, found by entry point or registered by a program.

A package lists its plugins in its ``pyproject.toml``: adapter classes in the group ``geomedsr.adapters``, and in
``geomedsr.plugins`` modules that register architectures and operators when they are imported. A program may also import
such a module itself. Model files name architectures and operators, never modules, so that no file decides which code
runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from geomedsr.errors import ModelError

#: The entry-point group of modules that register architectures and operators when they are imported.
GROUP = "geomedsr.plugins"

Thing = TypeVar("Thing")


def loaded(group: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The objects of a group's entry points, and the reasons why others do not load. A failure affects no other one."""
    working: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for entry in sorted(entry_points(group=group), key=lambda each: each.name):
        try:
            working[entry.name] = entry.load()
        except Exception as error:
            failed[entry.name] = f"{type(error).__name__}: {error}"
    return working, failed


@lru_cache(maxsize=1)
def _modules() -> dict[str, str]:
    """Import the plugin modules of installed packages, once; returns the reasons why some do not load."""
    return loaded(GROUP)[1]


class Registry(Mapping[str, Thing], Generic[Thing]):
    """Things of one kind by name: geomedsr's own, and the ones that plugins register.

    Args:
        kind: the kind, in words.
        own: geomedsr's own things.
    """

    def __init__(self, kind: str, own: Mapping[str, Thing]) -> None:
        self.kind, self.own = kind, tuple(own)
        self._things = dict(own)
        self._modules: dict[str, str] = {}

    def register(self, name: str, thing: Thing) -> Thing:
        """Register a thing and return it. Worker processes import the module in which it is defined.

        Raises:
            ModelError: the name is taken.
        """
        of = thing if isinstance(thing, type) or callable(thing) else type(thing)
        module: str = of.__module__
        if name in self._things and self._modules.get(name) != module:
            whose = self._modules.get(name, "geomedsr")
            raise ModelError(f"the {self.kind} {name!r} of {module}", f"a name that {whose} does not use", "rename it")
        self._things[name], self._modules[name] = thing, module
        return thing

    def find(self, name: str) -> Thing:
        """The thing with a given name.

        Raises:
            ModelError: there is none.
        """
        if name in self:
            return self._things[name]
        broken = [f"{plugin} (not loading: {why})" for plugin, why in _modules().items()]
        raise ModelError(
            f"the {self.kind} {name!r}",
            f"one of {', '.join([*sorted(self._things), *broken])}",
            "update geomedsr, install or import the package that has it, or take another model",
        )

    def module(self, name: str) -> str | None:
        """The module that another process must import to know a name; None for geomedsr's own.

        Raises:
            ModelError: it is defined in the main program, which other processes cannot import.
        """
        module = self._modules.get(name)
        if module == "__main__":
            raise ModelError(
                f"the {self.kind} {name!r}, which is defined in the program itself",
                "a module that worker processes can import",
                "move it to a file of its own, and import that",
            )
        return module

    def __getitem__(self, name: str) -> Thing:
        if name not in self._things:
            _modules()
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        _modules()
        return iter(self._things)

    def __len__(self) -> int:
        _modules()
        return len(self._things)


def imported(modules: tuple[str, ...]) -> None:
    """Import the modules that registered something in another process.

    Raises:
        ModelError: a module cannot be imported in this process.
    """
    for module in modules:
        if module in sys.modules:
            continue
        try:
            import_module(module)
        except ImportError as error:
            raise ModelError(
                f"the module {module}, which this process cannot import ({error})",
                "what a model is made of, in each process",
                "install it there",
            ) from error
