"""Losses: one file each. A recipe lists them with their weights; training takes the weighted sum."""

from typing import Annotated

from pydantic import Field

from geomedsr.losses.consistency import Consistency
from geomedsr.losses.l1 import L1
from geomedsr.losses.loss import AdversarialLoss, Loss, Sample
from geomedsr.losses.mse import MSE
from geomedsr.losses.perceptual import Perceptual
from geomedsr.losses.relativistic import Relativistic
from geomedsr.losses.vanilla import Vanilla

__all__ = [
    "L1",
    "MSE",
    "AdversarialLoss",
    "AnyLoss",
    "Consistency",
    "Loss",
    "Perceptual",
    "Relativistic",
    "Sample",
    "Vanilla",
]

#: Any loss, told by its ``kind``.
AnyLoss = Annotated[
    L1 | MSE | Consistency | Perceptual | Vanilla | Relativistic,
    Field(discriminator="kind"),
]
