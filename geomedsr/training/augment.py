"""Random changes of a patch: turns, flips, a line through its values, sharpness, zoom, a scanner's padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from geomedsr.parts import Part
from geomedsr.scene.sources import Array

#: How far beyond its pixel the interpolation of :func:`zoomed` looks, in pixels of what it makes.
ZOOM_MARGIN = 3


@dataclass(frozen=True)
class Circle:
    """The edge of a round field of view: outside, pixels hold ``value``.

    ``(row, col)`` is the centre, from the patch's, in pixels; blocks of ``step × step`` pixels are padding together.
    """

    value: float
    row: float
    col: float
    radius: float
    step: int


@dataclass(frozen=True)
class Change:
    """One draw: quarter turns, a flip, ``gain · z + offset``, and the parameters of sharpen, zoomed and padded."""

    turn: int = 0
    flip: bool = False
    gain: float = 1.0
    offset: float = 0.0
    sharpness: float = 0.0
    zoom: float = 1.0
    padding: Circle | None = None

    def move(self, patch: torch.Tensor) -> torch.Tensor:
        """All but sharpness, zoom and padding, on an image ``(C, H, W)``, fine or coarse."""
        return (self.turned(patch) * self.gain + self.offset).contiguous()

    def turned(self, patch: torch.Tensor) -> torch.Tensor:
        """The turns and the flip alone, which is all that happens to a mask."""
        patch = torch.rot90(patch, self.turn, (1, 2))
        return patch.flip(2) if self.flip else patch


class Augment(Part):
    """Besides flips and turns: a random line ``gain · z + offset`` on half of the patches.

    ``sharpness`` lists amounts ``a``, one drawn for each patch: the high-resolution image becomes
    ``z + a · (z − blur(z))``, with a 3 × 3 binomial blur, so that −1 is that blur itself, 0 changes nothing and
    positive ones sharpen. ``zoom`` resamples half of the patches, before they are made coarse, by a factor between two
    numbers. Both stand for the kernels, scanners and spacings that the training data do not hold. ``padding`` lists
    normalised values, one of which fills what lies outside a round field of view on a quarter of the patches: scanners
    write such values, not all say so, and their edge must not ring. ``guide_sharpness`` is as ``sharpness``, of a guide
    alone. ``spectral`` is for bands that are seen together, a guide's too: each gets a gain of its own, up to so much
    from 1, and random shares of the others, of so much in all. Without ``turns``, patches are neither turned nor
    flipped, for what is tied to the grid, such as JPEG's blocks.
    """

    turns: bool = True
    gain: tuple[float, float] = (1.0, 1.0)
    offset: float = Field(default=0.0, ge=0)
    sharpness: tuple[float, ...] = Field(default=(), max_length=8)
    zoom: tuple[float, float] = (1.0, 1.0)
    padding: tuple[float, ...] = Field(default=(), max_length=8)
    guide_sharpness: tuple[float, ...] = Field(default=(), max_length=8)
    spectral: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Augment:
        if not 0 < self.gain[0] <= self.gain[1]:
            raise ValueError("gain needs two numbers 0 < low <= high")
        if not 0.25 <= self.zoom[0] <= self.zoom[1] <= 4:
            raise ValueError("zoom needs two numbers 0.25 <= low <= high <= 4")
        return self

    @property
    def unfit_for_pairs(self) -> str | None:
        """What is not for real pairs, whose coarse image is as it is: the first of these keys that is used."""
        used = {"sharpness": self.sharpness, "zoom": self.zoom != (1.0, 1.0), "padding": self.padding}
        return next((f"augment.{name}" for name, it_is in used.items() if it_is), None)

    def draw_zoom(self, rng: np.random.Generator) -> float:
        """A random zoom; 1 for half of the patches."""
        if self.zoom == (1.0, 1.0) or rng.integers(2):
            return 1.0
        return float(np.exp(rng.uniform(*np.log(self.zoom))))

    def draw_padding(self, rng: np.random.Generator, size: int, scale: int) -> Circle | None:
        """A random edge through a patch of ``size`` pixels; none for most patches.

        In half of the cases it follows the coarse pixels, as in a scan that is coarse by itself.
        """
        if not self.padding or rng.integers(4):
            return None
        value = self.padding[int(rng.integers(len(self.padding)))]
        radius, angle = size * rng.uniform(1.5, 4), rng.uniform(0, 2 * np.pi)
        away = radius - size * rng.uniform(-0.3, 0.6)
        step = scale if rng.integers(2) else 1
        return Circle(value, float(away * np.sin(angle)), float(away * np.cos(angle)), float(radius), step)

    def draw_spectrum(self, rng: np.random.Generator, bands: int) -> Array:
        """A random matrix ``(bands, bands)`` that mixes normalised bands about their middle, 0.5; else the unit."""
        if not self.spectral or bands < 2:
            return np.eye(bands)
        mixed = rng.normal(0, self.spectral / np.sqrt(bands), (bands, bands))
        np.fill_diagonal(mixed, rng.uniform(-self.spectral, self.spectral, bands))
        return np.eye(bands) + mixed

    def draw(self, rng: np.random.Generator, zoom: float = 1.0, padding: Circle | None = None) -> Change:
        """A random change, of a zoom and a padding that are known."""
        lined = bool(rng.integers(2))
        gain = float(np.exp(rng.uniform(*np.log(self.gain))))
        offset = float(rng.uniform(-self.offset, self.offset))
        level = self.sharpness[int(rng.integers(len(self.sharpness)))] if self.sharpness else 0.0
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        return Change(
            turn=turn if self.turns else 0,
            flip=flip and self.turns,
            gain=gain if lined else 1.0,
            offset=offset if lined else 0.0,
            sharpness=level,
            zoom=zoom,
            padding=padding,
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


def padded(fine: torch.Tensor, change: Change, margin: int) -> torch.Tensor:
    """The image with its circle's padding, such that the value is right after :meth:`Change.move`.

    ``(B, C, H, W)`` float, square, a patch with ``margin`` pixels around it.
    """
    circle = change.padding
    if circle is None:
        return fine
    side = fine.shape[-1]
    place = torch.arange(side) - margin
    centre = (torch.div(place, circle.step, rounding_mode="floor") + 0.5) * circle.step - (side / 2 - margin)
    outside = torch.hypot(centre[:, None] - circle.row, centre[None, :] - circle.col) > circle.radius
    return fine.masked_fill(outside, (circle.value - change.offset) / change.gain)
