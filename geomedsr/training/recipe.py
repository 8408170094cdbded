"""Recipes: one YAML file says everything that makes a model; unknown keys are refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from geomedsr.errors import RecipeError
from geomedsr.values import PERCENTILES


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GeneratorPart(_Part):
    """Which network: see :data:`geomedsr.models.store.ARCHITECTURES`."""

    architecture: str = "compact"
    scale: int = Field(default=4, ge=2, le=16)
    channels: Literal[1] = 1  # band-agnostic: patches are of one band
    options: dict[str, int] = {}


class SceneEntry(_Part):
    """A scene, or a window ``[col, row, width, height]`` of one, with the notice to keep with what it makes."""

    path: str
    window: tuple[int, int, int, int] | None = None
    attribution: str


class DataPart(_Part):
    """High-resolution scenes; relative paths are under ``root``. Split by scene, never by patch."""

    root: str = "."
    train: tuple[SceneEntry, ...] = Field(min_length=1)
    validation: tuple[SceneEntry, ...] = ()
    licence: str = ""


class ForegroundPart(_Part):
    """What of a scene is looked at: pixels above ``above`` on the value scale (0 … 1).

    Patches with less than a ``share`` of them are not drawn; validation counts no other pixel.
    """

    above: float = 0.0
    share: float = Field(default=0.0, ge=0, le=1)


class ValuesPart(_Part):
    """How stored values become the network's: what meets 0 and 1, in physical units or as percentiles of the scene."""

    scale: Literal["percentiles", "physical"] = "percentiles"
    range: tuple[float, float] = PERCENTILES

    @model_validator(mode="after")
    def _known(self) -> ValuesPart:
        if self.scale == "percentiles" and self.range != PERCENTILES:
            raise ValueError(f"percentiles are always {PERCENTILES}")
        if not self.range[0] < self.range[1]:
            raise ValueError("range needs two numbers low < high")
        return self


class AugmentPart(_Part):
    """Besides flips and turns: a random line ``gain · z + offset`` on half of the patches.

    ``sharpness`` lists amounts ``a``, one drawn for each patch: the high-resolution image becomes
    ``z + a · (z − blur(z))``, with a 3 × 3 binomial blur, so that −1 is that blur itself, 0 changes nothing and
    positive ones sharpen. It stands for the kernels and scanners that the training data do not hold.
    """

    gain: tuple[float, float] = (1.0, 1.0)
    offset: float = Field(default=0.0, ge=0)
    sharpness: tuple[float, ...] = Field(default=(), max_length=8)

    @model_validator(mode="after")
    def _ordered(self) -> AugmentPart:
        if not 0 < self.gain[0] <= self.gain[1]:
            raise ValueError("gain needs two numbers 0 < low <= high")
        return self


class OptimiserPart(_Part):
    """AdamW with linear warm-up and cosine decay to ``final_learning_rate``."""

    learning_rate: float = Field(default=5e-4, gt=0)
    final_learning_rate: float = Field(default=1e-6, ge=0)
    warmup_steps: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)


class Recipe(_Part):
    """A whole training run. ``patch`` is the side of high-resolution patches in pixels.

    ``consistency`` weighs the mean squared difference between the input and the network's own output brought
    down. The content loss is taken after projection and does not see it; without it those means drift.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    generator: GeneratorPart = GeneratorPart()
    operator: str = "block-mean"
    domain: str = "satellite"
    values: ValuesPart = ValuesPart()
    foreground: ForegroundPart | None = None
    data: DataPart
    augment: AugmentPart = AugmentPart()
    patch: int = Field(default=192, ge=8)
    batch: int = Field(default=16, ge=1)
    steps: int = Field(ge=1)
    optimiser: OptimiserPart = OptimiserPart()
    consistency: float = Field(default=1.0, ge=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    log_every: int = Field(default=50, ge=1)
    validate_every: int = Field(default=1000, ge=1)
    checkpoint_every: int = Field(default=250, ge=1)

    @model_validator(mode="after")
    def _divides(self) -> Recipe:
        if self.patch % self.generator.scale:
            raise ValueError(f"patch {self.patch} is not a multiple of the scale {self.generator.scale}")
        return self


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; ``overrides`` are dotted ``key=value`` texts, values in YAML.

    Raises:
        RecipeError: no such file, not YAML, or a key or value that the recipe does not know.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe {file} ({error})", "a readable YAML file", "check the path") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{file}, which is not YAML ({error})", "a YAML recipe", "mend that line") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{file} holding {type(content).__name__}", "a mapping of keys", "see configs/")
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        value = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
        raise RecipeError(f"{key}{value} in {file}", "a recipe's keys and values", first["msg"]) from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"the override {override!r}", "key=value, such as steps=1000", "write it so")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"the override {override!r}", "a value in YAML", "quote it") from error
    *path, last = key.split(".")
    place: Any = content
    for part in path:
        place = place.setdefault(part, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise RecipeError(f"the override {override!r}", "a dotted path through mappings", "check the key")
    place[last] = value
