"""What a loss is: a part of a recipe with a weight, called with what a step has made."""

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
    """What a step has made, float32, normalised values.

    ``prediction`` is the network's own output and ``sr`` that after projection (the same where the operator acts on
    whole frames, of which a patch is none), ``hr`` the real image, all ``(B, C, s·H, s·W)``; ``coarse`` the input
    ``(B, C, H, W)``; ``real`` and ``fake`` the discriminator's logits of ``hr`` and ``sr``, in adversarial training;
    ``average`` what the moving average of the generator makes, projected, where a loss wants it.
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
        """The sample of a prediction, before any discriminator has seen it; ``others`` are the network's inputs."""
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
        """A prediction that agrees with its input."""
        return prediction if operator.whole_frames else operator.project(prediction, coarse, scale, others)


class Loss(Part, ABC):
    """One term of a weighted sum: its ``kind`` names it in recipes and logs. Called, it gives a scalar."""

    #: Whether it needs ``average``.
    wants_average: ClassVar[bool] = False

    kind: str
    weight: float = Field(default=1.0, ge=0)

    @abstractmethod
    def __call__(self, sample: Sample) -> torch.Tensor:
        """The term, without its weight."""


class AdversarialLoss(Loss):
    """Called, it is the generator's loss; ``discriminator`` and ``gradient_penalty`` are the discriminator's."""

    @abstractmethod
    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """The discriminator's loss, from its logits of real and of made images."""

    def gradient_penalty(
        self, discriminator: nn.Module, hr: torch.Tensor, sr: torch.Tensor, mix: torch.Tensor
    ) -> torch.Tensor:
        """What the discriminator is held to besides: 0 for most losses.

        ``discriminator`` is the network itself; ``hr`` and ``sr`` are real and made images, normalised float32
        ``(B, C, H, W)``, with no path to the generator; ``mix`` is a random number in [0, 1) for each, ``(B,)``.
        """
        return hr.new_zeros(())
