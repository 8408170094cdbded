"""Import ``spandrel``, a package of third-party networks, with or without torchvision."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from geomedsr.errors import ModelError

_TORCHVISION = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")

#: Names that ``spandrel`` imports from the last of these, only for inpainting and faces, which geomedsr refuses.
_UNUSED = ("InterpolationMode", "normalize", "rotate")


def import_spandrel(checkpoint: str) -> ModuleType:
    """The package ``spandrel``; ``checkpoint`` is named in errors.

    Raises:
        ModelError: the package, or one that it needs, is missing.
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
    """Allow the import of ``spandrel`` if torchvision is missing or does not work with this torch.

    ``spandrel`` imports three names from torchvision at import time, and none later. If torchvision cannot be imported,
    empty stand-in modules, in which these names are None, replace it for the duration of the import.
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
    """Whether a module can be imported. After a failed import its partly imported modules are removed."""
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except Exception:  # missing, or built for another torch, which fails in various ways
        for begun in [m for m in sys.modules if m.partition(".")[0] == "torchvision" and m not in before]:
            del sys.modules[begun]
        return False
    return True
