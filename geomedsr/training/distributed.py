"""Several processes that train one model, as torchrun starts them: who is who, and what they tell each other.

A process takes its share of each batch, and gradients are averaged, so that a step is that of one process with the
whole batch, up to the rounding of sums. Losses are given the logits of all. See docs/decisions/0013.
"""

from __future__ import annotations

import atexit
import os
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

from geomedsr.devices import choose_device
from geomedsr.errors import DeviceError, SceneWarning
from geomedsr.io.files import reason

#: What torchrun tells each process.
_SET = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

#: How long the others wait while the first validates.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class ProcessGroup:
    """Process ``rank`` of ``size``; alone, by default, and then nothing here does anything."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is this one that validates, and writes logs, checkpoints and models."""
        return self.rank == 0

    def shard(self, items: range, pieces: int) -> list[int]:
        """Which items of a batch are this process's, where a batch is used in so many pieces one after the other.

        Of each piece the same part, so that piece by piece the processes together hold what one would.
        """
        own = len(items) // (pieces * self.size)
        return [items[(piece * self.size + self.rank) * own + i] for piece in range(pieces) for i in range(own)]

    def gather(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits of all processes, ``(size · B, …)``, in the batch's order.

        A loss of them is the same in every process, and each has a path only to its own logits: their gradient is
        multiplied by ``size``, so that the average over processes is the gradient of the whole.
        """
        if self.size == 1:
            return logits
        parts = [torch.empty_like(logits, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with _connected():
            dist.all_gather(parts, logits.detach().contiguous())
        own = logits.view_as(logits)
        if own.requires_grad:
            own.register_hook(lambda slope: slope * self.size)  # type: ignore[no-untyped-call]
        parts[self.rank] = own
        return torch.cat(parts)

    def average_gradients(self, network: nn.Module) -> None:
        """Make a network's gradients their mean over all processes."""
        if self.size == 1:
            return
        slopes = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([slope.flatten() for slope in slopes])
        with _connected():
            dist.all_reduce(flat)
        flat /= self.size
        for slope, mean in zip(slopes, torch.split(flat, [slope.numel() for slope in slopes]), strict=True):
            slope.copy_(mean.view(slope.shape))

    def means(self, values: Mapping[str, float], device: torch.device) -> dict[str, float]:
        """The mean of each value over all processes, which must name the same ones."""
        if self.size == 1:
            return dict(values)
        sums = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
        with _connected():
            dist.all_reduce(sums)
        return dict(zip(values, (sums / self.size).tolist(), strict=True))

    def broadcast(self, data: bytes) -> bytes:
        """The first process's data."""
        box = [data]
        if self.size > 1:
            with _connected():
                dist.broadcast_object_list(box)
        return box[0]

    @contextmanager
    def warning_once(self) -> Iterator[None]:
        """Within, only the first process reports what all find in the sources that they all open."""
        if self.first:
            yield
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SceneWarning)
            yield


def place() -> tuple[int, int]:
    """Which process this is and of how many, as torchrun says; 0 of 1 where it did not start this one."""
    if not all(key in os.environ for key in _SET):
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


@contextmanager
def process_group(name: str) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """The process group that this process is in, and its device; at the end, all wait for each other.

    One process alone where torchrun did not start it. ``name`` is a recipe's ``device``; GPUs are given out by
    ``LOCAL_RANK``. Connections stay for the next run: made anew, processes could find each other's old addresses.

    Raises:
        DeviceError: no such device, not a GPU for each process, or processes that do not find each other.
    """
    rank, size = place()
    if size == 1:
        yield ProcessGroup(), choose_device(name)
        return
    if name.startswith("cuda:"):
        raise DeviceError(f"the device {name} for {size} processes", "auto, cpu or cuda", "leave the number out")
    own = name in ("auto", "cuda") and torch.cuda.is_available()
    device = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if own else name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    ours = not dist.is_initialized()
    if ours:
        _connect("nccl" if device.type == "cuda" else "gloo", size)
    try:
        yield ProcessGroup(rank, size), device
        with _connected():
            dist.barrier()
    except BaseException as error:
        if ours:
            _clear(error)
            _leave()  # or the others would wait
        raise


def _connect(backend: str, size: int) -> None:
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"{size} processes that do not find each other ({reason(error)})",
            "what torchrun sets",
            "start them with torchrun, or unset RANK and WORLD_SIZE",
        ) from error
    atexit.register(_leave)


def _clear(error: BaseException | None) -> None:
    """Let go of what an error's frames hold: torch's group, too, which ends its threads only when nothing holds it.

    Threads that are left would ask for the interpreter while it ends, which aborts the process.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise DeviceError(
            "no answer from another process of this run",
            "all of them running",
            "see what that one said, and run the same command again: it goes on from the last good checkpoint",
        ) from error
