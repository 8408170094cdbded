"""Validation during training: PSNR of the whole guess, degradation to projection, on scenes kept out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from geomedsr import operators
from geomedsr.errors import RecipeError
from geomedsr.grid import Window
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.scene import Scene

#: Windows per scene and their side, in high-resolution pixels.
_MOST, _SIDE = 12, 192


class Validation:
    """Fixed windows of some scenes; PSNR in dB against the value scale's range, mean over bands and scenes."""

    def __init__(self, scenes: Sequence[Scene], scale: int, operator: operators.BlockMean) -> None:
        self.scale = scale
        self.operator = operator
        self.scenes = [windows for scene in scenes if len(windows := _windows(scene, scale))]
        self.psnr_bicubic = self.psnr(BicubicSkip(scale))

    @torch.inference_mode()
    def psnr(self, network: nn.Module) -> float | None:
        """PSNR of a network after projection (bicubic: before it); None without validation scenes."""
        device = next(network.parameters(), torch.empty(0)).device
        scores = []
        for windows in self.scenes:  # (n, band, y, x)
            errors = []
            for fine in windows:
                fine = fine[:, None].to(device)
                coarse = self.operator.down(fine, self.scale)
                guess = network(coarse)
                if not isinstance(network, BicubicSkip):
                    guess = self.operator.project(guess, coarse, self.scale)
                errors.append((guess - fine).square().mean((1, 2, 3)))
            scores.append(float((-10 * torch.stack(errors).mean(0).log10()).mean()))
        return float(np.mean(scores)) if scores else None


def _windows(scene: Scene, scale: int) -> torch.Tensor:
    _, _, height, width = scene.shape
    side = min(_SIDE, height // scale * scale, width // scale * scale)
    if side == 0:
        raise RecipeError(
            f"the validation scene {scene.name} of {width} × {height} pixels",
            f"at least {scale} × {scale}",
            "leave it out",
        )
    places = [
        Window(col, row, side, side)
        for row in range(0, height - side + 1, side)
        for col in range(0, width - side + 1, side)
    ]
    places = [w for w in places if scene.source.valid(slice(0, 1), w).all()]
    places = places[:: -(-len(places) // _MOST) or 1]
    return torch.cat([scene.tensor(w) for w in places]) if places else torch.empty(0)
