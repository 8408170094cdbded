"""How different two images look: the distance of VGG-19's feature maps."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from geomedsr.models.vgg19 import as_rgb, load_vgg19

#: The layers, with equal weight, of :class:`FeatureDistance`.
LAYERS = ("VGG22", "VGG34", "VGG44", "VGG54")


class FeatureDistance:
    """Mean over layers of squared feature error over feature variance, of all images added; 0 is equal.

    ``Σ (φ(SR) − φ(HR))² / Σ (φ(HR) − mean φ(HR))²`` for each layer's maps φ before the ReLU; the mean is over images
    and pixels of each channel. For the conversion of bands to RGB see :func:`geomedsr.models.vgg19.as_rgb`.

    Raises:
        ModelError: the weights are missing.
    """

    def __init__(self, file: str | os.PathLike[str] | None = None, layers: Sequence[str] = LAYERS) -> None:
        load_vgg19(file)
        self.file, self.layers = file, tuple(layers)
        self.error = dict.fromkeys(self.layers, 0.0)
        self._sums: dict[str, tuple[torch.Tensor, torch.Tensor, int]] = {}

    @torch.inference_mode()
    def add(self, sr: torch.Tensor, hr: torch.Tensor) -> None:
        """Add images ``(B, C, H, W)``, float, on any linear scale."""
        network = load_vgg19(self.file, hr.device)
        made, real = (network(as_rgb(image, hr).float(), self.layers) for image in (sr, hr))
        for name in self.layers:
            self.error[name] += float((made[name] - real[name]).double().square().sum())
            flat = real[name].double().transpose(0, 1).flatten(1)
            total, square, count = self._sums.get(name, (torch.zeros(()), torch.zeros(()), 0))
            self._sums[name] = (total + flat.sum(1), square + flat.square().sum(1), count + flat.shape[1])

    def value(self) -> float:
        """The distance so far; NaN if the references are constant."""
        parts = []
        for name in self.layers:
            total, square, count = self._sums[name]
            variance = float((square - total.square() / count).sum())
            parts.append(self.error[name] / variance if variance > 0 else float("nan"))
        return sum(parts) / len(parts)
