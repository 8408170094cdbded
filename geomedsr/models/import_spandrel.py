"""``spandrel``, the package of networks that others have made, imported with or without torchvision."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from geomedsr.errors import ModelError

_TORCHVISION = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")

#: What ``spandrel`` takes from the last of these: for inpainting and faces alone, which geomedsr refuses.
_UNUSED = ("InterpolationMode", "normalize", "rotate")


def import_spandrel(checkpoint: str) -> ModuleType:
    """The package, for a checkpoint that an error names.

    Raises:
        ModelError: it, or something that it needs, is missing.
    """
    try:
        with _without_torchvision():
            return importlib.import_module("spandrel")
    except ImportError as error:
        raise ModelError(
            f"{checkpoint} and no package {error.name or 'spandrel'}",
            "it, for checkpoints of others",
            "pip install 'geomedsr[community]'",
        ) from error


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Let ``spandrel`` be imported where torchvision is missing, or does not go with this torch.

    ``spandrel`` imports three names of it when it is imported itself, and no others later. While that happens, and only
    where torchvision cannot be imported, modules stand in for it in which those names mean nothing.
    """
    if "spandrel" in sys.modules or _importable(_TORCHVISION[-1]):
        yield
        return
    for name in _TORCHVISION:
        sys.modules[name] = ModuleType(name)
    for unused in _UNUSED:
        setattr(sys.modules[_TORCHVISION[-1]], unused, None)
    try:
        yield
    finally:
        for name in _TORCHVISION:
            del sys.modules[name]


def _importable(name: str) -> bool:
    """Whether a module can be imported; what of it was imported before it failed is forgotten."""
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except Exception:  # missing; or made for another torch, which shows in various ways
        for begun in [m for m in sys.modules if m.partition(".")[0] == "torchvision" and m not in before]:
            del sys.modules[begun]
        return False
    return True
