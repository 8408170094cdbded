"""Recipes: one YAML file says everything that makes a model; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from geomedsr import operators
from geomedsr.degradations import AnyDegradation, chain, of_kind
from geomedsr.geometry.profile import NARROWEST, WIDEST
from geomedsr.losses import SpectralAngle
from geomedsr.models.descriptor import MOST_NEIGHBOURS, check_bands
from geomedsr.models.ports import Port, Ports
from geomedsr.parts import Part
from geomedsr.providers import provider
from geomedsr.scene.scaling import PERCENTILES
from geomedsr.training.augment import Augment
from geomedsr.training.stages import AdversarialPart, ContentPart, IntervalPart, StagePart


class GeneratorPart(Part):
    """Which network: see :data:`geomedsr.models.store.ARCHITECTURES`.

    ``channels`` 1 is band-agnostic: patches are of one band, and the model serves any number of them. ``bands`` names
    those of a joint model, which are found in each scene by what they show, such as ``red``; ``channels`` is then their
    number. ``neighbours`` is how many frames of a series it sees before and after the one it makes. ``heads`` are the
    factors of a network that makes new slices, such as ``[5, 1, 1]``; such a recipe has ``slices``. ``ports`` are
    its inputs besides the image: masks of what the degradation breaks (of one named band, or for each band). ``start``
    is a model, by name or file, whose weights to begin with: of the same architecture, options, scale, bands,
    neighbours and inputs. ``keep`` is the share of those weights that the finished model keeps; what it ended with is
    the rest (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903).
    """

    architecture: str = "compact"
    scale: int = Field(default=4, ge=1, le=16)
    channels: int = Field(default=1, ge=1)
    bands: tuple[str, ...] = ()
    neighbours: int = Field(default=0, ge=0, le=MOST_NEIGHBOURS)
    heads: tuple[tuple[int, int, int], ...] = ()
    options: dict[str, int] = Field(default={})
    ports: Ports = Ports()
    start: str | None = None
    keep: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("bands"), list | tuple) and content["bands"]:
            return {"channels": len(content["bands"]), **content}
        return content

    @model_validator(mode="after")
    def _named(self) -> GeneratorPart:
        check_bands(self.bands, self.channels)
        if self.keep and self.start is None:
            raise ValueError("keep without start: name a model, or leave it out")
        return self


class SlicesPart(Part):
    """How slices are made thick, for networks that make new ones (:mod:`geomedsr.training.slices`).

    A share of ``boxes`` among the profiles, the others bells of a width drawn from ``bells``, in slice distances.
    ``stretch`` is how many rows of a slice stand for one thin slice, on half of the patches.
    """

    boxes: float = Field(default=0.5, ge=0, le=1)
    bells: tuple[float, float] = (0.8, 1.4)
    stretch: tuple[float, float] = (1.0, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> SlicesPart:
        if not NARROWEST <= self.bells[0] <= self.bells[1] <= WIDEST:
            raise ValueError(f"bells needs two numbers {NARROWEST:g} <= low <= high <= {WIDEST:g}")
        if not 1 <= self.stretch[0] <= self.stretch[1] <= 4:
            raise ValueError("stretch needs two numbers 1 <= low <= high <= 4")
        return self


class GuideEntry(Part):
    """The guide beside a scene: a finer image of the same place, or one ``mixed`` of bands.

    ``path`` is of one raster, ``bands`` those of it to use. Without a path the guide is mixed of the scene's own bands,
    as a panchromatic one is: with random positive weights, others for each patch.
    """

    path: str | None = None
    bands: tuple[str | int, ...] | None = None
    mixed: bool = False

    @model_validator(mode="after")
    def _of_something(self) -> GuideEntry:
        if self.path is None and (self.bands or not self.mixed):
            raise ValueError("a guide without a path is mixed of the scene's own bands: say mixed: true, and no bands")
        return self


class SceneEntry(Part):
    """A scene, or a window ``[col, row, width, height]`` of one, with the notice to keep with what it makes.

    ``path`` may hold ``*``, ``?`` and ``[…]``, and stands for every match then. ``bands`` names those to use; where a
    file does not tell what they show, ``red=1`` does. ``guide`` is for networks that have one. ``across``: a thin
    series, of which planes across its slices are used, for networks that make new slices.
    """

    path: str
    window: tuple[int, int, int, int] | None = None
    bands: tuple[str | int, ...] | None = None
    guide: GuideEntry | None = None
    across: bool = False
    attribution: str


class PairEntry(Part):
    """A fine and a coarse raster over one footprint; or two folders of them, matched by file name without its ending.

    ``fine_bands`` and ``coarse_bands`` name as many bands each, in the same order; a band may come twice. ``window``
    is of coarse pixels, ``[col, row, width, height]``.
    """

    fine: str
    coarse: str
    fine_bands: tuple[str | int, ...] | None = None
    coarse_bands: tuple[str | int, ...] | None = None
    window: tuple[int, int, int, int] | None = None
    attribution: str


class DataPart(Part):
    """High-resolution scenes, or real pairs; relative paths are under ``root``. Split by scene, never by patch.

    Either ``train`` names scenes, whose low resolution is made, or ``pairs`` real pairs; ``validation`` and
    ``validation_pairs`` go with both. ``hold_out`` keeps that share of what is trained on, whole scenes, series or
    pairs, for validation: which, depends on the recipe's seed.
    """

    root: str = "."
    train: tuple[SceneEntry, ...] = ()
    pairs: tuple[PairEntry, ...] = ()
    validation: tuple[SceneEntry, ...] = ()
    validation_pairs: tuple[PairEntry, ...] = ()
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    licence: str = ""

    @property
    def guided(self) -> tuple[bool, ...]:
        """Whether each scene has a guide."""
        return tuple(entry.guide is not None for entry in (*self.train, *self.validation))

    @property
    def paths(self) -> tuple[str, ...]:
        """What is trained on, as written."""
        guides = (e.guide.path for e in self.train if e.guide and e.guide.path)
        return (*(e.path for e in self.train), *guides, *(path for e in self.pairs for path in (e.fine, e.coarse)))

    @property
    def attributions(self) -> tuple[str, ...]:
        """The notices of all that."""
        return (*(e.attribution for e in self.train), *(e.attribution for e in self.pairs))

    @model_validator(mode="after")
    def _one_source(self) -> DataPart:
        if bool(self.train) == bool(self.pairs):
            raise ValueError("name what to train on: scenes in `train`, or real pairs in `pairs`, not both")
        return self


class ForegroundPart(Part):
    """What of a scene is looked at: pixels above ``above`` on the value scale (0 … 1).

    Patches with less than a ``share`` of them are not drawn; validation counts no other pixel.
    """

    above: float = 0.0
    share: float = Field(default=0.0, ge=0, le=1)


class ValuesPart(Part):
    """How stored values become the network's: what meets 0 and 1, in physical units or as percentiles of the scene."""

    scale: Literal["percentiles", "physical"] = "percentiles"
    range: tuple[float, float] = PERCENTILES

    @model_validator(mode="after")
    def _known(self) -> ValuesPart:
        if self.scale == "percentiles" and self.range != PERCENTILES:
            raise ValueError(f"percentiles are always {PERCENTILES}")
        low, high = self.range
        if not (low < high and high - low >= 1e-30 and max(abs(low), abs(high)) <= 1e30):
            raise ValueError("range needs two numbers low < high, within what float32 holds")
        return self


class Recipe(Part):
    """A whole training run: a content stage, and an adversarial one if ``adversarial`` is given.

    ``operator`` is the observation operator under which outputs agree with inputs; ``degradation`` how low resolution
    is made, which is by that operator alone unless it says more. With real pairs nothing is made, and the operator is
    ``none`` unless one is named: no sensor's pixels are exactly the block means of another's. ``realism`` is the
    default of the finished model, where it has adversarial weights.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    generator: GeneratorPart = GeneratorPart()
    operator: str = "block-mean"
    degradation: tuple[AnyDegradation, ...] = ()
    domain: str = "satellite"
    values: ValuesPart = ValuesPart()
    foreground: ForegroundPart | None = None
    slices: SlicesPart | None = None
    data: DataPart
    augment: Augment = Augment()
    content: ContentPart
    adversarial: AdversarialPart | None = None
    interval: IntervalPart | None = None
    realism: float = Field(default=0.0, ge=0, le=1)
    ema: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    inference_precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    log_every: int = Field(default=50, ge=1)
    validate_every: int = Field(default=1000, ge=1)
    checkpoint_every: int = Field(default=250, ge=1)
    tensorboard: bool = False

    @model_validator(mode="before")
    @classmethod
    def _real_pairs_promise_nothing(cls, content: Any) -> Any:
        data = content.get("data") if isinstance(content, dict) else None
        pairs = data.get("pairs") if isinstance(data, dict) else getattr(data, "pairs", None)
        return {"operator": "none", **content} if pairs else content

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        for name, stage in self.stages:
            if stage.patch % self.generator.scale:
                raise ValueError(f"{name}.patch {stage.patch} is not a multiple of the scale {self.generator.scale}")
            if self.generator.channels < 2 and any(isinstance(loss, SpectralAngle) for loss in stage.losses):
                raise ValueError(
                    f"the loss spectral-angle in {name} with generator.channels {self.generator.channels}: it compares "
                    "bands, and needs at least 2 together"
                )
        if self.interval is not None and self.interval.patch % self.generator.scale:
            raise ValueError(
                f"interval.patch {self.interval.patch} is not a multiple of the scale {self.generator.scale}"
            )
        if self.steps < 1:
            raise ValueError("no steps: content.steps and adversarial.steps are 0")
        if self.operator not in operators.OPERATORS:
            raise ValueError(f"operator {self.operator!r} is none of {', '.join(operators.OPERATORS)}")
        unused = "degradation" if self.degradation else self.augment.unfit_for_pairs
        unused = unused or ("adversarial.zoom" if self.adversarial and self.adversarial.zoom else None)
        if self.data.pairs and unused:
            raise ValueError(f"data.pairs are real: {unused} would not change them, leave it out")
        if (self.data.pairs or self.data.validation_pairs) and self.generator.neighbours:
            raise ValueError("real pairs are of single frames: generator.neighbours must be 0")
        if self.generator.keep and self.adversarial:
            raise ValueError("generator.keep with an adversarial stage: leave it out")
        operator = operators.get(self.operator)
        self._check_slices()
        self._check_ports(chain(self.chain, self.generator.scale).makes if not self.data.pairs else (), operator)
        if operator.constrains and operator.reduction != self.chain[0].kind:
            raise ValueError(
                f"degradation {self.chain[0].kind} with operator {self.operator}: what reduces and what outputs agree "
                f"with must be the same, or operator none"
            )
        return self

    def _check_slices(self) -> None:
        """That heads, the part ``slices`` and entries across slices go together."""
        heads, crossing = self.generator.heads, any(e.across for e in (*self.data.train, *self.data.validation))
        if bool(heads) != (self.slices is not None) or (crossing and not heads):
            raise ValueError("generator.heads, slices, and data across slices: all are for networks of new slices")
        if not heads:
            return
        if self.generator.scale != 1 or any(head[1:] != (1, 1) or not 2 <= head[0] <= 16 for head in heads):
            raise ValueError("generator.heads of new slices: scale 1, and heads such as [5, 1, 1]")
        unused: dict[str, object] = {
            "adversarial": self.adversarial,
            "degradation": self.degradation,
            "ports": self.generator.ports.inputs,
        }
        unused |= {"data.pairs": self.data.pairs, "augment.zoom": self.augment.zoom != (1.0, 1.0)}
        unused |= {"augment.padding": self.augment.padding}
        if odd := [name for name, used in unused.items() if used]:
            raise ValueError(f"{odd[0]} in a recipe of new slices: leave it out")

    def _check_ports(self, made: Sequence[str], operator: operators.Operator) -> None:
        ports = self.generator.ports
        self._check_guide(guide := self.guide)
        for port in ports.inputs:
            if port == guide:
                continue
            if (
                port.meaning == "half-width"
                or port.factors != (1, 1, 1)
                or len(port.bands) > 1
                or port.name not in made
            ):
                raise ValueError(
                    f"the input {port.name}: training has what the degradation makes, such as masks "
                    f"({', '.join(made) or 'none here'}), of one band or for each, as fine as the image; and a guide "
                    "of named bands, as fine as the result"
                )
        if ports.outputs:
            raise ValueError(f"the output {ports.outputs[0].name}: no loss would teach it")
        if lacking := [name for name in operator.needs if name not in {port.name for port in ports.inputs}]:
            raise ValueError(f"operator {operator.name} needs an input {lacking[0]}: name it in generator.ports.inputs")

    def _check_guide(self, port: Port | None) -> None:
        """That scenes have guides where the network has one, and only there; and that patches can be cut of both."""
        if port is None:
            if any(self.data.guided):
                raise ValueError(
                    "data with guides for a network without one: name it in generator.ports.inputs, with bands and "
                    f"with factors [1, {self.generator.scale}, {self.generator.scale}]"
                )
            return
        if not self.data.train or not all(self.data.guided):
            raise ValueError(f"the input {port.name}: every scene of data.train and data.validation needs a guide")
        part = self.generator
        if part.neighbours or self.augment.padding or chain(self.chain, part.scale).reduction.whole:
            raise ValueError(
                f"the input {port.name} does not go with generator.neighbours, augment.padding or a reduction of whole "
                "frames"
            )
        for entry in (*self.data.train, *self.data.validation):
            if entry.guide and entry.guide.mixed and len(port.bands) != 1:
                raise ValueError(f"the input {port.name} of {len(port.bands)} bands: a mixed guide is one")

    @property
    def guide(self) -> Port | None:
        """The input that is a guide: an image as fine as the result, of named bands."""
        fine = (1, self.generator.scale, self.generator.scale)
        found = [p for p in self.generator.ports.inputs if p.meaning == "value" and p.factors == fine and p.bands]
        return found[0] if len(found) == 1 else None

    def __repr__(self) -> str:
        g = self.generator
        stages = ", ".join(f"{name} {stage.steps} steps" for name, stage in self.stages)
        return f"<geomedsr recipe {self.name} {self.version}: ×{g.scale} for {self.domain}, {g.architecture}; {stages}>"

    def _repr_html_(self) -> str:
        return str(provider("recipe.card")(self))

    @property
    def stages(self) -> tuple[tuple[str, StagePart], ...]:
        """The stages by name, in order."""
        adversarial = (("adversarial", self.adversarial),) if self.adversarial else ()
        return (("content", self.content), *adversarial)

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for _, stage in self.stages)

    @property
    def chain(self) -> tuple[AnyDegradation, ...]:
        """The degradations, a reduction first."""
        return self.degradation or (of_kind(operators.get(self.operator).reduction),)
