"""The stages of a recipe: how long, with which losses and optimiser, and against which discriminator."""

from __future__ import annotations

from pydantic import Field, model_validator

from geomedsr.discriminators import mixes_images
from geomedsr.losses import L1, AdversarialLoss, AnyLoss, Consistency, Perceptual, Wasserstein
from geomedsr.parts import Part
from geomedsr.training.augment import Augment


class OptimiserPart(Part):
    """AdamW with linear warm-up and cosine decay to ``final_learning_rate``."""

    learning_rate: float = Field(default=5e-4, gt=0, le=1e30)
    final_learning_rate: float = Field(default=1e-6, ge=0)
    warmup_steps: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    betas: tuple[float, float] = (0.9, 0.99)

    @model_validator(mode="after")
    def _decaying(self) -> OptimiserPart:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas needs two numbers 0 <= beta < 1")
        return self


class StagePart(Part):
    """One stage: ``steps`` of ``batch`` patches of ``patch`` × ``patch`` high-resolution pixels.

    ``accumulate`` divides a batch into so many parts, one after the other, whose gradients are added: less memory, and
    the same step, unless something looks at a whole batch, as batch normalisation and the losses relativistic and
    perceptual do. Where several processes train, a batch is what all use together.
    ``losses``: the terms of the weighted sum, each kind once.
    """

    steps: int = Field(ge=0)
    batch: int = Field(default=16, ge=1)
    patch: int = Field(default=192, ge=8)
    accumulate: int = Field(default=1, ge=1)
    losses: tuple[AnyLoss, ...] = Field(min_length=1)
    optimiser: OptimiserPart = OptimiserPart()

    @model_validator(mode="after")
    def _whole(self) -> StagePart:
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} does not divide by accumulate {self.accumulate}")
        deepest = [int(name[3]) for loss in self.losses if isinstance(loss, Perceptual) for name in loss.layers]
        least = 2 ** max([0, *deepest])  # each block of VGG-19 but the first halves the image
        if self.patch < least:
            raise ValueError(f"patch {self.patch} is too small for that VGG-19 layer: expected at least {least}")
        kinds = [loss.kind for loss in self.losses]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"losses {', '.join(kinds)}: each kind once")
        return self

    @property
    def adversarial_loss(self) -> AdversarialLoss | None:
        """The one that needs a discriminator."""
        return next((loss for loss in self.losses if isinstance(loss, AdversarialLoss)), None)


class ContentPart(StagePart):
    """The first stage: what the input tells, nothing else."""

    losses: tuple[AnyLoss, ...] = Field(default=(L1(), Consistency()), min_length=1)

    @model_validator(mode="after")
    def _no_opponent(self) -> ContentPart:
        if self.adversarial_loss:
            raise ValueError(f"the loss {self.adversarial_loss.kind} belongs to the stage `adversarial`")
        return self


class IntervalPart(Part):
    """A head of half-widths, trained on the frozen content weights (:mod:`geomedsr.training.interval`).

    ``steps`` of ``batch`` patches of ``patch`` × ``patch`` high-resolution pixels; ``level`` is the quantile of
    absolute errors that it learns, ``hidden`` its channels.
    """

    steps: int = Field(default=1500, ge=1)
    batch: int = Field(default=8, ge=1)
    patch: int = Field(default=192, ge=8)
    level: float = Field(default=0.5, ge=0.5, le=0.99)
    hidden: int = Field(default=24, ge=1, le=1024)
    optimiser: OptimiserPart = OptimiserPart(learning_rate=2e-3, final_learning_rate=2e-5, warmup_steps=50)

    @property
    def stage(self) -> ContentPart:
        """A stage that draws the same patches."""
        return ContentPart(steps=self.steps, batch=self.batch, patch=self.patch, optimiser=self.optimiser)


class DiscriminatorPart(Part):
    """The discriminator's architecture and constant learning rate; all else of its optimiser is the stage's.

    See :data:`geomedsr.discriminators.DISCRIMINATORS`.
    """

    architecture: str = "unet"
    options: dict[str, int] = Field(default={})
    learning_rate: float = Field(default=1e-4, gt=0, le=1e30)


class AdversarialPart(StagePart):
    """The second stage, from the content weights on. Over the first ``ramp`` steps the adversarial loss grows to its
    weight, while the discriminator learns from the first. ``zoom`` takes the place of ``augment.zoom`` in this stage: a
    scene made smaller has more texture than scenes of that sensor.
    """

    batch: int = Field(default=8, ge=1)
    patch: int = Field(default=96, ge=32)
    ramp: int = Field(default=0, ge=0)
    zoom: tuple[float, float] | None = None
    discriminator: DiscriminatorPart = DiscriminatorPart()
    optimiser: OptimiserPart = OptimiserPart(learning_rate=1e-4)

    @model_validator(mode="after")
    def _one_opponent(self) -> AdversarialPart:
        if self.zoom is not None:
            Augment(zoom=self.zoom)  # which checks it
        count = sum(isinstance(loss, AdversarialLoss) for loss in self.losses)
        if count != 1:
            raise ValueError(
                f"losses hold {count} adversarial ones (least-squares, relativistic, vanilla, wasserstein): expected 1"
            )
        part = self.discriminator
        if isinstance(self.adversarial_loss, Wasserstein) and mixes_images(part.architecture, part.options):
            raise ValueError(
                f"the loss wasserstein with the discriminator {part.architecture}, which has batch normalisation: "
                "choose unet, or dcgan or patchgan with options {batch_norm: 0}"
            )
        return self
