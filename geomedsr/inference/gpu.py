"""Networks on CUDA devices: several bands at once, copies that overlap computation, settings for reproducible bits.

Each tile on the device has its own stream and pinned memory. While one tile is in the network, others are being copied
to or from the device, and the CPU conserves and stores others.
"""

from __future__ import annotations

import math
import queue
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from geomedsr.errors import DeviceError
from geomedsr.models.network import Network

#: How many tiles are on the device at once: one in the network, one being copied there, one being copied back.
AT_ONCE = 3

#: How many bands go through a band-agnostic network at once.
BANDS = 4

#: The share of a device's memory that may be planned for tiles.
SHARE = 0.6

#: Bytes that cuDNN and CUDA need besides torch's own memory. If a device has less left, an error is attributed to lack
#: of memory: unlike torch's allocator, cuDNN and CUDA do not have a separate error for it.
_BESIDE = 1 << 30


def memory(place: torch.device) -> int:
    """Bytes for tiles on a device: a share of its total, not free, memory, so that a resumed job has the same plan."""
    return int(SHARE * torch.cuda.get_device_properties(place).total_memory)


def words(place: torch.device) -> str:
    """The card and cuDNN's version, for the record: results may differ in bits between them."""
    version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f"{torch.cuda.get_device_name(place)}, cuDNN {version}"


class Exact:
    """A context with deterministic kernels, and without TF32 in convolutions and matrix products.

    The settings are global to the process: the first thread that enters makes them, the last that leaves restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                for holder, name, value in _settings():
                    self._kept.append((holder, name, getattr(holder, name)))
                    setattr(holder, name, value)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            while self._inside == 0 and self._kept:
                setattr(*self._kept.pop())


def _settings() -> list[tuple[Any, str, Any]]:
    """Each setting: object, name and value. torch 2.9 has new names for TF32 and does not allow mixing old and new."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):
        exact: list[tuple[Any, str, Any]] = [(part, "fp32_precision", "ieee") for part in (cudnn.conv, products)]
    else:
        exact = [(part, "allow_tf32", False) for part in (cudnn, products)]
    return [*exact, (cudnn, "deterministic", True), (cudnn, "benchmark", False)]


exact = Exact()


#: Tensors by the name of a network's input or output.
Tensors = Mapping[str, torch.Tensor]


class _Lane:
    """A slot for one tile on a device: a stream, and pinned memory that grows to the largest tile."""

    def __init__(self, place: torch.device) -> None:
        self.place = place
        self.stream = torch.cuda.Stream(place)  # type: ignore[no-untyped-call]
        self.over = self.back = torch.empty(0)

    def run(self, network: Network, inputs: Tensors, layout: torch.memory_format) -> dict[str, torch.Tensor]:
        with torch.cuda.stream(self.stream):
            self.over, over = _room(self.over, inputs)
            there = {name: over[name].copy_(batch).to(self.place, non_blocking=True) for name, batch in inputs.items()}
            made = network.planes({name: batch.contiguous(memory_format=layout) for name, batch in there.items()})
            made = {name: planes.contiguous() for name, planes in made.items()}
            self.back, back = _room(self.back, made)
            for name, planes in made.items():
                back[name].copy_(planes, non_blocking=True)
            # A blocking event: otherwise the thread would busy-wait on a core that has work to do.
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            done.record(self.stream)
        done.synchronize()
        return {name: planes.clone() for name, planes in back.items()}


def _room(store: torch.Tensor, like: Tensors) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A store of pinned float32, enlarged if needed, and views of it with the shapes of some tensors."""
    numbers = [tensor.numel() for tensor in like.values()]
    if store.numel() < sum(numbers):
        store = torch.empty(sum(numbers), pin_memory=True)
    parts = torch.split(store[: sum(numbers)], numbers)
    return store, {name: part.view(tensor.shape) for (name, tensor), part in zip(like.items(), parts, strict=True)}


def pinned(*numbers: int) -> int:
    """Bytes of pinned memory for copying tiles with so many numbers in and out: each rounded up to a power of 2."""
    return AT_ONCE * sum(4 << (count - 1).bit_length() for count in numbers)


_making = threading.Lock()
_lanes: dict[torch.device, queue.LifoQueue[_Lane]] = {}


@contextmanager
def _lane(place: torch.device) -> Iterator[_Lane]:
    """A free slot of a device; waits while all are in use. There are few, because torch caches memory per stream."""
    with _making:
        if place not in _lanes:
            lanes = queue.LifoQueue[_Lane]()
            for _ in range(AT_ONCE):
                lanes.put(_Lane(place))
            _lanes[place] = lanes
    lane = _lanes[place].get()
    try:
        yield lane
    finally:
        _lanes[place].put(lane)


def run(network: Network, inputs: Tensors, place: torch.device, layout: torch.memory_format) -> dict[str, torch.Tensor]:
    """A network's sub-pixel planes for float32 batches; input and output are on the CPU, the output contiguous."""
    with torch.inference_mode(), torch.cuda.device(place), _lane(place) as lane, exact:
        return lane.run(network, inputs, layout)


def _started() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def refusals(place: torch.device) -> int:
    """How often torch's allocator ran out of memory on a device. cuDNN then reports a different error."""
    return int(torch.cuda.memory_stats(place).get("num_ooms", 0)) if _started() else 0


def free(place: torch.device) -> float:
    """Free bytes on a device, over all processes."""
    return torch.cuda.mem_get_info(place)[0] if _started() else math.inf


@contextmanager
def oom_as_error(inputs: Tensors, place: torch.device) -> Iterator[None]:
    """Report in one line if batches do not fit into the device's memory.

    Raises:
        DeviceError: they do not fit.
    """
    before = refusals(place)
    try:
        yield
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or refusals(place) > before or free(place) < _BESIDE
        if not full:
            raise
        traceback.clear_frames(error.__traceback__)  # frames keep the tile in memory, in notebooks for good
        shape = next(iter(inputs.values())).shape
        raise DeviceError(
            f"too little free memory on {place} for a batch of {' × '.join(map(str, shape))}",
            "enough for it",
            "end other programs there and run it again; or start afresh with a smaller --tile, or with --device cpu",
        ) from error
