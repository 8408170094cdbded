"""High-resolution patches drawn from scenes: the draw is random, the cut is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from geomedsr.errors import RecipeError
from geomedsr.grid import Window
from geomedsr.scene import Scene

#: How often to look for a window that is all data before giving up.
_TRIES = 1000


@dataclass(frozen=True)
class Draw:
    """One random choice: scene and band by position, a window, one of the 8 turns and flips, and a line."""

    scene: int
    band: int
    window: Window
    turn: int
    flip: bool
    gain: float
    offset: float


@dataclass(frozen=True)
class Patches:
    """Square patches of ``size`` pixels from the continuous bands of some scenes.

    A scene is chosen with a weight that grows as the root of its number of values, so that large scenes
    lead without drowning small ones.
    """

    scenes: Sequence[Scene]
    size: int
    gain: tuple[float, float] = (1.0, 1.0)
    offset: float = 0.0

    def __post_init__(self) -> None:
        for scene in self.scenes:
            if min(scene.shape[2:]) < self.size:
                raise RecipeError(
                    f"{scene.name} of {scene.shape[3]} × {scene.shape[2]} pixels",
                    f"scenes of at least {self.size} × {self.size}",
                    "leave it out, or make `patch` smaller",
                )

    def draw(self, rng: np.random.Generator) -> Draw:
        """A random choice; the window may hold pixels without data."""
        weights = np.sqrt([float(np.prod(s.shape)) for s in self.scenes])
        index = int(rng.choice(len(self.scenes), p=weights / weights.sum()))
        _, bands, height, width = self.scenes[index].shape
        col, row = int(rng.integers(width - self.size + 1)), int(rng.integers(height - self.size + 1))
        moved = bool(rng.integers(2))
        gain = float(np.exp(rng.uniform(*np.log(self.gain)))) if moved else 1.0
        offset = float(rng.uniform(-self.offset, self.offset)) if moved else 0.0
        return Draw(
            index,
            int(rng.integers(bands)),
            Window(col, row, self.size, self.size),
            int(rng.integers(4)),
            bool(rng.integers(2)),
            gain,
            offset,
        )

    def usable(self, draw: Draw) -> bool:
        """Whether every pixel of the window is data."""
        valid = self.scenes[draw.scene].source.valid(slice(0, 1), draw.window)
        return bool(valid[:, draw.band].all())

    def cut(self, draw: Draw) -> torch.Tensor:
        """The patch of a draw: normalised float32 ``(1, size, size)``."""
        scene = self.scenes[draw.scene]
        band = slice(draw.band, draw.band + 1)
        stored = scene.source.read(slice(0, 1), draw.window)
        patch = scene.values.normalise(stored)[0, band]
        patch = torch.rot90(patch, draw.turn, (1, 2))
        if draw.flip:
            patch = patch.flip(2)
        return (patch * draw.gain + draw.offset).contiguous()

    def batch(self, count: int, seed: int, step: int) -> torch.Tensor:
        """The batch of a step, ``(count, 1, size, size)``: a pure function of seed and step.

        Raises:
            RecipeError: hardly a window without nodata in the scenes.
        """
        rng = np.random.default_rng((seed, step))
        chosen: list[torch.Tensor] = []
        for _ in range(_TRIES * count):
            draw = self.draw(rng)
            if self.usable(draw):
                chosen.append(self.cut(draw))
                if len(chosen) == count:
                    return torch.stack(chosen)
        raise RecipeError("scenes that are nearly all nodata", "windows of data", "choose other scenes or windows")
