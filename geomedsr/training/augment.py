"""Random changes of a patch: turns, flips, a line through its values, sharpness, zoom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from geomedsr.parts import Part

#: How far beyond its pixel the interpolation of :func:`zoomed` looks, in pixels of what it makes.
ZOOM_REACH = 3


@dataclass(frozen=True)
class Change:
    """One draw: quarter turns, a flip, ``gain · z + offset``, what :func:`sharpen` and :func:`zoomed` are told."""

    turn: int = 0
    flip: bool = False
    gain: float = 1.0
    offset: float = 0.0
    sharpness: float = 0.0
    zoom: float = 1.0

    def move(self, patch: torch.Tensor) -> torch.Tensor:
        """All but sharpness and zoom, on an image ``(C, H, W)``, fine or coarse."""
        patch = torch.rot90(patch, self.turn, (1, 2))
        if self.flip:
            patch = patch.flip(2)
        return (patch * self.gain + self.offset).contiguous()


class Augment(Part):
    """Besides flips and turns: a random line ``gain · z + offset`` on half of the patches.

    ``sharpness`` lists amounts ``a``, one drawn for each patch: the high-resolution image becomes
    ``z + a · (z − blur(z))``, with a 3 × 3 binomial blur, so that −1 is that blur itself, 0 changes nothing and
    positive ones sharpen. ``zoom`` resamples half of the patches, before they are made coarse, by a factor between two
    numbers. Both stand for the kernels, scanners and spacings that the training data do not hold.
    """

    gain: tuple[float, float] = (1.0, 1.0)
    offset: float = Field(default=0.0, ge=0)
    sharpness: tuple[float, ...] = Field(default=(), max_length=8)
    zoom: tuple[float, float] = (1.0, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Augment:
        if not 0 < self.gain[0] <= self.gain[1]:
            raise ValueError("gain needs two numbers 0 < low <= high")
        if not 0.25 <= self.zoom[0] <= self.zoom[1] <= 4:
            raise ValueError("zoom needs two numbers 0.25 <= low <= high <= 4")
        return self

    def draw_zoom(self, rng: np.random.Generator) -> float:
        """A random zoom; 1 for half of the patches."""
        if self.zoom == (1.0, 1.0) or rng.integers(2):
            return 1.0
        return float(np.exp(rng.uniform(*np.log(self.zoom))))

    def draw(self, rng: np.random.Generator, zoom: float = 1.0) -> Change:
        """A random change, of a zoom that is known."""
        lined = bool(rng.integers(2))
        gain = float(np.exp(rng.uniform(*np.log(self.gain))))
        offset = float(rng.uniform(-self.offset, self.offset))
        level = self.sharpness[int(rng.integers(len(self.sharpness)))] if self.sharpness else 0.0
        return Change(
            turn=int(rng.integers(4)),
            flip=bool(rng.integers(2)),
            gain=gain if lined else 1.0,
            offset=offset if lined else 0.0,
            sharpness=level,
            zoom=zoom,
        )


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


def zoomed(fine: torch.Tensor, factor: float, side: int) -> torch.Tensor:
    """The middle ``side × side`` pixels of the image ``factor`` times as large; ``(B, C, H, W)`` float.

    Interpolated bicubically, low-pass filtered before where the factor is below 1, so that nothing aliases.
    """
    height, width = (round(n * factor) for n in fine.shape[-2:])
    large = F.interpolate(fine, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    row, col = (height - side) // 2, (width - side) // 2
    return large[..., row : row + side, col : col + side]
