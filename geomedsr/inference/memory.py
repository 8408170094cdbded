"""The memory that a job takes, and the size of its tiles and the number of its workers that follow from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from geomedsr import operators
from geomedsr.devices import cores
from geomedsr.errors import InputError
from geomedsr.inference import gpu
from geomedsr.inference.runtime import SMALL, Runtime
from geomedsr.io.blocks import chunk_side, region_side
from geomedsr.models import Model
from geomedsr.scene.sources import Cache, Source

#: The default memory limit of a job: it fits a machine with 4 GiB.
DEFAULT = 1536 << 20

#: Bytes of Python, torch, and GDAL with its block cache before the first tile; measured.
BASE = 450 << 20

#: Sides of a tile in input pixels; the larger, the smaller the share of the halo.
TILES = (768, 512, 384, 256, 128, 64)

#: Bytes of a prediction for each pixel of a region, per band made at once.
_PER_FLOAT = 4

#: Copies of a region's values during output; measured.
_COPIES = 4

#: Workers that keep a device busy: one for each tile on it, and as many again to conserve, encode and write.
_BUSY = 2 * gpu.AT_ONCE

_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def size(text: str | int) -> int:
    """Bytes: ``2GiB``, ``1500MB``, or a number.

    Raises:
        InputError: the text is no size, or less than the minimum.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", str(text), re.IGNORECASE)
    number = int(float(match[1]) * _UNITS[(match[2] or "").lower()]) if match else 0
    if number < BASE + (64 << 20):
        raise InputError(
            f"--memory {text}", f"at least {(BASE >> 20) + 64}MiB, such as 2GiB", "give more, or leave it out"
        )
    return number


def _nothing(workers: int) -> int:
    return 0


def reader_cache(sources: Sequence[Source], workers: int) -> int:
    """Bytes that caches hold of all that sources are computed from while ``workers`` threads read."""
    held: Counter[Cache] = Counter()
    for each in _read_by(sources):
        held.update(each.cached(workers))
    return sum(min(size, cache.most) for cache, size in held.items())


def _read_by(sources: Sequence[Source]) -> Iterator[Source]:
    """Sources and all that they are computed from, each once."""
    found, left = set(), list(sources)
    while left:
        each = left.pop()
        if id(each) not in found:
            found.add(id(each))
            left += each.reads
            yield each


@dataclass(frozen=True)
class Need:
    """The peak memory of a worker: a tile's activations, and a region's values during output.

    ``activation`` is the number of bytes per activation. ``bands`` and ``itemsize`` are the result's. ``region`` is the
    ``(height, width)`` of regions in input pixels; until it is known, regions follow from the tile. ``depth`` is the
    number of input frames that a region is made from. ``at_once`` is how many bands go through a band-agnostic network
    together. ``device`` is the memory for activations in bytes, if they are not in the CPU's memory. ``conserved``
    tells whether the result is made to agree with the input. ``cache`` returns the bytes that readers of the inputs
    cache for a number of workers. ``held`` is how many bytes of an image that is predicted, too, a worker holds, and
    ``kept`` how many bytes of predictions all workers keep together.
    """

    model: Model
    activation: int
    bands: int
    itemsize: int
    region: tuple[int, int] | None = None
    at_once: int = 1
    device: int | None = None
    conserved: bool = True
    cache: Callable[[int], int] = _nothing
    depth: int = 1
    held: int = 0
    kept: int = 0

    @classmethod
    def of(
        cls,
        model: Model,
        runtime: Runtime,
        bands: int,
        itemsize: int,
        region: tuple[int, int] | None = None,
        conserved: bool = True,
        cache: Callable[[int], int] = _nothing,
    ) -> Need:
        """The need of a model on the device and in the precision of ``runtime``."""
        activation = 2 if runtime.precision == "bfloat16" else 4
        return cls(model, activation, bands, itemsize, region, runtime.bands, runtime.memory, conserved, cache)

    def side(self, tile: int) -> int:
        """The side of the equal parts in which a region is computed, for the side of a tile, both in input pixels.

        Regions consist of whole blocks (``blocks.region_side``), whatever the tile, and are smaller if there are many
        bands. Until they are known, those of Zarr, the largest, are assumed.
        """
        region = self._region(tile) if self.region is None else max(self.region)
        return -(-region // -(-region // tile))

    def _region(self, tile: int) -> int:
        scale = self.model.descriptor.scale
        chunk = chunk_side(self.bands, self.itemsize)
        return -(-region_side(tile * scale, chunk, chunk) // scale)

    def network(self, tile: int) -> int:
        """Bytes of a tile's activations."""
        card, network = self.model.descriptor, self.model.module
        seen = (self.side(tile) + 2 * self.model.radius) ** 2
        return int(network.held(card.shapes) * self.activation * seen * self._together)

    @property
    def _together(self) -> int:
        """Bands that go through the network at once, as its channels or as images of a batch."""
        return 1 if self.model.descriptor.channels > 1 else min(self.bands, self.at_once)

    def worker(self, tile: int) -> int:
        """Bytes of the CPU's memory: the network's activations or its prediction, and the region's values."""
        card = self.model.descriptor
        rows, cols = (self._region(tile),) * 2 if self.region is None else self.region
        pixels = self.depth * rows * cols * card.factors.volume
        guesses = pixels * (self.bands if card.channels > 1 else self._together)
        network = self.network(tile) if self.device is None else 0
        if self.depth > 1 or self.side(tile) < max(rows, cols):  # finished parts are kept while others are computed
            network += guesses * _PER_FLOAT
        operator = card.operator if self.conserved else operators.Unconstrained.name
        made = guesses * (operators.get(operator).held + _PER_FLOAT * len(card.ports.outputs))
        beside = sum(count * y * x for _, count, (y, x) in card.shapes[1:])
        others = (card.frames - 1 + beside / card.channels) / card.factors.volume  # context and other inputs
        seen = self.bands * others * (_PER_FLOAT + self.itemsize)
        results = self.bands * _COPIES * self.itemsize * (1 + len(card.ports.outputs))
        return int(max(network, made) + pixels * (results + seen)) + self.held

    def choose(self, shape: tuple[int, int], memory: int) -> tuple[int, int]:
        """The side of a tile and the number of workers that fit into memory: all cores if possible, then the least
        time.

        Time is proportional to the pixels computed, halos included, divided among the workers. At the end, workers wait
        for the last region, half of its time on average, unless regions are whole frames whatever the tile. A tile
        larger than the scene is useless; a very small one is computed twice (see ``runtime``). A device is shared by
        all workers: enough workers to keep it busy have priority over large tiles.
        """
        wanted = cores() if self.device is None else min(cores(), _BUSY)
        for least in (wanted, 1):
            fitting = [tile for tile in TILES if self.workers(tile, memory, 0) >= least and self._on_device(tile)]
            if fitting:
                tile = min(fitting, key=lambda tile: self._time(tile, shape, self.workers(tile, memory)))
                return tile, self.workers(tile, memory)
        return TILES[-1], 1

    def workers(self, tile: int, memory: int, least: int = 1) -> int:
        """How many workers with such a tile fit into memory; at most the number of cores, and at least ``least``."""
        free = memory - BASE - self.kept - self._pinned(tile)
        one = self.worker(tile)
        most = min(cores(), free // one)
        while most > 0 and most * one + self.cache(most) > free:
            most -= 1
        return max(least, most)

    def least(self, tile: int) -> int:
        """Bytes that a job with one worker takes."""
        return BASE + self.kept + self._pinned(tile) + self.cache(1) + self.worker(tile)

    def _pinned(self, tile: int) -> int:
        if self.device is None:
            return 0
        card, side = self.model.descriptor, self.side(tile)
        bands = card.channels if card.channels > 1 else self._together
        numbers = (side + 2 * self.model.radius) ** 2 * self._together * card.inputs, (side * card.scale) ** 2 * bands
        return gpu.pinned(*numbers)

    def _on_device(self, tile: int) -> bool:
        return self.device is None or gpu.AT_ONCE * self.network(tile) <= self.device

    def _time(self, tile: int, shape: tuple[int, int], workers: int) -> float:
        workers = 1 if self.device is not None else workers
        radius = self.model.radius  # half of the halo's pixels on average, since layers are trimmed
        if not self.model.module.trims:
            radius *= 2
        side, region = self.side(tile), self._region(tile)
        height, width = (n + -(-n // side) * radius for n in shape)
        largest = (min(region, shape[0]) + radius) * (min(region, shape[1]) + radius)
        twice = 2 if (min(side, *shape) + 2 * self.model.radius) ** 2 * self.model.descriptor.inputs < SMALL else 1
        return twice * (height * width / workers + (0 if self.region else largest / 2))
