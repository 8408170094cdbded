"""The interface of losses: parts of a recipe with a weight, called with the results of a training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from geomedsr.operators import Operator
from geomedsr.parts import Part


@dataclass(frozen=True)
class Sample:
    """The results of a training step: float32, normalised values.

    ``prediction`` is the network's output, and ``sr`` the same after projection (unchanged if the operator acts on
    whole frames, which patches are not). ``hr`` is the real image; all three are ``(B, C, s·H, s·W)``. ``coarse`` is
    the input ``(B, C, H, W)``. ``real`` and ``fake`` are the discriminator's logits for ``hr`` and ``sr`` in
    adversarial training. ``average`` is the projected output of the generator's EMA, if a loss needs it. Where
    ``slices`` are made of one, they are the channels: images are ``(B, slices, n, W)``, and ``scale`` is 1.
    """

    prediction: torch.Tensor
    sr: torch.Tensor
    hr: torch.Tensor
    coarse: torch.Tensor
    operator: Operator
    scale: int
    real: torch.Tensor | None = None
    fake: torch.Tensor | None = None
    average: torch.Tensor | None = None
    slices: int = 1

    @classmethod
    def of(
        cls,
        prediction: torch.Tensor,
        fine: torch.Tensor,
        coarse: torch.Tensor,
        operator: Operator,
        scale: int,
        others: Mapping[str, torch.Tensor] | None = None,
    ) -> Sample:
        """The sample of a prediction, without logits; ``others`` are the network's inputs besides the image."""
        agreed = cls.projected(prediction, coarse, operator, scale, others)
        return cls(prediction, agreed, fine, coarse, operator, scale)

    @staticmethod
    def projected(
        prediction: torch.Tensor,
        coarse: torch.Tensor,
        operator: Operator,
        scale: int,
        others: Mapping[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The prediction after projection, so that it agrees with the input."""
        return prediction if operator.whole_frames else operator.project(prediction, coarse, scale, others)


class Loss(Part, ABC):
    """One term of a weighted sum. Its ``kind`` names it in recipes and logs. Calling it returns a scalar."""

    #: Whether it needs ``average``.
    wants_average: ClassVar[bool] = False

    kind: str
    weight: float = Field(default=1.0, ge=0)

    @abstractmethod
    def __call__(self, sample: Sample) -> torch.Tensor:
        """The term, without its weight."""


class AdversarialLoss(Loss):
    """A call returns the generator's loss; ``discriminator`` and ``gradient_penalty`` return the discriminator's."""

    @abstractmethod
    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """The discriminator's loss, from its logits for real and for generated images."""

    def gradient_penalty(
        self, discriminator: nn.Module, hr: torch.Tensor, sr: torch.Tensor, mix: torch.Tensor
    ) -> torch.Tensor:
        """An additional term of the discriminator's loss; 0 for most losses.

        ``discriminator`` is the network itself. ``hr`` and ``sr`` are real and generated images, normalised float32
        ``(B, C, H, W)``, detached from the generator. ``mix`` is a random number in [0, 1) for each image, ``(B,)``.
        """
        return hr.new_zeros(())
