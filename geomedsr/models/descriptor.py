"""The descriptor: what a model is and can do, as data. It is the JSON blob in every weights file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from geomedsr.errors import InputError
from geomedsr.geometry import Factors
from geomedsr.models.ports import IMAGE, Ports, Shapes

#: The most context frames on each side; more bring no gain.
MOST_NEIGHBOURS = 8

#: How many times finer along an axis.
_Times = Annotated[int, Field(ge=1, le=16)]


def check_bands(bands: tuple[str, ...], channels: int) -> None:
    """Raise a ValueError unless the names of bands fit a network with ``channels`` channels."""
    if not bands:
        return
    folded = [name.strip().casefold() for name in bands]
    if len(bands) != channels or channels == 1:
        raise ValueError(f"bands {', '.join(bands)}: expected 2 or more, and as many as channels ({channels})")
    if len(set(folded)) < len(folded) or "" in folded:
        raise ValueError(f"bands {', '.join(bands)}: each name once, none empty")


def _listed(heads: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(map(str, heads))


class Usual(BaseModel):
    """What scenes of a model are usually like: the usual range of each figure of :mod:`geomedsr.fitness`, by name, over
    the ``scenes`` that it was trained and validated on. ``told_by`` are differences in dB, for scenes of which the
    truth can be made: the gain over bicubic that a self-test of the model tells, less the true one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    figures: dict[str, tuple[float, float]] = {}
    scenes: int = Field(default=0, ge=0)
    told_by: tuple[float, ...] = ()


#: The shares of pixels for which cards hold scores of calibration.
NOMINALS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99)


class IntervalFacts(BaseModel):
    """The head that makes half-widths, and its calibration (:mod:`geomedsr.metrics.coverage`).

    ``hidden`` are the head's channels. ``kind`` names the independent units of calibration, such as scenes. ``scores``
    holds for each unit, and each of :data:`NOMINALS`, how many times as wide intervals must be to cover that share of
    the unit's pixels, once their self-test has set the scale of the scene. ``typical`` is that scale where a scene is
    too small for a self-test: the median over units, by nominal share. ``trained_on`` and ``calibrated_on`` are digests
    of scenes. Without scores the head is not calibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(ge=1, le=1024)
    kind: str = "scenes"
    scores: tuple[tuple[float, ...], ...] = ()
    typical: tuple[float, ...] = ()
    trained_on: tuple[str, ...] = ()
    calibrated_on: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> IntervalFacts:
        rows = (*self.scores, self.typical) if self.scores else ()
        if any(len(row) != len(NOMINALS) or min(row) < 0 for row in rows):
            raise ValueError(f"scores of an interval: {len(NOMINALS)} numbers from 0 for each unit, and typical ones")
        return self


class Descriptor(BaseModel):
    """A model's card.

    ``channels`` is the number of bands that the network sees and makes together. A model with one channel is
    band-agnostic: it runs on each band by itself, so it serves any number of bands. ``bands`` names the bands of a
    joint model, in its order: by what they show (``red``, ``green``, ``blue``, ``nir``) or as files name them; without
    names it takes bands in the order given.

    ``neighbours`` is the number of context frames before and after each frame; the network's input has ``inputs``
    channels. ``scale`` is how many times finer results are in plane, ``frame_factor`` how many frames it makes from
    each. ``heads`` lists the factors, along ``(frame, y, x)``, of a network with several heads; ``scale`` and
    ``frame_factor`` are then those of the head in use: the first unless another is chosen. ``ports`` are its inputs
    and outputs besides the image.

    ``value_range`` becomes 0 and 1 for the network: percentiles of the scene, or values in physical units (HU) if
    ``value_scale`` is ``"physical"``. ``operator`` names the observation operator used in training. ``adversarial``
    says that the file holds a second set of weights, from adversarial training, and ``realism`` how much of it is used
    by default (0: none). ``domain`` is the kind of scenes it was trained for, and is the default for. ``precision`` is
    the lowest that it may run in: ``"bfloat16"`` if its validation PSNR is then within 0.01 dB of float32's.
    ``metrics`` are from its own validation. ``usual`` tells what the scenes are like that it knows, and
    ``interval`` of the head that makes half-widths, if it has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    name: str
    version: str
    architecture: str
    options: dict[str, int] = {}
    scale: _Times
    frame_factor: _Times = 1
    heads: tuple[tuple[_Times, _Times, _Times], ...] = ()
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
    usual: Usual = Usual()
    interval: IntervalFacts | None = None

    @model_validator(mode="after")
    def _named(self) -> Descriptor:
        check_bands(self.bands, self.channels)
        return self

    @model_validator(mode="after")
    def _headed(self) -> Descriptor:
        if len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads {_listed(self.heads)}: each once")
        if uneven := [head for head in self.heads if head[1] != head[2]]:
            raise ValueError(f"a head for {uneven[0]}: rows and columns are made finer alike")
        if self.heads and (own := tuple(self.factors)) not in self.heads:
            raise ValueError(f"a scale and frame_factor for {own}, among the heads {_listed(self.heads)}")
        return self

    @model_serializer(mode="wrap")
    def _plain(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not there, so that such cards stay the same as before it existed."""
        facts: dict[str, Any] = rest(self)
        missing = {
            name
            for name, there in (("heads", self.heads), ("usual", self.usual.figures), ("interval", self.interval))
            if not there
        }
        return {name: fact for name, fact in facts.items() if name not in missing}

    @property
    def factors(self) -> Factors:
        """How many times finer its results are, along each axis."""
        return Factors(self.frame_factor, self.scale, self.scale)

    @property
    def offered(self) -> str:
        """How many times finer its results are, and the other factors that it offers, in words."""
        others = [Factors(*head).words for head in self.heads if head != tuple(self.factors)]
        return self.factors.words + (f" (or {'; '.join(others)})" if others else "")

    def choosing(self, factors: Iterable[int]) -> Descriptor:
        """The card with the head for these factors in use.

        Raises:
            InputError: there is no such head, or these are no factors.
        """
        try:
            wanted = Factors.of(factors)
        except ValueError as error:
            raise InputError(
                f"factors {factors!r}", "three whole numbers from 1, for frames, rows and columns", "such as (3, 1, 1)"
            ) from error
        if wanted == self.factors:
            return self
        if tuple(wanted) not in self.heads:
            raise InputError(
                f"factors {tuple(wanted)} for the model {self.name} {self.version}",
                f"one of {_listed(self.heads)}" if self.heads else f"its own, {tuple(self.factors)}",
                f"{'choose one of these' if self.heads else 'leave them out'}, or use another model",
            )
        return self.model_copy(update={"frame_factor": wanted.frame, "scale": wanted.y})

    @property
    def frames(self) -> int:
        """How many frames the network sees to make one."""
        return 2 * self.neighbours + 1

    @property
    def inputs(self) -> int:
        """Channels of the network's image input: all bands of one frame, then of the next."""
        return self.frames * self.channels

    @property
    def shapes(self) -> Shapes:
        """Each input of the network: its name, channels, and how many times finer its rows and columns are."""
        beside = ((port.name, len(port.bands) or self.channels, port.factors[1:]) for port in self.ports.inputs)
        return (IMAGE, self.inputs, (1, 1)), *beside

    @property
    def sees(self) -> str:
        """The bands and slices that the network sees together, in words."""
        bands = f"{', '.join(self.bands)} jointly" if self.bands else f"{self.channels} bands jointly"
        slices = f", with {self.neighbours} slice{'s' * (self.neighbours != 1)} before and after"
        return ("band by band" if self.channels == 1 else bands) + (slices if self.neighbours else "")
