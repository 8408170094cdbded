"""What model files hold, and writing them: safetensors with one JSON blob. :mod:`geomedsr.models.store` reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from geomedsr.errors import ModelError, OutputError
from geomedsr.io.files import atomic_write
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.third_party import SUFFIXES

#: The name of the blob, which is the card.
BLOB = "geomedsr"

#: What names of adversarial weights, and of a head of half-widths, begin with.
ADVERSARIAL, INTERVAL = "adversarial.", "interval."


def save_model(
    module: nn.Module,
    descriptor: Descriptor,
    path: str | os.PathLike[str],
    adversarial: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a model file atomically. Tensors are stored as they are (float32).

    ``module`` holds the content weights. ``adversarial`` is a state dict of the same architecture, required if the
    descriptor says ``adversarial``. The choice among several heads is not saved.

    Raises:
        OutputError: the file cannot be written; an existing file stays as it was.
    """
    assert descriptor.adversarial == (adversarial is not None)
    target = Path(path)
    both = {**module.state_dict(), **{ADVERSARIAL + key: value for key, value in (adversarial or {}).items()}}
    state = {key: value.detach().cpu().contiguous() for key, value in both.items()}
    write_model(target, _file_of(state, descriptor))


def write_model(target: Path, blob: bytes) -> None:
    """Write a model file's bytes atomically.

    Raises:
        OutputError: it cannot be written; an existing file stays as it was.
    """
    try:
        atomic_write(target, blob)
    except OSError as error:
        raise OutputError(
            f"{target}, which cannot be written ({error.strerror})", "space for a model", "make room and run it again"
        ) from error


def with_card(
    path: str | os.PathLike[str], descriptor: Descriptor, head: Mapping[str, torch.Tensor] | None = None
) -> bytes:
    """A geomedsr model file with another card and the same weights, as bytes; with a new head, if one is given.

    Raises:
        ModelError: the file is not one.
    """
    text = os.fspath(path)
    if text.lower().endswith(SUFFIXES):
        raise ModelError(f"the third-party model {text}", "a geomedsr model file", "train one")
    with safe_open(text, framework="pt") as file:
        if BLOB not in (file.metadata() or {}):
            raise ModelError(f"the model file {text}, which has no card", "a geomedsr model file", "train one")
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    if head is not None:
        state = {key: value for key, value in state.items() if not key.startswith(INTERVAL)}
        state |= {INTERVAL + key: value.detach().cpu().contiguous() for key, value in head.items()}
    return _file_of(state, descriptor)


def _file_of(state: Mapping[str, torch.Tensor], descriptor: Descriptor) -> bytes:
    card = descriptor.choosing(descriptor.heads[0]) if descriptor.heads else descriptor
    return save(dict(state), {BLOB: json.dumps(card.model_dump(mode="json"), sort_keys=True)})
