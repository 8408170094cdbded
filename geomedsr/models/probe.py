"""What a network does that nothing tells about, found by running it: its receptive field and the memory it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

Network = Callable[[torch.Tensor], torch.Tensor]

#: The least short side of the strips on which a network's receptive field is found.
_STRIP = 8

#: How far apart two computations of a pixel may be, as a part of the spread of the values.
_SAME = 1e-4

#: Where the line of NaN lies: neither a window nor a group of shuffled pixels can treat all three alike.
_SHIFTS = (0, 1, 2)


def probed_radius(network: Network, channels: int, scale: int, most: int, least: int = 1) -> int | None:
    """Receptive radius in input pixels of a network ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``; see :func:`radius`.

    A line of NaN across a strip makes NaN of every output pixel that it can change, whatever the weights are: sums and
    products keep NaN, so do torch's activations and its maxima. None where that goes further than ``most`` pixels, as
    where a network attends to the whole image or averages over it; where it does not move along with the line, as where
    attention works in windows; and for a network that refuses such a strip. ``least`` is the least side that it takes.
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
    """How many input pixels a line's influence goes back and forth along an axis; None if unknown."""
    shape = [1, channels, max(_STRIP, least), max(_STRIP, least)]
    shape[axis] = max(2 * most + 3 + max(_SHIFTS), least)
    line = most + 1 + shift
    strip = torch.full(shape, 0.5)
    strip.select(axis, line).fill_(float("nan"))
    try:
        fine = network(strip)
    except RuntimeError:  # such as reflection by more than the strip's width
        return None
    hit = fine.isnan().amax(tuple(i for i in range(4) if i != axis)).nonzero().flatten()
    if len(hit) == 0:  # it hides NaN, so nothing is known
        return None
    return line - int(hit[0]) // scale, int(hit[-1]) // scale - line


def tiles_exactly(network: Network, channels: int, scale: int, radius: int, least: int = 1) -> bool:
    """Whether pixels that have ``radius`` neighbours on each side are the same wherever a window begins.

    They are not where a network first shuffles pixels into channels, works in windows, or sees further than that.
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
        if not float((part - same).abs().max()) <= tolerance:  # NaN is not
            return False
    return True


def peak_memory(network: Network, image: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A network's output, and how many numbers of four bytes its results took at once, at most; weights not counted."""
    with _Alive() as alive:
        fine = network(image)
    return fine, -(-alive.most // 4)


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, for as long as each lives."""

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
