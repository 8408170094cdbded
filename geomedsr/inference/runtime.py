"""Running a generator: the device, the precision, the memory layout, and no more pixels than needed.

CUDA devices are in ``gpu``. On CPUs, oneDNN computes convolutions. With 16-bit floats, or if a result has 16 bits or
fewer, tensors are channels-last, the fastest layout; else they are contiguous, so that results have the same bits
whatever the window's shape (docs/decisions/0002).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from geomedsr.devices import choose_device, fast_bfloat16
from geomedsr.errors import DeviceError
from geomedsr.geometry import Factors
from geomedsr.inference import gpu
from geomedsr.models import Model
from geomedsr.models.network import Network

Precision = Literal["float32", "bfloat16"]

#: torch does not use oneDNN for a single image of up to 20 480 numbers.
SMALL = 1 << 15


@dataclass(frozen=True)
class Runtime:
    """A device by name, a precision, and the memory layout that goes with it; picklable.

    ``bands`` is how many bands go through a band-agnostic network at once: on CPUs one, which stays in the cache.
    """

    device: str
    precision: Precision
    channels_last: bool
    bands: int = 1

    @classmethod
    def choose(cls, model: Model, device: str, precision: str | None, itemsize: int) -> Runtime:
        """The runtime of a model, in the given precision.

        The default is bfloat16 if the card allows it and the device computes fast in it, else float32.

        Raises:
            DeviceError: no such device or precision, or bfloat16 for a third-party network.
        """
        place = choose_device(device)
        if precision is None:
            tolerated = model.descriptor.precision == "bfloat16" and fast_bfloat16(place)
            chosen: Precision = "bfloat16" if tolerated else "float32"
        elif precision in ("float32", "bfloat16"):
            chosen = precision  # type: ignore[assignment]
        else:
            raise DeviceError(f"the precision {precision!r}", "float32 or bfloat16", "choose one of these")
        if chosen not in model.module.precisions:
            raise DeviceError(
                f"{chosen} for {model.descriptor.name}",
                "float32, the only precision that it was tested in",
                "leave it out",
            )
        last = model.module.any_layout and (chosen == "bfloat16" or itemsize <= 2)
        return cls(str(place), chosen, last, gpu.BANDS if place.type == "cuda" else 1)

    @property
    def memory(self) -> int | None:
        """Bytes for tiles on a device with its own memory; None if tiles are in the CPU's memory."""
        place = choose_device(self.device)
        return gpu.memory(place) if place.type == "cuda" else None

    @property
    def words(self) -> str:
        """The library and device, for the record; for GPUs also the model, since bits differ between them."""
        place = choose_device(self.device)
        card = f" ({gpu.words(place)})" if place.type == "cuda" else ""
        return f"torch {torch.__version__.partition('+')[0]} {place.type}{card}"

    def __call__(self, model: Model, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run a network on normalised float32 batches ``(B, C, H + 2r, W + 2r)`` with their halo, by name.

        Returns its outputs by name, as sub-pixel planes ``(B, C, s², H, W)``
        (:meth:`geomedsr.models.network.Network.planes`), float32, on the CPU.

        Raises:
            DeviceError: it does not fit into the memory of the GPU.
        """
        place = choose_device(self.device)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        if place.type == "cuda":
            with gpu.oom_as_error(inputs, place):
                return gpu.run(prepared(model, self, place), inputs, place, layout)
        network = prepared(model, self, place)
        with torch.inference_mode():
            count = len(next(iter(inputs.values())))
            alone = count == 1 and all(batch.numel() < SMALL for batch in inputs.values())
            given = {name: batch.repeat(2, 1, 1, 1) if alone else batch for name, batch in inputs.items()}
            made = network.planes({name: batch.contiguous(memory_format=layout) for name, batch in given.items()})
            return {name: planes[:count] for name, planes in made.items()}


def bands_at_once(bands: int, numbers: int) -> int:
    """How many bands go through a network at once; ``bands`` suits the device, and ``numbers`` is the size of an image.

    At least two for small images, since a single one would be computed twice.
    """
    return max(bands, 2) if numbers < SMALL else bands


_kept: dict[tuple[str, float, Factors, float, bool, str, Runtime], Network] = {}
_preparing = threading.Lock()


def prepared(model: Model, runtime: Runtime, place: torch.device) -> Network:
    """The network in the runtime's device, precision and layout; made once per process."""
    chosen = model.descriptor.factors, model.profile, model.interval
    key = (model.sha256, model.realism, *chosen, str(place), runtime)
    with _preparing:
        if key not in _kept:
            module = copy.deepcopy(model.module)
            if runtime.precision == "bfloat16":
                for part in module.modules():
                    if isinstance(part, (nn.Conv2d, nn.PReLU)):  # the skip keeps its precision
                        part.to(torch.bfloat16)
            layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
            _kept[key] = module.to(place, memory_format=layout).eval()  # type: ignore[call-overload]
            if place.type == "cuda":
                torch.cuda.synchronize(place)  # streams of other threads do not wait for this one
        return _kept[key]
