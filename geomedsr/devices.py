"""Which device computes."""

from __future__ import annotations

import ctypes
import os
import re
from functools import lru_cache

import torch

from geomedsr.errors import DeviceError


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: another name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DeviceError(f"the device {name!r}", "auto, cpu, cuda or cuda:N", "choose one of these")
    device = torch.device(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceError(f"the device {name}", f"one of {count} CUDA devices, or cpu", "use --device cpu")
    return device


def fast_bfloat16(place: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself: CPUs with AVX512_BF16 or AMX, GPUs since Ampere."""
    if place.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    kinds = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, kind, bool)()) for kind in kinds)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def keep_memory() -> bool:
    """Let the C library keep the memory that a network's activations free, for the next ones; whether it does.

    glibc gives large blocks back to the system at once and asks for them again, zeroed page by page, at the next
    layer: on CPUs that took up to half of the time of inference (docs/decisions/0008). Nor can the memory that glibc
    sets aside for a thread, 64 MiB, hold such blocks; so threads started from here on share one store. What is kept is
    at most what was in use at once. It is left alone where the user has set one of glibc's ``MALLOC_`` variables.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # another C library
    trim_threshold, mmap_threshold, arena_max, most = -1, -3, -8, 2**31 - 1
    mallopt(arena_max, 1)
    return bool(mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)) and bool(
        mallopt(trim_threshold, most)
    )
