"""Third-party checkpoints (Real-ESRGAN and the like), through the package ``spandrel``.

``spandrel`` recognises a network's architecture and size from the names and shapes of its weights, and has the
network's code. Weights are read here, without running anything in a file: ``torch.load(weights_only=True)``, or
safetensors. A checkpoint does not describe its network's behaviour, so the network is run once to find out whether its
output has the right size and depends on the input alone, and how large its receptive field is (see ``probe``).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geomedsr.errors import ModelError
from geomedsr.models.code import code_of
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.import_spandrel import import_spandrel
from geomedsr.models.network import Network
from geomedsr.models.ports import Shapes
from geomedsr.models.probe import peak_memory, probed_radius, tiles_exactly
from geomedsr.scene.padding import reflected
from geomedsr.scene.scaling import PERCENTILES

#: File suffixes of checkpoints, besides ``.safetensors``.
SUFFIXES = (".pth", ".pt", ".ckpt")

#: The prefix of architecture names in descriptors.
PREFIX = "spandrel:"

#: The largest radius that is used in full: around a tile of 256 pixels, its halo is half of all computation.
#: Networks with a wider or an unknown receptive field get :data:`HALO` instead.
MOST_RADIUS = 53

#: The declared halo, in input pixels, of a network whose radius is unknown or too large: a multiple of the attention
#: windows of 8 and 16. With it a tile of Real-ESRGAN ×4 differed from the untiled result by 0.3 % of the value range on
#: average; with half of it by 1.1 %; with 48 pixels by 0.06 %, but a tile of 128 pixels then costs a third more.
HALO = 32

#: The memory that a network takes, as a multiple of what the trial run measured; rounded up.
_HELD = 1.8

#: The smallest side of the image for the trial run.
_TRIAL = 16

_KINDS = {"FaceSR": "for faces", "Inpainting": "for inpainting", "Restoration": "for restoration, which keeps the size"}


class CommunityNet(Network):
    """A third-party generator ``(B, C, H, W)`` → ``(B, C, s·H, s·W)``, float32, normalised values, never clamped.

    ``radius`` is the halo in input pixels, ``exact`` tells whether the network sees no farther, and ``activations`` is
    the measured peak of numbers in memory per input pixel. If a network needs a minimum size or a multiple of some
    size, the image is continued by reflection at the right and at the bottom. Third-party code may rely on one dtype
    and the default memory layout.
    """

    precisions = ("float32",)
    any_layout = False
    exports = False

    def __init__(self, network: nn.Module, scale: int, multiple: int = 1, least: int = 1, square: bool = False) -> None:
        super().__init__()
        self.network = network
        self.scale, self.multiple, self.least, self.square = scale, multiple, least, square
        self.radius, self.exact, self.activations = HALO, False, 0.0

    @property
    def receptive_radius(self) -> int:
        """The halo."""
        return self.radius

    @property
    def tiling(self) -> str:  # type: ignore[override]
        """``"exact"``, or the approximation, as results record it."""
        return "exact" if self.exact else f"approximate tiling, halo {self.radius}"

    def held(self, shapes: Shapes) -> float:
        """The memory measured in the trial run, with a margin."""
        return _HELD * self.activations

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Super-resolve a batch, image by image: ``spandrel`` guarantees no more."""
        height, width = x.shape[-2:]
        rows, columns = self._size(height), self._size(width)
        if self.square:
            rows = columns = max(rows, columns)
        if (rows, columns) != (height, width):
            down = torch.from_numpy(reflected(0, rows, height)).to(x.device)
            right = torch.from_numpy(reflected(0, columns, width)).to(x.device)
            x = x[..., down[:, None], right[None, :]]
        fine = torch.cat([self.network(x[i : i + 1]) for i in range(len(x))])
        return fine[..., : height * self.scale, : width * self.scale]

    def _size(self, pixels: int) -> int:
        return -(-max(pixels, self.least) // self.multiple) * self.multiple


def load_community(path: str, sha256: str, state: Mapping[str, Any] | None = None) -> tuple[Descriptor, CommunityNet]:
    """The network in a checkpoint file, and its card; ``state`` holds its weights if they have been read.

    Raises:
        ModelError: ``spandrel`` is not installed, the file holds no weights, or weights of an unsupported kind.
    """
    what = f"the checkpoint {path}" + (" without geomedsr's description" if state is not None else "")
    if state is None:
        state = _weights(path)
    found = _recognised(what, state)
    net = CommunityNet(
        found.model.float().eval().requires_grad_(False),
        found.scale,
        found.size_requirements.multiple_of,
        found.size_requirements.minimum,
        found.size_requirements.square,
    )
    _try_out(path, net, found.input_channels, found.architecture.id)
    descriptor = Descriptor(
        name=re.sub(r"\s+", "-", Path(path).stem),
        version=sha256[:12],
        architecture=PREFIX + found.architecture.id,
        scale=found.scale,
        channels=found.input_channels,
        bands=("red", "green", "blue") if found.input_channels == 3 else (),
        domain="photographs",
        value_range=PERCENTILES,
        description=f"A network of others, {found.architecture.name}, as {Path(path).name} holds it",
        licence="As its authors say: the file does not tell",
    )
    return descriptor, net


def _weights(path: str) -> Mapping[str, Any]:
    """The weights in a ``.pth`` file of tensors, numbers and containers alone; no code in it is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint may raise anything
        called = code_of(path)
        why = f"it {called}, and no code of a file is run" if called else "damaged, or no checkpoint"
        raise ModelError(
            f"{path}, which cannot be read as weights ({why})",
            "a file of tensors",
            "get it as .safetensors, or another",
        ) from error
    if not isinstance(state, Mapping):
        raise ModelError(f"{path}, which holds a {type(state).__name__}", "weights by name", "get another file")
    return state


def _recognised(checkpoint: str, state: Mapping[str, Any]) -> Any:
    """``spandrel``'s descriptor of a super-resolution network.

    Raises:
        ModelError: ``spandrel`` is not installed or does not know the weights, or the network does not make a finer
            image of the same bands.
    """
    spandrel = import_spandrel(checkpoint)

    def refused(what: str) -> ModelError:
        return ModelError(
            f"{checkpoint} {what}",
            "a super-resolution network ×2 … ×16 of RGB or grey images, of an architecture that spandrel knows",
            "use another model",
        )

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = spandrel.MAIN_REGISTRY.load(spandrel.canonicalize_state_dict(dict(state)))
    except spandrel.UnsupportedModelError as error:
        raise refused("of an unknown architecture") from error
    except Exception as error:  # weights that only resemble an architecture's may raise anything
        raise refused(f"whose weights fit no network ({type(error).__name__})") from error
    if found.purpose != "SR":
        raise refused(f"{_KINDS.get(found.purpose, found.purpose)} ({found.architecture.name})")
    if not 2 <= found.scale <= 16:
        raise refused(f"of scale {found.scale} ({found.architecture.name})")
    if found.input_channels != found.output_channels or found.input_channels not in (1, 3):
        raise refused(f"that makes {found.output_channels} channels of {found.input_channels}")
    return found


def _try_out(path: str, net: CommunityNet, channels: int, architecture: str) -> None:
    """Find out what a network's file does not state; see the module docstring.

    Raises:
        ModelError: the output does not have the right size, or does not depend on the input alone.
    """
    side = max(_TRIAL, net._size(_TRIAL))
    image = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))
    why = ""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fine, held = peak_memory(net, image)
            if fine.shape != (1, channels, side * net.scale, side * net.scale):
                why = f"gives {tuple(fine.shape[2:])} for {side} × {side} pixels"
            elif not torch.allclose(fine, net(image), rtol=1e-4, atol=1e-4, equal_nan=True):
                why = "draws at random: it gives two results for one input"
        except Exception as error:  # third-party code may raise anything
            why = f"does not run as an image to an image ({type(error).__name__})"
        if why:
            raise ModelError(
                f"the checkpoint {path} ({architecture}), which {why}",
                "a network that makes one finer image of an image",
                "use another model",
            )
        net.activations = held / side**2
        if net.multiple == 1 and not net.square:
            radius = probed_radius(net, channels, net.scale, MOST_RADIUS, net.least)
            if radius is not None and tiles_exactly(net, channels, net.scale, radius, net.least):
                net.radius, net.exact = radius, True
