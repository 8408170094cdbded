"""How much memory a job takes, and so how large its tiles and how many its workers may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from geomedsr import operators
from geomedsr.devices import cores
from geomedsr.errors import InputError
from geomedsr.inference import gpu
from geomedsr.inference.runtime import SMALL, Runtime
from geomedsr.io.blocks import chunk_side, region_side
from geomedsr.models import Model
from geomedsr.scene.sources import Source

#: What a job may take where the user says nothing: it fits a machine of 4 GiB.
DEFAULT = 1536 << 20

#: Python, torch, GDAL and its block cache before the first tile, measured.
BASE = 450 << 20

#: Sides of a tile in input pixels, the largest with the least halo.
TILES = (768, 512, 384, 256, 128, 64)

#: Bytes for each of a region's pixels, of the bands made at once: a prediction.
_PER_FLOAT = 4

#: Copies of a region's values on their way out; measured.
_COPIES = 4

#: Workers that keep a device busy: one for each tile that is on it, and as many that conserve, encode and write.
_BUSY = 2 * gpu.AT_ONCE

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


def _nothing(workers: int) -> int:
    return 0


def reader_cache(source: Source, workers: int) -> int:
    """Bytes that the reader of a source keeps beyond the usual while so many workers read."""
    while source.inner is not None:
        source = source.inner
    return source.cache(workers)


@dataclass(frozen=True)
class Need:
    """What a worker of a model holds at once, at most: a tile's activations, and a region's values on their way out.

    ``activation`` is the bytes of one number of those; ``bands`` and ``itemsize`` are the result's. ``region`` is the
    ``(height, width)`` of regions in input pixels, once it is known; until then they follow the tile. ``depth`` is how
    many frames of the input they are made of. ``at_once`` is how many bands go through a band-agnostic network
    together, ``device`` how many bytes the memory has that activations are in, where that is not the CPU's;
    ``conserved`` says whether the result is made to agree with the input. ``cache`` tells what readers keep of the
    inputs, in bytes, for a number of workers.
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
        """On a device, in a precision."""
        activation = 2 if runtime.precision == "bfloat16" else 4
        return cls(model, activation, bands, itemsize, region, runtime.bands, runtime.memory, conserved, cache)

    def side(self, tile: int) -> int:
        """The side of the equal parts that a region is computed in, for the side of a tile, both in input pixels.

        Regions are of whole blocks (``blocks.region_side``), whatever the tile is, and smaller where there are many
        bands. Until they are known, Zarr's are taken, which are the largest.
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
        """Bands that go through the network at once: as its channels, or as images of a batch."""
        return 1 if self.model.descriptor.channels > 1 else min(self.bands, self.at_once)

    def worker(self, tile: int) -> int:
        """Bytes of the CPU's memory: what the network holds, or what its prediction takes, and the region's values."""
        card = self.model.descriptor
        rows, cols = (self._region(tile),) * 2 if self.region is None else self.region
        pixels = self.depth * rows * cols * card.factors.volume
        guesses = pixels * (self.bands if card.channels > 1 else self._together)
        network = self.network(tile) if self.device is None else 0
        if self.depth > 1 or self.side(tile) < max(rows, cols):  # parts are put together while others are computed
            network += guesses * _PER_FLOAT
        operator = card.operator if self.conserved else operators.Unconstrained.name
        made = guesses * (operators.get(operator).held + _PER_FLOAT * len(card.ports.outputs))
        beside = sum(count * y * x for _, count, (y, x) in card.shapes[1:])
        others = (card.frames - 1 + beside / card.channels) / card.factors.volume  # these are read, not made
        seen = self.bands * others * (_PER_FLOAT + self.itemsize)
        results = self.bands * _COPIES * self.itemsize * (1 + len(card.ports.outputs))
        return int(max(network, made) + pixels * (results + seen))

    def choose(self, shape: tuple[int, int], memory: int) -> tuple[int, int]:
        """The side of a tile, and how many workers, that fit: all cores if any tile allows it, then the least time.

        Time goes with the pixels computed, halos included, shared by the workers; at the end some of them wait for a
        region of another, for half of its time on average, unless regions are whole frames whatever the tile is.
        A tile larger than the scene has no use; a very small one is computed twice (see ``runtime``). A device is
        shared by all workers: as many as keep it busy come first, then large tiles.
        """
        wanted = cores() if self.device is None else min(cores(), _BUSY)
        for least in (wanted, 1):
            fitting = [tile for tile in TILES if self.workers(tile, memory, 0) >= least and self._on_device(tile)]
            if fitting:
                tile = min(fitting, key=lambda tile: self._time(tile, shape, self.workers(tile, memory)))
                return tile, self.workers(tile, memory)
        return TILES[-1], 1

    def workers(self, tile: int, memory: int, least: int = 1) -> int:
        """How many workers of such a tile fit, but no more than cores; no fewer than ``least``."""
        free = memory - BASE - self._pinned(tile)
        one = self.worker(tile)
        most = min(cores(), free // one)
        while most > 0 and most * one + self.cache(most) > free:
            most -= 1
        return max(least, most)

    def least(self, tile: int) -> int:
        """Bytes that a job of one worker takes."""
        return BASE + self._pinned(tile) + self.cache(1) + self.worker(tile)

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
        radius = self.model.radius  # the halo costs about half of its pixels, layers being trimmed
        if not self.model.module.trims:
            radius *= 2
        side, region = self.side(tile), self._region(tile)
        height, width = (n + -(-n // side) * radius for n in shape)
        largest = (min(region, shape[0]) + radius) * (min(region, shape[1]) + radius)
        twice = 2 if (min(side, *shape) + 2 * self.model.radius) ** 2 * self.model.descriptor.inputs < SMALL else 1
        return twice * (height * width / workers + (0 if self.region else largest / 2))
