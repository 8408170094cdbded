"""What other packages add: adapters, architectures and operators, found by entry point or registered by a program.

A package names in its ``pyproject.toml`` what geomedsr is to find: classes of adapters in the group
``geomedsr.adapters``, and in ``geomedsr.plugins`` modules that register architectures and operators when they are
imported. A program may import such a module itself. Files of models name architectures and operators; never modules, so
that no file decides what code runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from geomedsr.errors import ModelError

#: Modules that register what they have when they are imported.
GROUP = "geomedsr.plugins"

Thing = TypeVar("Thing")


def loaded(group: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What the entry points of a group name, and why some do not load. One that fails does not break the others."""
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
    """Import the modules of installed packages, once; why some do not load."""
    return loaded(GROUP)[1]


class Registry(Mapping[str, Thing], Generic[Thing]):
    """Things of one kind by name: geomedsr's own, and those that others register.

    Args:
        kind: what they are, in words.
        own: geomedsr's.
    """

    def __init__(self, kind: str, own: Mapping[str, Thing]) -> None:
        self.kind, self.own = kind, tuple(own)
        self._things = dict(own)
        self._modules: dict[str, str] = {}

    def register(self, name: str, thing: Thing) -> Thing:
        """Add one, which is given back. Where worker processes compute, they import the module that it is defined in.

        Raises:
            ModelError: the name is another's.
        """
        of = thing if isinstance(thing, type) or callable(thing) else type(thing)
        module: str = of.__module__
        if name in self._things and self._modules.get(name) != module:
            whose = self._modules.get(name, "geomedsr")
            raise ModelError(f"the {self.kind} {name!r} of {module}", f"a name that {whose} has not", "rename it")
        self._things[name], self._modules[name] = thing, module
        return thing

    def find(self, name: str) -> Thing:
        """The thing of a name.

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
        """The module that another process must import to know a name; None of geomedsr's own.

        Raises:
            ModelError: it was defined in a program, which other processes cannot import.
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
    """Import modules that registered something in another process.

    Raises:
        ModelError: one cannot be imported here.
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
