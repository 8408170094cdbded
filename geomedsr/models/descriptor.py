"""What a model is and can do, as data: the JSON blob in every weights file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Descriptor(BaseModel):
    """A model's card.

    ``channels`` is the number of input (and output) channels. A model with one channel is band-agnostic:
    it runs on each band by itself, so it serves any number of them. ``bands`` names the colours that a joint model
    wants in its channels, in order; where there are none, any bands will do. ``value_range`` tells how stored values
    become the network's numbers: what meets 0 and 1, which are percentiles of the scene or, where
    ``value_scale`` is ``"physical"``, values in its units (HU). ``operator`` names the observation operator it was
    trained under. ``adversarial`` says that the file holds a second set of weights, from adversarial training, and
    ``realism`` how much of it is used by default (0: none). ``domain`` is what it was trained for: it is the default
    for such scenes. ``precision`` is the least that it may run in: ``"bfloat16"`` where its validation PSNR is then
    within 0.01 dB of float32's. ``metrics`` are those of its own validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    name: str
    version: str
    architecture: str
    options: dict[str, int] = {}
    scale: int = Field(ge=2, le=16)
    channels: int = Field(default=1, ge=1)
    bands: tuple[str, ...] = ()
    domain: str = "satellite"
    value_scale: Literal["percentiles", "physical"] = "percentiles"
    value_range: tuple[float, float]
    operator: str = "block-mean"
    adversarial: bool = False
    realism: float = Field(default=0.0, ge=0, le=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    description: str = ""
    training_data: tuple[str, ...] = ()
    licence: str = ""
    attribution: tuple[str, ...] = ()
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
