"""Networks on CUDA devices: several bands at once, copies that overlap the network, settings that keep bits equal.

Each worker's thread has a stream of its own, and copies through pinned memory, so while one thread's tile is in the
network, another's is on its way to the device or back, and others are conserved and stored by the CPU.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from geomedsr.errors import DeviceError

#: How many tiles are on the device at once: one in the network, one on its way there, one on its way back.
AT_ONCE = 3

#: How many bands go through a band-agnostic network at once.
BANDS = 4

#: The part of a device's memory that tiles may be planned with.
SHARE = 0.6

_turns = threading.BoundedSemaphore(AT_ONCE)
_own = threading.local()


def memory(place: torch.device) -> int:
    """Bytes for tiles on a device: by what it has, not by what is free, so that a job that goes on is planned alike."""
    return int(SHARE * torch.cuda.get_device_properties(place).total_memory)


class Exact:
    """cuDNN without TF32, and with kernels that give the same bits each time, while any thread is inside.

    Its settings are the process's: the first thread that enters makes them, the last that leaves puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                on = torch.backends.cudnn.enabled  # else `flags` would switch it off
                flags = torch.backends.cudnn.flags(enabled=on, allow_tf32=False, deterministic=True, benchmark=False)
                self._kept.enter_context(flags)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._kept.close()


exact = Exact()


def run(module: nn.Module, batch: torch.Tensor, place: torch.device, layout: torch.memory_format) -> torch.Tensor:
    """A module on a float32 batch of the CPU's; the result, contiguous, in pinned memory of the CPU's.

    Raises:
        DeviceError: the device's memory does not hold it.
    """
    stream = _stream(place)
    with _turns, told(batch, place), torch.inference_mode(), exact, torch.cuda.device(place), torch.cuda.stream(stream):
        there = batch.contiguous().pin_memory().to(place, non_blocking=True)
        made: torch.Tensor = module(there.contiguous(memory_format=layout)).contiguous()
        back = torch.empty(made.shape, dtype=made.dtype, pin_memory=True)
        back.copy_(made, non_blocking=True)
        stream.synchronize()
        return back


@contextmanager
def told(batch: torch.Tensor, place: torch.device) -> Iterator[None]:
    """In one line, that the device's memory does not hold a batch."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"too little free memory on {place} for a batch of {' × '.join(map(str, batch.shape))}",
            "enough, beside what else runs there",
            "give a smaller --tile, or use --device cpu",
        ) from error


def _stream(place: torch.device) -> torch.cuda.Stream:
    """This thread's own."""
    streams: dict[torch.device, torch.cuda.Stream] = _own.__dict__.setdefault("streams", {})
    if place not in streams:
        streams[place] = torch.cuda.Stream(place)  # type: ignore[no-untyped-call]
    return streams[place]
