"""What a run carries from step to step, and how it survives being killed."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geomedsr.discriminators import build_discriminator
from geomedsr.errors import OutputError, RecipeError, SceneWarning
from geomedsr.io.files import reason, replacing, sync
from geomedsr.losses import Perceptual
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.ports import Ports
from geomedsr.models.store import build, load_model
from geomedsr.models.vgg19 import load_vgg19
from geomedsr.training.describe import describe
from geomedsr.training.distributed import ProcessGroup
from geomedsr.training.pair_data import trained_on
from geomedsr.training.recipe import GeneratorPart, Recipe
from geomedsr.training.schedule import learning_rate
from geomedsr.training.stages import AdversarialPart, OptimiserPart, StagePart

#: The newest state, and the one before it.
CHECKPOINT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"

#: How checkpoints begin.
_SEAL = b"geomedsr checkpoint 1\n"

State = dict[str, Any]


class Run:
    """The generator, its moving average, the discriminator, their optimisers, and how many ``step``s are done.

    ``content`` holds the weights that the content stage ended with, once it has. A stage begins with the average of the
    one before, and with new optimisers. ``sums`` are the losses, and the number of steps, since the log's last row.

    Raises:
        ModelError: unknown architecture or options, or no weights of VGG-19 for a perceptual loss.
        RecipeError: unknown discriminator or options, patches too small for it, a batch that the process group does not
            divide, or a start of another architecture.
    """

    def __init__(self, recipe: Recipe, device: torch.device, group: ProcessGroup | None = None) -> None:
        self.recipe, self.device, self.group, self.step = recipe, device, group or ProcessGroup(), 0
        self._identity = identity(recipe)
        _check_stages(recipe, self.group)  # now: not after hours of the stage before
        torch.manual_seed(recipe.seed)
        self.generator = self._new_generator()
        if recipe.generator.start is not None:
            self.generator.load_state_dict(_start(recipe))
        self.average = self._new_generator()
        self.average.load_state_dict(self.generator.state_dict())
        self.content: State | None = None
        self.discriminator: nn.Module | None = None
        self.sums: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self._begun: str | None = None
        self.optimiser = self._new_optimiser(self.generator, recipe.content.optimiser.learning_rate)
        self.discriminator_optimiser: torch.optim.Optimizer | None = None
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")

    @property
    def stage_name(self) -> str:
        """The stage of the coming step."""
        return "content" if self.step < self.recipe.content.steps else "adversarial"

    @property
    def stage(self) -> StagePart:
        """The same, as the recipe describes it."""
        return dict(self.recipe.stages)[self.stage_name]

    @property
    def stage_step(self) -> int:
        """How many steps of that stage are done."""
        return self.step - (self.recipe.content.steps if self.stage_name == "adversarial" else 0)

    @property
    def learning_rate(self) -> float:
        """The generator's rate in the coming step."""
        return learning_rate(self.stage.optimiser, self.stage_step, self.stage.steps)

    @property
    def adversarial_ramp(self) -> float:
        """The share of its weight that the adversarial loss has in the coming step."""
        stage = self.stage
        if not isinstance(stage, AdversarialPart) or stage.ramp == 0:
            return 1.0
        return min(1.0, self.stage_step / stage.ramp)

    def begin_stage(self) -> None:
        """Make what the stage at hand needs, unless it is there."""
        if self._begun == self.stage_name:
            return
        stage = self.stage
        torch.manual_seed(self.recipe.seed + (self.stage_name == "adversarial"))
        if isinstance(stage, AdversarialPart):
            self.content = {key: value.detach().clone() for key, value in self.average.state_dict().items()}
            self.generator.load_state_dict(self.content)
            part = stage.discriminator
            discriminator = build_discriminator(part.architecture, self.recipe.generator.channels, part.options)
            self.discriminator = discriminator.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.discriminator_optimiser = self._new_optimiser(discriminator, part.learning_rate)
        self.optimiser = self._new_optimiser(self.generator, stage.optimiser.learning_rate)
        self._begun = self.stage_name

    def update_ema(self) -> None:
        """Move the average towards the generator: called once a step. Young averages forget their start."""
        done = self.stage_step + 1
        keep = min(self.recipe.ema, done / (done + 10))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)

    def finished(self) -> nn.Module:
        """The average, with the share of the start's weights that the recipe keeps."""
        keep = self.recipe.generator.keep
        if not keep:
            return self.average
        made, start = copy.deepcopy(self.average), _start(self.recipe)
        made.load_state_dict({name: own.lerp(start[name].to(own), keep) for name, own in made.state_dict().items()})
        return made

    def save(self, folder: Path) -> None:
        """Write the checkpoint, whole or not at all; the one before stays beside it.

        Raises:
            OutputError: it cannot be written, for want of space or otherwise. The old ones are as they were.
        """
        try:
            with replacing(folder / CHECKPOINT) as partial:
                partial.write_bytes(sealed(self._state()))
                sync(partial)
                if (folder / CHECKPOINT).exists():
                    os.replace(folder / CHECKPOINT, folder / PREVIOUS)
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"{folder / CHECKPOINT}, which cannot be written ({reason(error)})",
                "space for a checkpoint",
                "make room and run the same command: it goes on from the last good checkpoint",
            ) from error

    def load(self, folder: Path) -> None:
        """Go on from the newest checkpoint that is whole, if there is one.

        Raises:
            RecipeError: none is whole, or they are another recipe's.
        """
        broken: list[Path] = []
        for path in (folder / CHECKPOINT, folder / PREVIOUS):
            if not path.exists():
                continue
            try:
                state = unsealed(path.read_bytes())
            except ValueError:
                broken.append(path)
                continue
            self._restore(state, path)
            if broken:
                broken[0].unlink()  # or it would take the good one's place
                warnings.warn(
                    f"{broken[0]} cannot be read: going on from the one before it, step {self.step}",
                    SceneWarning,
                    stacklevel=2,
                )
            return
        if broken:
            raise RecipeError(f"{broken[0]}, which cannot be read", "a checkpoint", "delete it to start over")

    def agree(self) -> None:
        """Let every process stand where the first one stands.

        Raises:
            RecipeError: their recipes or data differ.
        """
        if self.group.size == 1:
            return
        state = self.group.broadcast(sealed(self._state()) if self.group.first else b"")
        if not self.group.first:
            self._restore(unsealed(state), Path("a first process"))

    def _state(self) -> State:
        state: State = {
            "recipe": self._identity,
            "step": self.step,
            "begun": self._begun,
            "best": self.best,
            "sums": self.sums,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        if self.discriminator is not None and self.discriminator_optimiser is not None:
            state["content"] = self.content
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimiser"] = self.discriminator_optimiser.state_dict()
        return state

    def _restore(self, state: State, path: Path) -> None:
        if state["recipe"] != self._identity:
            raise RecipeError(
                f"{path} of another recipe, other overrides or other data",
                "the same, or an empty folder",
                "choose another --out, or delete that folder to start over",
            )
        self.step = int(state["step"])
        self.average.load_state_dict(state["average"])
        if "discriminator" in state:
            self.begin_stage()
            assert self.discriminator is not None
            assert self.discriminator_optimiser is not None
            self.content = {key: value.to(self.device) for key, value in state["content"].items()}
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])
        self._begun = state["begun"]
        self.best = state["best"]
        self.sums = state["sums"]
        self.generator.load_state_dict(state["generator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if "random_cuda" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], self.device)

    def _new_generator(self) -> nn.Module:
        module = build(describe(self.recipe))
        return module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _new_optimiser(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        part: OptimiserPart = self.stage.optimiser
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=part.weight_decay, betas=part.betas)


def identity(recipe: Recipe) -> str:
    """What decides how a run ends: the recipe, and the scenes that it trains on, by name and size."""
    # Where it runs and how often it reports do not change what comes out.
    reporting = {"device", "log_every", "validate_every", "checkpoint_every", "tensorboard"}
    entries = [entry.model_dump(exclude={"attribution"}) for entry in (*recipe.data.train, *recipe.data.pairs)]
    unused = (("guide", None), ("across", False))
    entries = [{k: v for k, v in entry.items() if (k, v) not in unused} for entry in entries]  # as before
    sizes = [(os.path.basename(path), _size(path)) for path in trained_on(recipe)]
    facts = recipe.model_dump(mode="json", exclude={*reporting, "data"})
    del facts["interval"]  # its head is trained when all this is done
    if recipe.generator.ports == Ports():  # runs of before could have none
        del facts["generator"]["ports"]
    if recipe.slices is None:
        del facts["slices"], facts["generator"]["heads"]
    if facts["adversarial"] and facts["adversarial"]["zoom"] is None:
        del facts["adversarial"]["zoom"]
    for name in ("guide_sharpness", "spectral"):
        if not facts["augment"][name]:
            del facts["augment"][name]
    return json.dumps([facts, entries, recipe.data.hold_out, sizes], sort_keys=True)


def _size(path: str) -> int:
    """Bytes of a file, files of a folder; 0 for what is neither, such as a GDAL path."""
    if os.path.isdir(path):
        return sum(len(files) for _, _, files in os.walk(path))
    return os.path.getsize(path) if os.path.exists(path) else 0


def sealed(state: State) -> bytes:
    """A state as bytes that tell whether they are whole: torch's own files do not."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return _SEAL + hashlib.sha256(buffer.getbuffer()).digest() + buffer.getvalue()


def unsealed(data: bytes) -> State:
    """The state again.

    Raises:
        ValueError: the bytes are not whole.
    """
    seal, digest, body = data[: len(_SEAL)], data[len(_SEAL) : len(_SEAL) + 32], data[len(_SEAL) + 32 :]
    if seal != _SEAL or hashlib.sha256(body).digest() != digest:
        raise ValueError("not a whole checkpoint")
    state: State = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    return state


def _check_stages(recipe: Recipe, group: ProcessGroup) -> None:
    """Make all that the stages name once, so that what cannot be made fails before the first step."""
    for name, stage in recipe.stages:
        share, left = divmod(stage.batch, stage.accumulate * group.size)
        if left:
            raise RecipeError(
                f"{name}.batch {stage.batch} for {group.size} processes (accumulate {stage.accumulate})",
                f"a multiple of {stage.accumulate * group.size}: a batch is what all processes use together",
                "change it, or start another number of processes",
            )
        for loss in stage.losses:
            if isinstance(loss, Perceptual):
                load_vgg19(loss.file)
        if isinstance(stage, AdversarialPart):
            part, channels = stage.discriminator, recipe.generator.channels
            with torch.device("meta"):
                discriminator = build_discriminator(part.architecture, channels, part.options)
                try:
                    discriminator(torch.empty(share, channels, stage.patch, stage.patch))
                except (RuntimeError, ValueError) as error:
                    raise RecipeError(
                        f"{name}.patch {stage.patch} for the discriminator {part.architecture} ({reason(error)})",
                        "patches that it can take",
                        f"raise {name}.patch, or change the discriminator's options",
                    ) from error


def _inputs(of: GeneratorPart | Descriptor) -> list[str]:
    return [f"input {port.name}" for port in of.ports.inputs]


def _start(recipe: Recipe) -> State:
    """The weights to begin with.

    Raises:
        RecipeError: they are of another architecture.
    """
    assert recipe.generator.start is not None
    model = load_model(recipe.generator.start)
    part, card = recipe.generator, model.descriptor
    here, there = (
        (
            of.architecture,
            of.scale,
            of.channels,
            "/".join(of.bands) or "-",
            of.neighbours,
            of.options,
            *_inputs(of),
        )
        for of in (part, card)
    )
    if here != there:
        raise RecipeError(
            f"generator.start {part.start} of {' '.join(map(str, there))}",
            f"the recipe's {' '.join(map(str, here))} (architecture, scale, channels, bands, neighbours, options)",
            "make the recipe's generator the same, or leave `start` out",
        )
    return model.module.state_dict()
