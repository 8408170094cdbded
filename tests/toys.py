"""Toy models of other shapes than one image made finer, and what they are given."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from conftest import texture
from torch import nn

from geomedsr import Band, Grid, Model, Scene
from geomedsr.geometry import Factors
from geomedsr.geometry.grid import Plane
from geomedsr.models import Descriptor, load_model, save_model
from geomedsr.models.network import Network
from geomedsr.models.ports import Port, Ports
from geomedsr.models.store import ARCHITECTURES, build
from geomedsr.operators import OPERATORS, BlockMean, Stack, Unconstrained
from geomedsr.scene.scaling import PERCENTILES


class Toy(Network):
    """Two convolutions with random weights over all inputs, those on finer grids brought down by PixelUnshuffle."""

    receptive_radius = 2

    def __init__(
        self, scale: int, channels: int, frames: int = 1, frame_factor: int = 1, ports: Ports | None = None
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.scale, self.frame_factor = scale, frame_factor
        ports = ports or Ports()
        self.names = ["image", *(port.name for port in ports.outputs)]
        self.down = {"image": nn.PixelUnshuffle(1)} | {p.name: nn.PixelUnshuffle(p.factors[1]) for p in ports.inputs}
        beside = sum((len(p.bands) or channels) * p.factors[1] * p.factors[2] for p in ports.inputs)
        made = channels * frame_factor * scale**2 * len(self.names)
        self.layers = nn.Sequential(
            nn.Conv2d(frames * channels + beside, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, made, 3, padding=1)
        )
        self.up = nn.PixelShuffle(scale)
        with torch.no_grad():
            self.layers[2].weight.mul_(3)

    def forward(self, image: torch.Tensor, **others: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = [self.down[name](batch) for name, batch in {"image": image, **others}.items()]
        made = self.layers(torch.cat(seen, 1)).chunk(len(self.names), 1)
        return {name: self.up(part) for name, part in zip(self.names, made, strict=True)}


ARCHITECTURES.register("toy", Toy)


class Headed(Network):
    """A trunk with a head for each of several factors, of random weights."""

    receptive_radius = 2

    def __init__(self, scale: int, channels: int, heads: tuple[Factors, ...], frame_factor: int = 1) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.scale, self.frame_factor = scale, frame_factor
        self.trunk = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.Tanh())
        self.heads = nn.ModuleDict({of.words: nn.Conv2d(6, channels * of.volume, 3, padding=1) for of in heads})

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        made = self.heads[self.factors.words](self.trunk(image))
        return nn.functional.pixel_shuffle(3 * made, self.scale)


ARCHITECTURES.register("toy-heads", Headed)


def toy(**card: object) -> Model:
    facts = {"name": "toy", "version": "0", "architecture": "toy", "scale": 1, "value_range": (1, 99)}
    descriptor = Descriptor(**(facts | card))  # type: ignore[arg-type]
    sha256 = hashlib.sha256(descriptor.model_dump_json().encode()).hexdigest()
    return Model(descriptor, build(descriptor).eval().requires_grad_(False), sha256, "toy")


def saved_toy(folder: Path, **card: object) -> Model:
    """One that other processes can load."""
    model = toy(**card)
    save_model(model.module, model.descriptor, folder / "toy.safetensors")
    return load_model(folder / "toy.safetensors")


def scene(height: int = 40, width: int = 33, bands: int = 2, seed: int = 0, frames: int = 1, **more: object) -> Scene:
    values = np.stack([texture(bands, height, width, seed=seed + i) for i in range(frames)])
    return Scene.from_array(values, bands=[Band(f"b{i}") for i in range(bands)], **more)


def stack(frames: int) -> Scene:
    planes = tuple(Plane((0, 0, 3.0 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(frames))
    return scene(26, 30, 1, frames=frames, grid=Grid((26, 30), planes=planes), domain="MR")


def holes(height: int = 40, width: int = 33) -> Scene:
    mask = np.zeros((1, 1, height, width), np.uint8)
    mask[..., 7:9, 5:30] = 1
    return Scene.from_array(mask)


MASKED = Ports(inputs=(Port(name="mask", meaning="mask", bands=("mask",)),))
GUIDED = Ports(inputs=(Port(name="guide", bands=("red", "nir", "swir"), factors=(1, 2, 2)),))
DATES = Ports(inputs=(Port(name="before"), Port(name="after")))
WIDTHS = Ports(outputs=(Port(name="halfwidth", meaning="half-width"), Port(name="doubt", meaning="mask")))
PANNED = Ports(inputs=(Port(name="guide", bands=("pan",), factors=(1, 2, 2)),))


class Pan(Unconstrained):
    """One band sees the mean of all."""

    name, keeps = "toy-pan", "the bands' mean"

    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        return fine.mean(1, keepdim=True)

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        assert scale == 1  # the guide is as fine as the result
        return fine + (coarse - self.forward(fine, scale))


STACK = Stack("toy-guided", {"guide": Pan(), "image": BlockMean()}, beside=("guide",))
OPERATORS.register("toy-guided", STACK)


#: The inputs of a network that fills gaps.
GAPS = Ports(inputs=(Port(name="mask", meaning="mask"), Port(name="missing", meaning="mask")))


def filler(folder: Path | None = None, **options: int) -> Model:
    """A small network that fills gaps, of random weights; saved to a folder, if workers must find it."""
    torch.manual_seed(6)
    options = {"width": 6, "blocks": 2, "reach": 6, "passes": 2} | options
    facts = {"name": "filler", "version": "0", "architecture": "filling", "scale": 1, "value_range": PERCENTILES}
    card = Descriptor(**facts, ports=GAPS, operator="keep-valid", options=options)  # type: ignore[arg-type]
    return _random(card, folder)


#: The input of a network that takes off JPEG's artefacts.
STEPS = Ports(inputs=(Port(name="steps"),))


def deblocker(folder: Path | None = None, **options: int) -> Model:
    """A small network that changes JPEG images at random, by about a step; saved, if workers must find it."""
    torch.manual_seed(8)
    options = {"width": 6, "blocks": 1} | options
    facts = {"name": "deblocker", "version": "0", "architecture": "deblocking", "scale": 1, "value_range": PERCENTILES}
    card = Descriptor(**facts, ports=STEPS, operator="jpeg-bins", options=options)  # type: ignore[arg-type]
    return _random(card, folder)


def _random(card: Descriptor, folder: Path | None) -> Model:
    """A model of a card, of random weights; saved to a folder, if there is one."""
    module = build(card).eval().requires_grad_(False)
    nn.init.normal_(module.tail.weight, 0, 0.05)  # type: ignore[arg-type]
    if folder is None:
        return Model(card, module, hashlib.sha256(str(card.options).encode()).hexdigest(), card.name)
    save_model(module, card, folder / f"{card.name}.safetensors")
    return load_model(folder / f"{card.name}.safetensors")
