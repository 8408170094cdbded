"""One step of training: the generator against all its losses, then, if there is one, the discriminator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from geomedsr import operators
from geomedsr.errors import RecipeError
from geomedsr.losses import AdversarialLoss, Sample
from geomedsr.models.network import image_of
from geomedsr.models.ports import IMAGE
from geomedsr.models.slices import Slices
from geomedsr.scene.context import middle
from geomedsr.training.patches import TARGET
from geomedsr.training.run import Run
from geomedsr.training.slices import sample_of

#: What autocast computes in.
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def step(run: Run, batch: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Use a batch of examples; each loss by name, without its weight.

    By name they are what the network is to make, ``target`` ``(B, C, s·H, s·W)``, the coarse ``image``
    ``(B, frames · C, H, W)``, and its other inputs.

    In a process group the batch is this process's shard, and the losses are those of all.

    Raises:
        RecipeError: a loss or a gradient is not finite; the network it belongs to is as it was.
    """
    stage, parts = run.stage, run.stage.accumulate
    terms: dict[str, float] = {}
    samples = []
    pieces = zip(*(tensor.chunk(parts) for tensor in batch.values()), strict=True)
    for piece in (dict(zip(batch, each, strict=True)) for each in pieces):
        sample = _look(run, piece)
        total = sample.hr.new_zeros(())
        for loss in stage.losses:
            with _autocast(run):
                term = loss(sample).float()
            weight = loss.weight * (run.adversarial_ramp if isinstance(loss, AdversarialLoss) else 1.0)
            total = total + weight * term
            terms[loss.kind] = terms.get(loss.kind, 0.0) + term.item() / parts
        run.scaler.scale(total / parts).backward()  # type: ignore[no-untyped-call]
        samples.append(sample)
    terms = run.group.means(terms, run.device)
    _check(run, terms)
    _descend(run, run.generator, run.optimiser, run.learning_rate)
    if run.discriminator is not None:
        terms["discriminator"] = _teach_discriminator(run, samples)
    run.scaler.update()
    run.update_ema()
    run.step += 1
    return terms


def _look(run: Run, piece: Mapping[str, torch.Tensor]) -> Sample:
    """The generator's prediction, and what the discriminator, held still, says of it."""
    if isinstance(run.generator, Slices):
        with _autocast(run):
            return sample_of(run.generator, piece, operators.get(run.recipe.operator))
    hr, lr = piece[TARGET], piece[IMAGE]
    others = {name: given for name, given in piece.items() if name not in (TARGET, IMAGE)}
    with _autocast(run):
        prediction = image_of(run.generator(lr, **others))
    operator, part = operators.get(run.recipe.operator), run.recipe.generator
    sample = Sample.of(prediction.float(), hr, middle(lr, part.channels), operator, part.scale, others)
    if any(loss.wants_average for loss in run.stage.losses):
        with torch.no_grad(), _autocast(run):
            slow = image_of(run.average(lr, **others))
        sample = replace(sample, average=Sample.projected(slow.float(), sample.coarse, operator, part.scale, others))
    if run.discriminator is None:
        return sample
    run.discriminator.requires_grad_(False)
    with _autocast(run):
        fake = run.discriminator(sample.sr)
        with torch.no_grad():
            real = run.discriminator(hr)
    return replace(sample, real=run.group.gather(real.float()), fake=run.group.gather(fake.float()))


def _teach_discriminator(run: Run, samples: list[Sample]) -> float:
    """Show it real images and made ones; its loss."""
    discriminator, optimiser = run.discriminator, run.discriminator_optimiser
    adversarial = run.stage.adversarial_loss
    assert discriminator is not None
    assert optimiser is not None
    assert adversarial is not None
    discriminator.requires_grad_(True)
    value = 0.0
    for sample, mix in zip(samples, _mixes(run, samples).chunk(len(samples)), strict=True):
        with _autocast(run):
            real, fake = discriminator(sample.hr), discriminator(sample.sr.detach())
        loss = adversarial.discriminator(run.group.gather(real.float()), run.group.gather(fake.float()))
        loss = loss + adversarial.gradient_penalty(discriminator, sample.hr, sample.sr.detach(), mix)
        run.scaler.scale(loss / len(samples)).backward()  # type: ignore[no-untyped-call]
        value += loss.item() / len(samples)
    value = run.group.means({"discriminator": value}, run.device)["discriminator"]
    _check(run, {"discriminator": value})
    _descend(run, discriminator, optimiser, None)
    return value


def _mixes(run: Run, samples: list[Sample]) -> torch.Tensor:
    """A random number in [0, 1) for each image: it depends on the seed, the step and the place in the whole batch."""
    batch = range(sum(len(sample.hr) for sample in samples) * run.group.size)
    drawn = torch.from_numpy(np.random.default_rng((run.recipe.seed, run.step, 1)).random(len(batch)))
    return drawn[run.group.shard(batch, len(samples))]


def _descend(run: Run, network: nn.Module, optimiser: torch.optim.Optimizer, rate: float | None) -> None:
    """One optimiser step down the gradient of the whole batch, clipped to the recipe's norm."""
    run.group.average_gradients(network)
    if rate is not None:
        for group in optimiser.param_groups:
            group["lr"] = rate
    run.scaler.unscale_(optimiser)
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), run.stage.optimiser.clip_norm))
    if not run.scaler.is_enabled():  # it skips such steps by itself
        _check(run, {"gradient's norm": norm})
    run.scaler.step(optimiser)
    optimiser.zero_grad(set_to_none=True)


def _check(run: Run, values: dict[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            what = f"a {name} of {value:g}" if "norm" in name else f"a {name} loss of {value:g}"
            raise RecipeError(
                f"{what} at step {run.step + 1} ({run.stage_name})",
                "finite numbers",
                "lower that stage's learning rates or weights, and start again in another --out; the last good "
                "checkpoint is kept",
            )


@contextmanager
def _autocast(run: Run) -> Iterator[None]:
    kind = PRECISIONS[run.recipe.precision]
    with torch.autocast(run.device.type, kind, enabled=kind != torch.float32):
        yield
