"""Which device computes."""

from __future__ import annotations

import re

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
