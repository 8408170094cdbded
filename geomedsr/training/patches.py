"""Pairs of patches drawn from high-resolution scenes: the draw is random, the cut is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from geomedsr.errors import RecipeError
from geomedsr.grid import Window
from geomedsr.operators import Operator
from geomedsr.padding import read_reflected
from geomedsr.scene import Scene
from geomedsr.training.recipe import AugmentPart, ForegroundPart

#: How often to look for a window that is all data before giving up.
_TRIES = 1000

#: Whole frames brought down once and kept (a few hundred KB each).
_FRAMES = 1024


@dataclass(frozen=True)
class Draw:
    """One random choice: scene, frame and band by position, a window, a turn and flip, a line, a sharpness."""

    scene: int
    frame: int
    band: int
    window: Window
    turn: int
    flip: bool
    gain: float
    offset: float
    sharpness: float = 0.0


@dataclass(frozen=True)
class Patches:
    """Square patches of ``size`` pixels from the continuous bands of some scenes, each with its coarse image.

    A scene is chosen with a weight that grows as the root of its number of values, so that large scenes
    lead without drowning small ones.
    """

    scenes: Sequence[Scene]
    size: int
    scale: int
    operator: Operator
    augment: AugmentPart
    foreground: ForegroundPart | None = None
    _coarse: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_coarse", lru_cache(_FRAMES)(self._bring_down))
        for scene in self.scenes:
            if min(_whole(scene, self.scale).height, _whole(scene, self.scale).width) < self.size:
                raise RecipeError(
                    f"{scene.name} of {scene.shape[3]} × {scene.shape[2]} pixels",
                    f"scenes of at least {self.size} × {self.size}",
                    "leave it out, or make `patch` smaller",
                )

    def draw(self, rng: np.random.Generator) -> Draw:
        """A random choice; the window may hold pixels without data."""
        weights = np.sqrt([float(np.prod(s.shape)) for s in self.scenes])
        index = int(rng.choice(len(self.scenes), p=weights / weights.sum()))
        frames, bands, height, width = self.scenes[index].shape
        col, row = int(rng.integers(width - self.size + 1)), int(rng.integers(height - self.size + 1))
        if self.operator.reach == "frame":  # its coarse pixels lie where they lie
            col, row = col // self.scale * self.scale, row // self.scale * self.scale
        moved = bool(rng.integers(2))
        most = self.augment.offset
        gain = float(np.exp(rng.uniform(*np.log(self.augment.gain)))) if moved else 1.0
        offset = float(rng.uniform(-most, most)) if moved else 0.0
        levels = self.augment.sharpness
        return Draw(
            index,
            int(rng.integers(frames)) if frames > 1 else 0,
            int(rng.integers(bands)),
            Window(col, row, self.size, self.size),
            int(rng.integers(4)),
            bool(rng.integers(2)),
            gain,
            offset,
            levels[int(rng.integers(len(levels)))] if levels else 0.0,
        )

    def cut(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The patch of a draw and its coarse image, normalised float32 ``(1, size, size)`` and ``(1, size/s, size/s)``.

        None where a pixel is no data, or too few are foreground.
        """
        scene, frames = self.scenes[draw.scene], slice(draw.frame, draw.frame + 1)
        band = slice(draw.band, draw.band + 1)
        margin = 1 if draw.sharpness else 0
        stored, valid = read_reflected(scene.source, frames, draw.window.grown(margin))
        if not valid[:, band].all():
            return None
        fine = scene.values.normalise(stored, frames)[0, band]
        if margin:
            fine = sharpen(fine, draw.sharpness)[..., 1:-1, 1:-1]
        part = self.foreground
        if part is not None and float((fine > part.above).float().mean()) < part.share:
            return None
        if self.operator.reach == "frame":
            coarse = self._coarse(draw.scene, draw.frame, draw.band, draw.sharpness)
            row, col, side = (n // self.scale for n in (draw.window.row, draw.window.col, self.size))
            coarse = coarse[..., row : row + side, col : col + side]
        else:
            coarse = self.operator.down(fine[None], self.scale)[0]
        return self._moved(fine, draw), self._moved(coarse, draw)

    def batch(self, count: int, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of a step, ``(count, 1, size, size)`` and its coarse images: a pure function of seed and step.

        Raises:
            RecipeError: hardly a window of data, or of foreground, in the scenes.
        """
        rng = np.random.default_rng((seed, step))
        chosen: list[tuple[torch.Tensor, torch.Tensor]] = []
        for _ in range(_TRIES * count):
            pair = self.cut(self.draw(rng))
            if pair is not None:
                chosen.append(pair)
                if len(chosen) == count:
                    fine, coarse = zip(*chosen, strict=True)
                    return torch.stack(fine), torch.stack(coarse)
        raise RecipeError(
            "scenes that are nearly all nodata or background", "windows of data", "choose other scenes or windows"
        )

    @staticmethod
    def _moved(patch: torch.Tensor, draw: Draw) -> torch.Tensor:
        patch = torch.rot90(patch, draw.turn, (1, 2))
        if draw.flip:
            patch = patch.flip(2)
        return (patch * draw.gain + draw.offset).contiguous()

    def _bring_down(self, scene: int, frame: int, band: int, sharpness: float) -> torch.Tensor:
        """The coarse image of a whole frame, ``(1, H, W)``."""
        whole = self.scenes[scene]
        fine = whole.tensor(_whole(whole, self.scale).grown(1), slice(frame, frame + 1))[:, band : band + 1]
        return self.operator.down(sharpen(fine, sharpness)[..., 1:-1, 1:-1], self.scale)[0]


def sharpen(fine: torch.Tensor, amount: float) -> torch.Tensor:
    """``z + amount · (z − blur(z))`` with a 3 × 3 binomial blur; ``(…, H, W)``, the outermost pixels as they are."""
    if not amount:
        return fine
    rows = (fine[..., :-2, :] + 2 * fine[..., 1:-1, :] + fine[..., 2:, :]) / 4
    blur = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4
    out = fine.clone()
    inner = out[..., 1:-1, 1:-1]
    inner += amount * (inner - blur)
    return out


def _whole(scene: Scene, scale: int) -> Window:
    """The largest window of a scene, from its first pixel, that divides by the scale."""
    return Window(0, 0, scene.shape[3] // scale * scale, scene.shape[2] // scale * scale)
