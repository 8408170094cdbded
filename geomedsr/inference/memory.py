"""How much memory a job takes, and so how large its tiles and how many its workers may be."""

from __future__ import annotations

import re
from functools import lru_cache

import torch
from torch import nn

from geomedsr.devices import cores
from geomedsr.errors import InputError
from geomedsr.models import Model

#: What a job may take where the user says nothing: it fits a machine of 4 GiB.
DEFAULT = 1536 << 20

#: Python, torch, GDAL and its block cache before the first tile, measured.
BASE = 450 << 20

#: Sides of a tile in input pixels, the largest with the least halo.
TILES = (512, 384, 256, 128, 64)

#: Activations of a network that are alive at once, as multiples of its widest layer's input and output; measured.
_ALIVE = 2.2

_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def size(text: str | int) -> int:
    """Bytes: ``2GiB``, ``1500MB``, or a number.

    Raises:
        InputError: it is none, or less than anything can run in.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", str(text), re.IGNORECASE)
    number = int(float(match[1]) * _UNITS[(match[2] or "").lower()]) if match else 0
    if number < BASE + (64 << 20):
        raise InputError(
            f"--memory {text}", f"at least {(BASE >> 20) + 64}MiB, such as 2GiB", "give more, or leave it out"
        )
    return number


@lru_cache(maxsize=64)
def _widest(module: nn.Module, channels: int, side: int) -> int:
    """Bytes of the widest layer's input and output, float32, for one image of ``side`` pixels."""
    most = 0

    def seen(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal most
        most = max(most, inputs[0].numel() + output.numel())

    hooks = [m.register_forward_hook(seen) for m in module.modules() if isinstance(m, nn.Conv2d)]
    try:
        shapes = {name: torch.empty_like(p, device="meta") for name, p in module.state_dict().items()}
        image = torch.empty(1, channels, side, side, device="meta")
        with torch.inference_mode():
            torch.func.functional_call(module, shapes, (image,))
    finally:
        for hook in hooks:
            hook.remove()
    return 4 * most


def worker_bytes(model: Model, tile: int, bands: int, itemsize: int) -> int:
    """What a worker holds at once, at most: a tile's activations, and a region's values on their way out."""
    card = model.descriptor
    network = _ALIVE * _widest(model.module, card.channels, tile + 2 * model.radius)
    pixels = bands * (tile * card.scale) ** 2
    return int(network + pixels * (12 + 4 * itemsize))


def choose(model: Model, bands: int, itemsize: int, memory: int) -> tuple[int, int]:
    """The side of a tile in input pixels, and how many workers, that fit: first all cores, then large tiles."""
    most = cores()
    for wanted in (most, 1):
        for tile in TILES:
            if BASE + wanted * worker_bytes(model, tile, bands, itemsize) <= memory:
                return tile, wanted
    return TILES[-1], 1


def workers(model: Model, tile: int, bands: int, itemsize: int, memory: int) -> int:
    """How many workers of such a tile fit; at least one."""
    return max(1, min(cores(), (memory - BASE) // worker_bytes(model, tile, bands, itemsize)))
