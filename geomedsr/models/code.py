"""What code a checkpoint file asks for, found by reading it: nothing of it is run."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from typing import IO

#: What torch's files of plain tensors name: their containers, storages and types.
_PLAIN = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_\w+|torch(\.storage)?\.\w+Storage|torch\.(Size|device)|"
    r"torch\.[a-z]+\d+\w*|torch\._tensor\._rebuild_from_type_v2|numpy\..*|_codecs\.encode"
)


def code_of(path: str) -> str | None:
    """In words, the code that a file of ``torch.save`` or ``torch.jit.save`` asks for; None where none is found."""
    try:
        if not zipfile.is_zipfile(path):
            with open(path, "rb") as file:
                return _first(file)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):  # which programs alone have
                return "holds a TorchScript program"
            for name in names:
                if name.endswith(".pkl"):
                    with archive.open(name) as pickled:
                        if (called := _first(pickled)) is not None:
                            return called
    except Exception:  # a damaged file
        return None
    return None


def _first(file: IO[bytes]) -> str | None:
    """The first thing that pickles, one after the other, name and plain tensors do not."""
    called = (name for name in _named(file) if not _PLAIN.fullmatch(name))
    return next((f"calls {name[:60]}" for name in called if re.fullmatch(r"[\w.]+", name)), None)


def _named(file: IO[bytes]) -> Iterator[str]:
    """All that pickles name, as ``module.name``, until something is no pickle."""
    while True:
        texts: list[str] = []
        try:
            for code, argument, _ in pickletools.genops(file):
                if code.name == "GLOBAL":
                    yield str(argument).replace(" ", ".")
                elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                    yield ".".join(texts[-2:])
                elif isinstance(argument, str):
                    texts.append(argument)
        except ValueError:
            return
