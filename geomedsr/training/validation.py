"""Validation during training: PSNR of the whole guess, degradation to projection, on scenes kept out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from geomedsr.errors import RecipeError
from geomedsr.grid import Window
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.operators import Operator
from geomedsr.scene import Scene
from geomedsr.training.recipe import ForegroundPart

#: Windows (or frames) per scene, and the side of windows, in high-resolution pixels.
_MOST, _SIDE = 12, 192


class Validation:
    """Fixed windows of some scenes, or frames of some series.

    PSNR in dB against the value scale's range, mean over bands and scenes.
    """

    def __init__(
        self, scenes: Sequence[Scene], scale: int, operator: Operator, foreground: ForegroundPart | None = None
    ) -> None:
        self.scale = scale
        self.operator = operator
        self.above = -float("inf") if foreground is None else foreground.above
        samples = (
            _frames(s, scale) if s.shape[0] > 1 or operator.reach == "frame" else _windows(s, scale) for s in scenes
        )
        self.scenes = [found for found in samples if len(found)]
        self.psnr_bicubic = self.psnr(BicubicSkip(scale))

    @torch.inference_mode()
    def psnr(self, network: nn.Module) -> float | None:
        """PSNR of a network after projection (bicubic: before it); None without validation scenes."""
        device = next(network.parameters(), torch.empty(0)).device
        scores = []
        for windows in self.scenes:  # (n, band, y, x)
            errors, counts = [], []
            for fine in windows:
                fine = fine[:, None].to(device)
                coarse = self.operator.down(fine, self.scale)
                guess = network(coarse)
                if not isinstance(network, BicubicSkip):
                    guess = self.operator.project(guess, coarse, self.scale)
                seen = fine > self.above
                errors.append(((guess - fine).square() * seen).sum((1, 2, 3)))
                counts.append(seen.sum((1, 2, 3)))
            mean = torch.stack(errors).sum(0) / torch.stack(counts).sum(0).clamp(min=1)
            scores.append(float((-10 * mean.log10()).mean()))
        return float(np.mean(scores)) if scores else None


def _windows(scene: Scene, scale: int) -> torch.Tensor:
    """Windows without nodata, spread over a scene."""
    _, _, height, width = scene.shape
    side = _side(scene, scale, min(_SIDE, height, width))
    places = [
        Window(col, row, side, side)
        for row in range(0, height - side + 1, side)
        for col in range(0, width - side + 1, side)
    ]
    places = [w for w in places if scene.source.valid(slice(0, 1), w).all()]
    places = places[:: -(-len(places) // _MOST) or 1]
    return torch.cat([scene.tensor(w) for w in places]) if places else torch.empty(0)


def _frames(scene: Scene, scale: int) -> torch.Tensor:
    """Whole frames, spread over a series."""
    count, _, height, width = scene.shape
    whole = Window(0, 0, _side(scene, scale, width), _side(scene, scale, height))
    return torch.cat([scene.tensor(whole, slice(i, i + 1)) for i in range(0, count, -(-count // _MOST))])


def _side(scene: Scene, scale: int, length: int) -> int:
    side = length // scale * scale
    if side == 0:
        raise RecipeError(
            f"the validation scene {scene.name} of {scene.shape[3]} × {scene.shape[2]} pixels",
            f"at least {scale} × {scale}",
            "leave it out",
        )
    return side
