"""Compute devices."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import warnings
from functools import lru_cache

import torch

from geomedsr.errors import DeviceError, SceneWarning


def choose_device(name: str = "auto") -> torch.device:
    """The device for ``auto`` (a GPU if this torch can use one), ``cpu``, ``cuda`` (the first GPU) or ``cuda:N``.

    Raises:
        DeviceError: an unknown name, or a GPU that does not exist or that this torch was not built for.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise DeviceError(f"the device {name!r}", "auto, cpu, cuda or cuda:N", "choose one of these")
    count = torch.cuda.device_count() if name != "cpu" and torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    index = int(name.partition(":")[2] or 0)  # an explicit number: CUDA's current device differs between threads
    if index >= count:
        raise DeviceError(f"the device {name}", f"one of {count} CUDA devices, or cpu", "use --device cpu")
    fault = _fault(index)
    if fault is None:
        return torch.device("cuda", index)
    if name != "auto":
        raise DeviceError(f"the device {name} ({fault})", "one that this torch can use", "use --device cpu")
    warnings.warn(f"the GPU cannot be used ({fault}): computing on the CPU", SceneWarning, stacklevel=2)
    return torch.device("cpu")


@lru_cache
def _fault(index: int) -> str | None:
    """Why a GPU cannot be used, for example because torch was not built for so old a GPU; None if it can."""
    try:
        (torch.ones(2, device=f"cuda:{index}") + 1).tolist()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0][:120]
    return None


def fast_bfloat16(place: torch.device) -> bool:
    """Whether a device supports bfloat16 natively: CPUs with AVX512_BF16 or AMX, GPUs since Ampere."""
    if place.type == "cuda":
        with torch.cuda.device(place):  # the query is about the current device
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    kinds = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, kind, bool)()) for kind in kinds)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def keep_memory() -> bool:
    """Let the C library keep the memory of freed activations for the next ones; returns whether it does.

    By default glibc returns large blocks to the system at once, and requests them again, zeroed page by page, for the
    next layer. On CPUs this took up to half of the time of inference (docs/decisions/0008). The 64 MiB arenas that
    glibc makes for threads are too small for such blocks, so threads started after this call share one arena. At most
    the peak memory in use is kept. Nothing is changed if the user has set one of glibc's ``MALLOC_`` variables.
    Variables that Dask sets for its workers, which make glibc return more memory, do not count as the user's.
    """
    dask = sys.modules.get("dask.config")
    theirs = dask.get("distributed.nanny.pre-spawn-environ", {}) if dask else {}
    if any(name.startswith("MALLOC_") and str(theirs.get(name)) != value for name, value in os.environ.items()):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # not glibc
    trim_threshold, mmap_threshold, arena_max, most = -1, -3, -8, 2**31 - 1
    mallopt(arena_max, 1)
    return bool(mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)) and bool(
        mallopt(trim_threshold, most)
    )
