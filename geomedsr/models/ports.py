"""Ports: the named images that a model takes and makes besides the image itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geomedsr.geometry import Factors

#: The input and the output that every model has.
IMAGE = "image"

#: For each input of a network: its name, channels, and how many times finer its rows and columns are than the image's.
Shapes = tuple[tuple[str, int, tuple[int, int]], ...]


class Port(BaseModel):
    """An input or an output of a model, besides the image.

    ``bands`` names its bands if the network sees or makes them together. Without names it has one band for each band
    of the image, and the two go together. ``factors`` is how many times finer an input's grid is than the image's,
    along ``(frame, y, x)``; outputs are on the result's grid. ``meaning`` tells what its numbers are: ``"value"``, on
    its own value scale (for outputs, the image's); ``"half-width"`` of an interval around the image's values, in its
    units; or ``"mask"``, true where a number is not 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    meaning: Literal["value", "half-width", "mask"] = "value"
    bands: tuple[str, ...] = ()
    factors: tuple[int, int, int] = (1, 1, 1)

    @model_validator(mode="after")
    def _sound(self) -> Port:
        if self.name == IMAGE:
            raise ValueError(f"a port named {IMAGE}: that is the image itself")
        if Factors(*self.factors).frame != 1:
            raise ValueError(f"the port {self.name} with {self.factors[0]} frames for one: only 1 is served")
        return self


class Ports(BaseModel):
    """A model's inputs and outputs besides the image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Ports:
        for ports in (self.inputs, self.outputs):
            names = [port.name for port in ports]
            if len(set(names)) < len(names):
                raise ValueError(f"ports {', '.join(names)}: each name once")
        finer = [port.name for port in self.outputs if port.factors != (1, 1, 1)]
        if finer:
            raise ValueError(f"the output {finer[0]} with factors: outputs lie on the result's grid")
        return self
