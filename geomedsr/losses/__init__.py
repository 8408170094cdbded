"""Losses: one file each. A recipe lists them with their weights; training minimises the weighted sum."""

from typing import Annotated

from pydantic import Field

from geomedsr.losses.charbonnier import Charbonnier
from geomedsr.losses.consistency import Consistency
from geomedsr.losses.fourier_amplitude import FourierAmplitude
from geomedsr.losses.gradient import Gradient
from geomedsr.losses.l1 import L1
from geomedsr.losses.ldl import LDL
from geomedsr.losses.least_squares import LeastSquares
from geomedsr.losses.log_mse import LogMSE
from geomedsr.losses.loss import AdversarialLoss, Loss, Sample
from geomedsr.losses.mse import MSE
from geomedsr.losses.perceptual import Perceptual
from geomedsr.losses.relativistic import Relativistic
from geomedsr.losses.spectral_angle import SpectralAngle
from geomedsr.losses.stationarity import Stationarity
from geomedsr.losses.total_variation import TotalVariation
from geomedsr.losses.vanilla import Vanilla
from geomedsr.losses.wasserstein import Wasserstein

__all__ = [
    "L1",
    "LDL",
    "MSE",
    "AdversarialLoss",
    "AnyLoss",
    "Charbonnier",
    "Consistency",
    "FourierAmplitude",
    "Gradient",
    "LeastSquares",
    "LogMSE",
    "Loss",
    "Perceptual",
    "Relativistic",
    "Sample",
    "SpectralAngle",
    "Stationarity",
    "TotalVariation",
    "Vanilla",
    "Wasserstein",
]

#: Any loss, identified by its ``kind``.
AnyLoss = Annotated[
    L1
    | MSE
    | LogMSE
    | Charbonnier
    | Gradient
    | Stationarity
    | TotalVariation
    | FourierAmplitude
    | SpectralAngle
    | Consistency
    | Perceptual
    | LDL
    | Vanilla
    | LeastSquares
    | Relativistic
    | Wasserstein,
    Field(discriminator="kind"),
]
