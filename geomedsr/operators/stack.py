"""Several operators together: each input has its own, and agreement with the image comes last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.operators.operator import Observation, Operator
from geomedsr.operators.sub_pixel import merged, split
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: The input that every model has.
IMAGE = "image"


class Stack(Operator):
    """One operator for each of several inputs, ``image`` among them.

    The prediction is first projected by the other inputs' operators in order, as normalised floats, and is then made to
    agree with the image by the image's operator. The guarantee of the image's operator is therefore kept exactly; the
    others' are kept as far as this last step allows. An input that is ``f`` times finer than the image is used at
    ``scale / f``, where ``scale`` is the result's.

    Args:
        name: its name on cards.
        parts: the operators by port.
        beside: ports that a band-agnostic network sees whole with each band; other ports have one band for each.
        scenes: the bound inputs: port, scene, and how many times finer the scene is than the image.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, Operator],
        beside: Sequence[str] = (),
        scenes: Sequence[tuple[str, Scene, Factors]] = (),
    ) -> None:
        self.name, self.parts, self.beside, self.scenes = name, dict(parts), tuple(beside), tuple(scenes)
        self.image, operators = self.parts[IMAGE], self.parts.values()
        self.others = tuple(port for port in self.parts if port != IMAGE)
        self.needs = tuple(dict.fromkeys((*self.others, *(need for operator in operators for need in operator.needs))))
        self.whole_frames = any(operator.whole_frames for operator in operators)
        rows, columns = zip(*(operator.alignment for operator in operators), strict=True)
        self.alignment, self.origin = (math.lcm(*rows), math.lcm(*columns)), self.image.origin
        self.constrains = any(operator.constrains for operator in operators)
        self.keeps, self.reduction = self.image.keeps, self.image.reduction
        self.held = max(operator.held for operator in operators) + 16  # a fine image of floats, and its projection

    def bind(self, scenes: Mapping[str, Scene]) -> Stack:
        """Bind each operator, and the stack to the inputs of the others."""
        image = scenes[IMAGE]
        found = []
        for port in self.others:
            if port not in scenes:  # verify may not have it
                continue
            factors = Factors.between(image.shape, scenes[port].shape)
            if factors is None:
                raise InputError(f"{scenes[port].name} as {port}", f"whole pixels beside {image.name}", "resample it")
            found.append((port, scenes[port], factors))
        parts = {port: operator.bind(scenes) for port, operator in self.parts.items()}
        return Stack(self.name, parts, self.beside, found)

    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """As the image's operator."""
        return self.image.forward(fine, scale)

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """By each operator in turn, the image's last."""
        for port in self.others:
            if others is not None and port in others:
                own = scale * coarse.shape[-1] // others[port].shape[-1]
                fine = self.parts[port].project(fine, others[port], own, others)
        return self.image.project(fine, coarse, scale, others)

    def valid(self, box: Box, valid: Array) -> Array:
        """By each operator in turn, the image's last."""
        for port in (*self.others, IMAGE):
            valid = self.parts[port].valid(box, valid)
        return valid

    def agree(self, seen: Observation, planes: Array, out: Array) -> float | None:
        """See the class docstring."""
        if self.scenes:
            fine = torch.from_numpy(merged(planes, seen.factors))
            for port, scene, factors in self.scenes:
                there = seen.box.refined(factors)
                given = scene.tensor(there.window, there.frames)
                given = given if port in self.beside else given[:, seen.bands]
                fine = self.parts[port].project(fine, given, seen.factors.y // factors.y)
            planes = split(np.ascontiguousarray(fine.numpy(), np.float32), seen.factors)
        return self.image.agree(seen, planes, out)

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """As the image's operator."""
        return self.image.check(source, result, factors, boxes, asked)

    def support(self, box: Box, shape: Sequence[int]) -> Box:
        """The box that holds the support of every operator."""
        found = box
        for operator in self.parts.values():
            found = found | operator.support(box, shape)
        return super().support(found, shape)

    def frames_beside(self, factors: Factors) -> int:
        """As the operator that needs most."""
        return max(operator.frames_beside(factors) for operator in self.parts.values())

    def note(self, guessed: Factors) -> str:
        """As the image's operator."""
        return self.image.note(guessed)

    def determined(self, coarse: torch.Tensor) -> torch.Tensor:
        """As the image's operator."""
        return self.image.determined(coarse)
