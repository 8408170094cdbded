"""The training loop, content stage: degrade, super-resolve, compare, step.

A step's batch depends on the seed and the step's number alone, so a run that was stopped goes on from its
last checkpoint as if it had not been.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from geomedsr import operators
from geomedsr._version import __version__
from geomedsr.adapters import open_scene
from geomedsr.devices import choose_device
from geomedsr.errors import OutputError, RecipeError
from geomedsr.grid import Window
from geomedsr.models import Descriptor, save_model
from geomedsr.models.store import build, count_parameters
from geomedsr.scene import Scene
from geomedsr.training.patches import Patches
from geomedsr.training.recipe import OptimiserPart, Recipe, SceneEntry
from geomedsr.training.validation import Validation

_COLUMNS = ("step", "content", "consistency", "learning_rate", "patches_per_second", "psnr", "psnr_bicubic")


def train(recipe: Recipe, out: str | os.PathLike[str], quiet: bool = False) -> Path:
    """Run a recipe, or go on with it where ``out`` holds a part of it.

    Leaves ``model.safetensors`` (the averaged weights), ``log.csv`` and ``checkpoint.pt`` in ``out``; returns
    the model's path.

    Raises:
        RecipeError: the recipe does not fit its data, or ``out`` holds another recipe's run.
        OutputError: ``out`` cannot be made.
        InputError: a scene cannot be read.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {folder} ({error.strerror})", "one that can be made", "choose another"
        ) from error
    scale, device = recipe.generator.scale, choose_device(recipe.device)
    operator = operators.get(recipe.operator)
    descriptor = describe(recipe)
    torch.manual_seed(recipe.seed)
    generator = build(descriptor).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(generator, recipe)
    run.load(folder / "checkpoint.pt")
    if run.step >= recipe.steps and (folder / "model.safetensors").exists():
        return folder / "model.safetensors"
    patches = Patches(
        [_scene(recipe, e) for e in recipe.data.train],
        recipe.patch,
        scale,
        operator,
        recipe.augment,
        recipe.foreground,
    )
    held_out = [_scene(recipe, e) for e in recipe.data.validation]
    validation = Validation(held_out, scale, operator, recipe.foreground)

    log = Log(folder / "log.csv", run.step)
    bar = tqdm(total=recipe.steps, initial=run.step, unit="step", disable=True if quiet else None)
    for fine, coarse in _batches(patches, recipe, run.step):
        fine, coarse = (part.to(device, memory_format=torch.channels_last) for part in (fine, coarse))
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            guess = generator(coarse)
        guess = guess.float()
        content, consistency = losses(operator, guess, fine, coarse, scale)
        norm = run.update(content + recipe.consistency * consistency)
        log.add(content.item(), consistency.item(), len(fine))
        bar.update()
        if not (math.isfinite(log.content) and math.isfinite(norm)):
            raise RecipeError(
                f"a content loss of {content.item():g} with a gradient of norm {norm:g} at step {run.step}",
                "finite numbers",
                f"lower optimiser.learning_rate and start again; the last good state is in {folder}",
            )
        last = run.step == recipe.steps
        if last or run.step % recipe.validate_every == 0:
            log.validated(validation.psnr(run.average), validation.psnr_bicubic)
        if last or run.step % recipe.log_every == 0:
            bar.set_postfix(content=f"{log.content:.4f}")
            log.write(run.step, run.learning_rate)
        if last or run.step % recipe.checkpoint_every == 0:
            run.save(folder / "checkpoint.pt")
    bar.close()
    if log.psnr is None:  # stopped between the last step and the model file
        log.validated(validation.psnr(run.average), validation.psnr_bicubic)
    metrics = {"psnr": log.psnr, "psnr_bicubic": log.psnr_bicubic} if recipe.data.validation else {}
    path = folder / "model.safetensors"
    save_model(run.average, descriptor.model_copy(update={"metrics": metrics}), path)
    return path


def losses(
    operator: operators.Operator, guess: torch.Tensor, fine: torch.Tensor, coarse: torch.Tensor, scale: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Content loss and consistency loss of a batch ``(B, C, s·H, s·W)``, normalised values.

    Under an operator of blocks, content is what is left after projection, and consistency is what projection hides
    (docs/decisions/0006). One that acts on whole frames cannot be applied to patches: content is all there is.
    """
    if operator.reach == "frame":
        return F.l1_loss(guess, fine), guess.new_zeros(())
    content = F.l1_loss(operator.project(guess, coarse, scale), fine)
    return content, F.mse_loss(operator.down(guess, scale), coarse)


def describe(recipe: Recipe) -> Descriptor:
    """The descriptor of the model a recipe makes, without its metrics."""
    part = recipe.generator
    descriptor = Descriptor(
        name=recipe.name,
        version=recipe.version,
        architecture=part.architecture,
        options=part.options,
        scale=part.scale,
        channels=part.channels,
        domain=recipe.domain,
        value_scale=recipe.values.scale,
        value_range=recipe.values.range,
        operator=recipe.operator,
        description=recipe.description,
        training_data=tuple(dict.fromkeys(Path(e.path).name for e in recipe.data.train)),
        licence=recipe.data.licence,
        attribution=tuple(dict.fromkeys(e.attribution for e in recipe.data.train)),
    )
    training = {
        "seed": recipe.seed,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "patch": recipe.patch,
        "precision": recipe.precision,
        "parameters": count_parameters(build(descriptor)),
        "software": f"geomedsr {__version__}, torch {torch.__version__}",
    }
    return descriptor.model_copy(update={"training": training})


def _scene(recipe: Recipe, entry: SceneEntry) -> Scene:
    scene = open_scene(os.path.join(recipe.data.root, entry.path))
    if entry.window is not None:
        # A training window is a scene of its own: its value scale comes from it alone.
        scene = replace(scene.crop(Window(*entry.window)), scale=None)
    return scene.with_physical_range(*recipe.values.range) if recipe.values.scale == "physical" else scene


def _batches(patches: Patches, recipe: Recipe, start: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of the steps to come, each prepared while the one before is used."""
    with ThreadPoolExecutor(1) as worker:
        upcoming = worker.submit(patches.batch, recipe.batch, recipe.seed, start)
        for step in range(start, recipe.steps):
            batch = upcoming.result()
            if step + 1 < recipe.steps:
                upcoming = worker.submit(patches.batch, recipe.batch, recipe.seed, step + 1)
            yield batch


def learning_rate(part: OptimiserPart, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate``."""
    if step < part.warmup_steps:
        return part.learning_rate * (step + 1) / part.warmup_steps
    done = (step - part.warmup_steps) / max(1, steps - part.warmup_steps)
    wave = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return part.final_learning_rate + (part.learning_rate - part.final_learning_rate) * wave


class Run:
    """What a run carries from step to step: weights, their moving average, the optimiser, the step."""

    def __init__(self, generator: nn.Module, recipe: Recipe) -> None:
        self.generator, self.recipe, self.step = generator, recipe, 0
        self.average = build(describe(recipe)).to(next(generator.parameters()).device)
        self.average.load_state_dict(generator.state_dict())
        part = recipe.optimiser
        self.optimiser = torch.optim.AdamW(
            generator.parameters(), lr=part.learning_rate, weight_decay=part.weight_decay, betas=(0.9, 0.99)
        )

    @property
    def learning_rate(self) -> float:
        """The rate of the coming step."""
        return learning_rate(self.recipe.optimiser, self.step, self.recipe.steps)

    def update(self, loss: torch.Tensor) -> float:
        """One optimiser step down the gradient of a loss, and the moving average after it; the gradient's norm."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), self.recipe.optimiser.clip_norm)
        self.optimiser.step()
        self.step += 1
        keep = min(self.recipe.ema, self.step / (self.step + 10))  # young averages forget their start
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
        return float(norm)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "recipe": self._identity(),
            "step": self.step,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = path.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not path.exists():
            return
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise RecipeError(f"{path}, which cannot be read", "a checkpoint", "delete it to start over") from error
        if state["recipe"] != self._identity():
            raise RecipeError(
                f"{path} of another recipe or other overrides",
                "the same recipe, or an empty folder",
                "choose another --out, or delete that folder to start over",
            )
        self.step = int(state["step"])
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _identity(self) -> str:
        # Where it runs and how often it reports do not change what comes out.
        reporting = {"device", "log_every", "validate_every", "checkpoint_every"}
        return self.recipe.model_dump_json(exclude={*reporting, "data"}) + repr(self.recipe.data.train)


@dataclass
class Log:
    """``log.csv``: one row every so many steps; a resumed run drops the rows past its checkpoint."""

    path: Path
    start: int
    psnr: float | None = None
    psnr_bicubic: float | None = None

    def __post_init__(self) -> None:
        rows = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = [r for r in csv.DictReader(file) if tuple(r) == _COLUMNS and int(r["step"]) <= self.start]
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        self._reset()

    def _reset(self) -> None:
        self._sums, self._steps, self._patches, self._since = (0.0, 0.0), 0, 0, time.perf_counter()

    @property
    def content(self) -> float:
        """Mean content loss since the last row."""
        return self._sums[0] / max(self._steps, 1)

    @property
    def consistency(self) -> float:
        """Mean consistency loss, unweighted, since the last row."""
        return self._sums[1] / max(self._steps, 1)

    def add(self, content: float, consistency: float, patches: int) -> None:
        """One step's losses."""
        self._sums = self._sums[0] + content, self._sums[1] + consistency
        self._steps, self._patches = self._steps + 1, self._patches + patches

    def validated(self, psnr: float | None, psnr_bicubic: float | None) -> None:
        """Validation results for the next row."""
        self.psnr, self.psnr_bicubic = psnr, psnr_bicubic

    def write(self, step: int, rate: float) -> None:
        """Write a row and begin the next."""
        speed = self._patches / max(time.perf_counter() - self._since, 1e-9)
        losses = (f"{self.content:.6f}", f"{self.consistency:.6f}")
        row = (step, *losses, f"{rate:.3e}", f"{speed:.2f}", _number(self.psnr), _number(self.psnr_bicubic))
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(row)
        self._reset()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
