"""Distance between VGG-19's feature maps."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, field_validator

from geomedsr.losses.loss import Loss, Sample
from geomedsr.models.vgg19 import LAYERS, as_rgb, load_vgg19


class Perceptual(Loss):
    """``Σ weight(layer) · mean (φ(SR) − φ(HR))²`` over VGG-19's feature maps φ (SRGAN, arXiv:1609.04802, eq. 5).

    ``activated`` takes feature maps after the ReLU, as SRGAN does; by default they are taken before it, as in ESRGAN
    (arXiv:1809.00219, section 3.3). ``relative`` divides each layer's term by the variance of φ(HR), so that layers
    have equal weight and weights do not depend on the scaling of the network. ``file``: a torchvision state dict
    instead of the extra ``vgg``. For the conversion of bands to RGB see :func:`geomedsr.models.vgg19.as_rgb`.
    """

    kind: Literal["perceptual"] = "perceptual"
    layers: dict[str, float] = Field(default={"VGG54": 1.0}, min_length=1)
    activated: bool = False
    relative: bool = True
    file: str | None = None

    @field_validator("layers")
    @classmethod
    def _known(cls, layers: dict[str, float]) -> dict[str, float]:
        for name, weight in layers.items():
            if weight < 0:
                raise ValueError(f"layer {name} has the weight {weight:g}, below 0")
            if name not in LAYERS:
                raise ValueError(f"no layer {name!r}; there are {', '.join(LAYERS)}")
        return layers

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The sum over layers of the mean over each feature map."""
        network = load_vgg19(self.file, sample.hr.device)
        names = tuple(self.layers)
        device = sample.hr.device.type
        with torch.no_grad():
            real = network(as_rgb(sample.hr, sample.hr), names, self.activated)
        made = network(as_rgb(sample.sr, sample.hr), names, self.activated)
        total = sample.hr.new_zeros(())
        with torch.autocast(device, enabled=False):
            for name, weight in self.layers.items():
                term = (made[name].float() - real[name].float()).square().mean()
                total = total + weight * (term / real[name].float().var() if self.relative else term)
        return total
