"""Properties of an undocumented network, found by running it: its receptive field and its memory use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

Network = Callable[[torch.Tensor], torch.Tensor]

#: The smallest width of the strips on which a network's receptive field is measured.
_STRIP = 8

#: The allowed difference between two computations of a pixel, relative to the values' standard deviation.
_SAME = 1e-4

#: Positions of the line of NaN. No window and no group of shuffled pixels treats all three in the same way.
_SHIFTS = (0, 1, 2)


def probed_radius(network: Network, channels: int, scale: int, most: int, least: int = 1) -> int | None:
    """Receptive radius in input pixels of a network ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``; see :func:`radius`.

    A line of NaN across a strip turns every output pixel that it can affect into NaN, whatever the weights are: sums,
    products, torch's activations and its maxima propagate NaN. None if the effect extends beyond ``most`` pixels, for
    example where a network attends to or averages over the whole image; if it does not move with the line, for example
    with windowed attention; or if the network rejects such a strip. ``least`` is the smallest side that it accepts.
    """
    radius = 0
    for axis in (2, 3):
        radii = {_reach(network, channels, scale, axis, most, shift, least) for shift in _SHIFTS}
        found = radii.pop()
        if radii or found is None:
            return None
        radius = max(radius, *found)
    return radius if radius <= most else None


def _reach(
    network: Network, channels: int, scale: int, axis: int, most: int, shift: int, least: int
) -> tuple[int, int] | None:
    """How many input pixels before and after a line its effect extends along an axis; None if unknown."""
    shape = [1, channels, max(_STRIP, least), max(_STRIP, least)]
    shape[axis] = max(2 * most + 3 + max(_SHIFTS), least)
    line = most + 1 + shift
    strip = torch.full(shape, 0.5)
    strip.select(axis, line).fill_(float("nan"))
    try:
        fine = network(strip)
    except RuntimeError:  # for example, reflection padding wider than the strip
        return None
    hit = fine.isnan().amax(tuple(i for i in range(4) if i != axis)).nonzero().flatten()
    if len(hit) == 0:  # the network removes NaN, so nothing is known
        return None
    return line - int(hit[0]) // scale, int(hit[-1]) // scale - line


def tiles_exactly(network: Network, channels: int, scale: int, radius: int, least: int = 1) -> bool:
    """Whether a pixel with ``radius`` neighbours on each side has the same value wherever a window begins.

    This fails for networks that first shuffle pixels into channels, work in windows, or see farther.
    """
    centre = 4
    side = max(2 * radius + centre, least)
    image = torch.rand(1, channels, side + 1, side + 1, generator=torch.Generator().manual_seed(0))
    whole = network(image)
    tolerance = _SAME * float(whole.std())
    inner = slice(radius * scale, (side - radius) * scale)
    for down, right in ((0, 0), (1, 0), (0, 1), (1, 1)):
        part = network(image[..., down : down + side, right : right + side])[..., inner, inner]
        same = whole[..., down * scale :, right * scale :][..., inner, inner]
        if not float((part - same).abs().max()) <= tolerance:  # false for NaN, too
            return False
    return True


def peak_memory(network: Network, image: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A network's output, and the peak memory of its activations in 4-byte numbers; weights are not counted."""
    with _Alive() as alive:
        fine = network(image)
    return fine, -(-alive.most // 4)


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations allocate, as long as each is alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: Any = WeakIdKeyDictionary()
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {
            id(t.untyped_storage()): t.untyped_storage()
            for t in tree_iter((args, kwargs or {}))
            if isinstance(t, torch.Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in known:
                    self.storages[storage] = None
        self.most = max(self.most, sum(storage.nbytes() for storage in self.storages))
        return result
