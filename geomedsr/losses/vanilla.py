"""The original adversarial loss, in its non-saturating form."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import AdversarialLoss, Sample


class Vanilla(AdversarialLoss):
    """Generator: ``−E log σ(D(SR))``; discriminator: ``−E log σ(D(HR)) − E log (1 − σ(D(SR)))``.

    Goodfellow et al. 2014, arXiv:1406.2661, with the non-saturating loss for the generator, as in SRGAN
    (arXiv:1609.04802, eq. 6). D returns logits; σ is the sigmoid.
    """

    kind: Literal["vanilla"] = "vanilla"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The generator's loss."""
        assert sample.fake is not None
        return F.softplus(-sample.fake).mean()

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """The discriminator's loss."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()
