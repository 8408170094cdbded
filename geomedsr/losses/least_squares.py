"""The least-squares adversarial loss."""

from __future__ import annotations

from typing import Literal

import torch

from geomedsr.losses.loss import AdversarialLoss, Sample


class LeastSquares(AdversarialLoss):
    """Generator: ``½ E (D(SR) − 1)²``; discriminator: ``½ E (D(HR) − 1)² + ½ E D(SR)²``.

    LSGAN, Mao et al. 2017, arXiv:1611.04076, eq. 9. The targets are 1 for real and 0 for generated images: here the
    discriminator's output is not a logit, and no sigmoid follows.
    """

    kind: Literal["least-squares"] = "least-squares"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The generator's loss."""
        assert sample.fake is not None
        return (sample.fake - 1).square().mean() / 2

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """The discriminator's loss."""
        return ((real - 1).square().mean() + fake.square().mean()) / 2
