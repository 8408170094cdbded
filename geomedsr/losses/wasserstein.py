"""The Wasserstein adversarial loss with gradient penalty."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from geomedsr.losses.loss import AdversarialLoss, Sample


class Wasserstein(AdversarialLoss):
    """Generator: ``−E D(SR)``; discriminator: ``E D(SR) − E D(HR) + λ E (‖∇D(x̂)‖₂ − 1)²``.

    x̂ = ε HR + (1 − ε) SR with ε uniform in [0, 1) for each image: WGAN-GP, Gulrajani et al. 2017, arXiv:1704.00028,
    eq. 3 and algorithm 1, λ = 10. The discriminator is updated once per step, as with every loss here; in the paper,
    five times. The score of a discriminator with many outputs per image is their mean. The penalty applies to each
    image separately, so discriminators with batch normalisation, which mixes images, are refused (the paper's section
    4). In logs, ``discriminator`` is the sum of its three terms.
    """

    kind: Literal["wasserstein"] = "wasserstein"
    penalty: float = Field(default=10.0, ge=0)

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The generator's loss."""
        assert sample.fake is not None
        return -sample.fake.mean()

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """The discriminator's loss without the penalty."""
        return fake.mean() - real.mean()

    def gradient_penalty(
        self, discriminator: nn.Module, hr: torch.Tensor, sr: torch.Tensor, mix: torch.Tensor
    ) -> torch.Tensor:
        """The penalty, in float32: half precision is not enough for second derivatives."""
        share = mix.to(hr).reshape(-1, 1, 1, 1)
        between = (share * hr + (1 - share) * sr).requires_grad_()
        with torch.autocast(hr.device.type, enabled=False):
            score = discriminator(between).flatten(1).mean(1)
            (slope,) = torch.autograd.grad(score.sum(), between, create_graph=True)
        length: torch.Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1)
        return self.penalty * (length - 1).square().mean()
