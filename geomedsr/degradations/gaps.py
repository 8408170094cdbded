"""Pixels that a scanner did not see: wedges of Landsat 7 without its scan line corrector, lines, blobs, single ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from geomedsr.degradations.degradation import Disturbance
from geomedsr.scene.sources import Array

#: Rows from one gap to the next below it, at 30 m: two sweeps of Landsat 7's mirror move the ground by so much.
PERIOD = 32.4

#: Columns from the middle of a Landsat 7 scene to its edge, where gaps are widest, and how many rows they have there.
HALF_WIDTH, WIDEST = 3000, 14.0

Shape = Literal["slc-off", "lines", "blobs", "salt"]


@dataclass(frozen=True)
class Loss:
    """One draw: the shape of what is missing, and a seed for where."""

    shape: Shape
    seed: int


class Gaps(Disturbance):
    """Pixels without any information, the same in all bands of a patch: they become 0, and two masks mark them.

    ``shapes`` lists what is drawn from, with equal chances; one may stand several times. ``slc-off``: wedges as
    Landsat 7 has them since May 2003 (:func:`slc_off`), somewhere in a scene and at its angle. ``lines``: some whole
    rows or columns, 1 … 4 wide. ``blobs``: discs of radius 1 … ``largest``. ``salt``: single pixels and pairs, up to
    5 % of all.
    """

    makes: ClassVar[tuple[str, ...]] = ("mask", "missing")

    kind: Literal["gaps"] = "gaps"
    shapes: tuple[Shape, ...] = Field(default=("slc-off", "lines", "blobs", "salt"), min_length=1)
    largest: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _drawable(self) -> Gaps:
        if self.largest > 64:
            raise ValueError(f"largest {self.largest}: discs of a radius up to 64")
        return self

    def draw(self, rng: np.random.Generator) -> Loss:
        """A shape, and a seed."""
        return Loss(self.shapes[int(rng.integers(len(self.shapes)))], int(rng.integers(2**63)))

    def apply(self, coarse: torch.Tensor, drawn: Loss) -> torch.Tensor:
        """The image with 0 where it is missing; the same draw gives the same gaps."""
        return coarse.masked_fill(self._missing(coarse, drawn) > 0, 0.0)

    def marks(self, coarse: torch.Tensor, drawn: Loss) -> dict[str, torch.Tensor]:
        """The ports ``mask`` and ``missing``: 1 where pixels are missing."""
        found = self._missing(coarse, drawn)
        return {"mask": found, "missing": found}

    def _missing(self, coarse: torch.Tensor, drawn: Loss) -> torch.Tensor:
        height, width = coarse.shape[-2:]
        found = missing(drawn.shape, (height, width), np.random.default_rng(drawn.seed), self.largest)
        return torch.from_numpy(found).to(coarse).expand(coarse.shape).contiguous()


def missing(shape: Shape, size: tuple[int, int], rng: np.random.Generator, largest: int) -> Array:
    """Which pixels ``(y, x)`` of an image are missing, bool; random, as :class:`Gaps` describes."""
    height, width = size
    rows, cols = np.mgrid[:height, :width]
    if shape == "slc-off":
        across = float(rng.uniform(0.1, 1.0) * HALF_WIDTH * rng.choice((-1, 1)))
        return slc_off(size, across, float(rng.uniform(0, PERIOD)), float(rng.uniform(-15, 15)))
    found = np.zeros(size, bool)
    if shape == "lines":
        along = int(rng.integers(2))
        for _ in range(int(rng.integers(1, 5))):
            first, many = int(rng.integers(size[along])), int(rng.integers(1, 5))
            found |= ((rows if along == 0 else cols) >= first) & ((rows if along == 0 else cols) < first + many)
    elif shape == "blobs":
        for _ in range(int(rng.integers(2, 7))):
            y, x, far = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(1, largest)
            stretch = float(rng.uniform(0.6, 1.6))
            found |= np.hypot((rows - y) * stretch, (cols - x) / stretch) <= far
    else:
        found |= rng.random(size) < rng.uniform(0.002, 0.05)
        pairs = found & (rng.random(size) < 0.2)
        found[:, 1:] |= pairs[:, :-1]
    return found


def slc_off(size: tuple[int, int], across: float, phase: float, angle: float, pixel: float = 30.0) -> Array:
    """Where Landsat 7 sees nothing without its scan line corrector: bool ``(y, x)``, True in the gaps.

    The mirror sweeps 16 detectors of 30 m to and fro while the satellite goes on: every second gap between sweeps opens
    towards the left edge of a scene, the others towards the right, up to 14 rows wide, and none is left in the middle.
    That makes wedges, one every 32.4 rows in either half, and 22 % of a scene (Storey et al. 2005, "Landsat 7 scan line
    corrector-off gap-filled product development", Pecora 16).

    Args:
        size: rows and columns.
        across: columns of 30 m from the middle of the scene to that of the image, to the right.
        phase: rows of 30 m by which the gaps are moved down.
        angle: degrees by which the image's rows are turned against the sweeps, as north-up scenes are by about 10.
        pixel: the image's pixel in metres.
    """
    height, width = size
    rows, cols = (
        (line - (many - 1) / 2) * pixel / 30 for line, many in zip(np.ogrid[:height, :width], size, strict=True)
    )
    turn = np.deg2rad(angle)
    along = rows * np.cos(turn) + cols * np.sin(turn) + phase
    sideways = across + cols * np.cos(turn) - rows * np.sin(turn)
    wide = WIDEST * np.abs(sideways) / HALF_WIDTH
    centre = np.where(sideways < 0, 0.0, PERIOD / 2)
    away = np.abs((along - centre + PERIOD / 2) % PERIOD - PERIOD / 2)
    return np.asarray(away < wide / 2)
