"""A new task in one module: a denoiser of the same size, with a network and an operator of its own.

``within-noise`` promises that no pixel moves by more than three times the noise of its scene, measured in the scene
itself. So whatever the network takes for noise, nothing that stands out is removed, and ``verify`` can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.models.network import Network
from geomedsr.models.store import ARCHITECTURES
from geomedsr.operators import OPERATORS, Observation, Unconstrained
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, CroppedSource, Source

#: How many rows of a scene its noise is measured in, and how many standard deviations a pixel may move.
ROWS, MOST = 256, 3.0


class Denoiser(Network):
    """The noise is predicted and taken away (Zhang et al. 2017, DnCNN, arXiv:1608.03981), by four layers."""

    receptive_radius = 4

    def __init__(self, scale: int, channels: int, width: int = 16) -> None:
        super().__init__()
        if scale != 1:
            raise ValueError(f"scale {scale}: a denoiser keeps the size")
        self.scale = scale
        sides = (channels, width, width, width, channels)
        layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sides)]
        self.noise = nn.Sequential(layers[0], *(part for layer in layers[1:] for part in (nn.ReLU(), layer)))
        nn.init.zeros_(layers[-1].weight)  # it begins with no change at all

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to the same."""
        clean: torch.Tensor = image - self.noise(image)
        return clean


@dataclass(frozen=True)
class WithinNoise(Unconstrained):
    """See the module's text; ``bound`` is how far pixels of each band may move, in stored units."""

    bound: tuple[float, ...] = ()

    name = "within-noise"
    keeps = "pixels within the noise"
    constrains = True
    held = 48

    def bind(self, scenes: Mapping[str, Scene]) -> WithinNoise:
        """To the noise of the image: of the whole file, also where a window of it is shown."""
        source: Source = scenes["image"].source
        while isinstance(source, CroppedSource):
            source = source.whole
        frames, _, height, width = source.shape
        some = (divmod(int(place), height) for place in np.linspace(0, frames * height - 1, ROWS))
        boxes = [Box((frame, row, 0), (frame + 1, row + 1, width)) for frame, row in some]
        lines = [np.where(source.valid(box), source.read(box).astype(np.float64), np.nan) for box in boxes]
        steps = np.moveaxis(np.abs(np.diff(np.concatenate(lines))), 1, 0)
        medians = [np.median(band[known]) if (known := np.isfinite(band)).any() else 0 for band in steps]
        spread = np.array(medians) * 1.4826 / 2**0.5
        return WithinNoise(tuple(map(float, MOST * spread)))

    def agree(self, seen: Observation, planes: Array, out: Array) -> None:
        """The prediction, no further from the input than the noise reaches; whole numbers are rounded inwards."""
        super().agree(seen, planes, out)
        bound = np.array(self.bound[seen.bands])[:, None, None]
        bound, stored = bound if out.dtype.kind == "f" else np.floor(bound), seen.stored.astype(np.float64)
        near = np.clip(out.astype(np.float64), stored - bound, stored + bound).astype(out.dtype)
        out[...] = near if seen.nodata is None else np.where(near == seen.nodata, seen.stored, near)

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """How far the furthest pixel moved, as a part of what is allowed."""
        worst, bound = 0.0, np.maximum(np.array(self.bound), 1e-30)[:, None, None]
        for box in boxes:
            moved = result.source.read(box).astype(np.float64) - source.source.read(box).astype(np.float64)
            valid = source.source.valid(box)
            worst = max(worst, float((np.abs(moved) / bound)[valid].max(initial=0.0)))
        promise = f"no pixel moves by more than {MOST:g} times the noise"
        return Check(promise, worst <= 1 + 1e-6 if asked else None, f"the furthest by {MOST * worst:.3g} times")


ARCHITECTURES.register("denoiser", Denoiser)
OPERATORS.register("within-noise", WithinNoise())
