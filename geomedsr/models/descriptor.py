"""What a model is and can do, as data: the JSON blob in every weights file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geomedsr.geometry import Factors
from geomedsr.models.ports import IMAGE, Ports, Shapes

#: More frames on each side than anything gains from.
MOST_NEIGHBOURS = 8


def check_bands(bands: tuple[str, ...], channels: int) -> None:
    """Raise a ValueError unless names of bands fit a network of so many channels."""
    if not bands:
        return
    folded = [name.strip().casefold() for name in bands]
    if len(bands) != channels or channels == 1:
        raise ValueError(f"bands {', '.join(bands)}: expected 2 or more, and as many as channels ({channels})")
    if len(set(folded)) < len(folded) or "" in folded:
        raise ValueError(f"bands {', '.join(bands)}: each name once, none empty")


class Descriptor(BaseModel):
    """A model's card.

    ``channels`` is the number of bands that the network sees and makes at once. A model with one channel is
    band-agnostic: it runs on each band by itself, so it serves any number of them. ``bands`` names those of a joint
    model, in its order: by what they show (``red``, ``green``, ``blue``, ``nir``) or as files call them; without names
    it takes bands as they come. ``neighbours`` is how many frames before and after the one it makes the network sees as
    well, so that it has ``inputs`` channels of input. ``scale`` is how many times finer its results are in plane,
    ``frame_factor`` how many frames it makes of one; ``ports`` are what it takes and makes besides the image.
    ``value_range`` tells how stored values
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
    scale: int = Field(ge=1, le=16)
    frame_factor: int = Field(default=1, ge=1, le=16)
    channels: int = Field(default=1, ge=1)
    bands: tuple[str, ...] = ()
    neighbours: int = Field(default=0, ge=0, le=MOST_NEIGHBOURS)
    ports: Ports = Ports()
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

    @model_validator(mode="after")
    def _named(self) -> Descriptor:
        check_bands(self.bands, self.channels)
        return self

    @property
    def factors(self) -> Factors:
        """How many times finer its results are, along each axis."""
        return Factors(self.frame_factor, self.scale, self.scale)

    @property
    def frames(self) -> int:
        """How many frames the network sees to make one."""
        return 2 * self.neighbours + 1

    @property
    def inputs(self) -> int:
        """Channels of the network's image: frame by frame, each with its bands."""
        return self.frames * self.channels

    @property
    def shapes(self) -> Shapes:
        """Of each of the network's inputs: its name, channels, and how many times finer its rows and columns are."""
        beside = ((port.name, len(port.bands) or self.channels, port.factors[1:]) for port in self.ports.inputs)
        return (IMAGE, self.inputs, (1, 1)), *beside

    @property
    def sees(self) -> str:
        """What the network sees at once, in words."""
        bands = f"{', '.join(self.bands)} jointly" if self.bands else f"{self.channels} bands jointly"
        slices = f", with {self.neighbours} slice{'s' * (self.neighbours != 1)} before and after"
        return ("band by band" if self.channels == 1 else bands) + (slices if self.neighbours else "")
