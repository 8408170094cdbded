"""The relativistic average adversarial loss."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import AdversarialLoss, Sample


class Relativistic(AdversarialLoss):
    """With ``D_Ra(a, b) = σ(D(a) − E D(b))``:

    discriminator ``−E log D_Ra(HR, SR) − E log (1 − D_Ra(SR, HR))``; generator: the same with HR and SR exchanged.
    Jolicoeur-Martineau 2018, arXiv:1807.00734; ESRGAN, arXiv:1809.00219, eq. 1 and 2. D returns logits; σ is the
    sigmoid.
    """

    kind: Literal["relativistic"] = "relativistic"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The generator's loss."""
        assert sample.fake is not None
        assert sample.real is not None
        return self.discriminator(sample.fake, sample.real)

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """The discriminator's loss."""
        return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()
