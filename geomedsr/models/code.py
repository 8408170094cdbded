"""Find the code that a checkpoint file refers to, by reading the file alone: none of it is run."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from typing import IO

#: Names that occur in torch's files of plain tensors: containers, storages and types.
_PLAIN = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_\w+|torch(\.storage)?\.\w+Storage|torch\.(Size|device)|"
    r"torch\.[a-z]+\d+\w*|torch\._tensor\._rebuild_from_type_v2|numpy\..*|_codecs\.encode"
)


def code_of(path: str) -> str | None:
    """The code that a file of ``torch.save`` or ``torch.jit.save`` refers to, in words; None if none is found."""
    try:
        if not zipfile.is_zipfile(path):
            with open(path, "rb") as file:
                return _first(file)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):  # only programs have it
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
    """The first name in a sequence of pickles that files of plain tensors do not have."""
    called = (name for name in _named(file) if not _PLAIN.fullmatch(name))
    return next((f"calls {name[:60]}" for name in called if re.fullmatch(r"[\w.]+", name)), None)


def _named(file: IO[bytes]) -> Iterator[str]:
    """All names in a sequence of pickles, as ``module.name``, up to the first bytes that are no pickle."""
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
