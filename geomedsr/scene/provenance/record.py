"""The record of how a result was made, and its machine-readable form: tags whose names begin with ``GEOMEDSR_``.

Formats hold the tags as they hold tags: GeoTIFF and Zarr one by one, NIfTI and DICOM together as JSON. Words for people
are made from the record, and never read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from geomedsr.geometry import Factors
from geomedsr.scene.provenance import made_of, steps, texts
from geomedsr.scene.provenance.made_of import Group
from geomedsr.scene.provenance.steps import Step

PREFIX = "GEOMEDSR_"

#: What a band shows, as the user said: a tag of the band, so that it follows it wherever it is taken.
ROLE = f"{PREFIX}ROLE"

#: The models before the last one: in words, and as data.
_BEFORE, STEPS = f"{PREFIX}BEFORE", f"{PREFIX}STEPS"

#: What a window of a result conserves, where its operator only guarantees whole frames.
OF_FRAMES = "of whole frames"

#: The nodata value of a source in which the user said that no value means "no data".
NONE = "none"

_NAME = re.compile(rf"{PREFIX}\w{{1,90}}", re.ASCII)


def _fact(name: str, read: Callable[[str], Any] = texts.some, text: Callable[[Any], str] = str) -> Any:
    """A fact that may be unknown (None), the tag that holds it, and how it stands there."""
    return field(default=None, metadata={"tag": PREFIX + name, "read": read, "text": text})


_factor, _count = texts.whole(1, 9999), texts.whole(0, 10**18)


@dataclass(frozen=True)
class Chosen:
    """What of the source was made finer, or is shown of it.

    ``bands`` are those that were chosen, by name, or by number from 1 where names do not tell. ``nodata`` is the value
    that the user said means "no data", :data:`NONE` where none does. ``slice_axis`` is the axis of a volume's file
    along which its slices lie, from 1, where that is not what its header would tell. ``aoi`` are the polygons that
    bound what is data, in the source's pixels (:mod:`geomedsr.scene.areas`). ``window`` is the part of the source that
    is shown, where that is not the whole: column, row, width and height in the source's pixels, of which a window of a
    result may show parts. ``resolution`` is the pixel size of the part of a product, where that is not the finest;
    ``mask`` what of it was taken for no data, such as ``clouds``; ``physical`` that values were brought to units.
    """

    bands: tuple[str | int, ...] | None = _fact("BANDS", texts.bands, json.dumps)
    nodata: float | int | str | None = _fact(
        "NODATA",
        lambda text: text if text == NONE else texts.number(text),
        lambda value: value if value == NONE else repr(value),
    )
    slice_axis: int | None = _fact("SLICE_AXIS", texts.whole(1, 3))
    aoi: str | None = _fact("AOI")
    window: tuple[Fraction, ...] | None = _fact("WINDOW", texts.part, texts.part_text)
    resolution: float | None = _fact("RESOLUTION", texts.positive, lambda value: f"{value:g}")
    mask: str | None = _fact("MASK", texts.like("[a-z]{1,20}(,[a-z]{1,20}){0,9}"))
    physical: str | None = _fact("PHYSICAL", texts.one_of("yes"))


@dataclass(frozen=True)
class ModelFacts:
    """The model that made it.

    ``bands`` tells which band was taken for each that the model names, ``inputs`` the scenes beside the image, by port.
    ``output`` is the port that it is of; None of the image. ``guide`` tells how a guide was brought onto its grid.
    """

    name: str | None = _fact("MODEL")
    version: str | None = _fact("MODEL_VERSION")
    sha256: str | None = _fact("MODEL_SHA256", texts.like("[0-9a-f]{4,64}"))
    realism: float | None = _fact("REALISM", texts.unit, lambda value: f"{value:g}")
    factor: int | None = _fact("FACTOR", _factor)
    bands: Mapping[str, str] | None = _fact("MODEL_BANDS", texts.words, json.dumps)
    neighbours: int | None = _fact("NEIGHBOURS", texts.whole(0, 99))
    frame_factor: int | None = _fact("FRAME_FACTOR", _factor)
    inputs: Mapping[str, str] | None = _fact("INPUTS", texts.words, json.dumps)
    output: str | None = _fact("OUTPUT")
    guide: str | None = _fact("GUIDE")

    @property
    def factors(self) -> Factors | None:
        """How many times finer it made the image; None where that is unknown."""
        return None if self.factor is None else Factors(self.frame_factor or 1, self.factor, self.factor)


@dataclass(frozen=True)
class Agreement:
    """The operator under which it was made, and whether it agrees with its source: yes, no, or :data:`OF_FRAMES`.

    ``profile`` is how wide slices were taken to be, in distances between them, where they are bells, and
    ``profile_origin`` who says so.
    """

    operator: str | None = _fact("OPERATOR")
    conserved: str | None = _fact("CONSERVED", texts.one_of("yes", "no", OF_FRAMES))
    profile: float | None = _fact("PROFILE", texts.positive, lambda value: f"{value:g}")
    profile_origin: str | None = _fact("PROFILE_ORIGIN")


@dataclass(frozen=True)
class IntervalRecord:
    """The interval that half-widths beside the image, or the image's own ones, make around the result at realism 0.

    ``nominal`` is the share of pixels that it is to cover, ``rule`` says of how many calibration units which score was
    taken, ``scale`` whether a self-test of the source set its scale or a typical one was taken, and ``invented`` is the
    share of pixels at which the image leaves it.
    """

    nominal: float | None = _fact("INTERVAL", texts.unit, lambda value: f"{value:g}")
    rule: str | None = _fact("INTERVAL_RULE")
    scale: str | None = _fact("INTERVAL_SCALE", texts.one_of("self-test", "typical"))
    invented: float | None = _fact("INVENTED", texts.unit, lambda value: f"{value:.4g}")


@dataclass(frozen=True)
class RunFacts:
    """What it was computed on, and how: the side of a tile, and whether tiles equal the untiled result."""

    words: str | None = _fact("RUNTIME")
    precision: str | None = _fact("PRECISION")
    tile: int | None = _fact("TILE", texts.whole(1, 10**9))
    tiling: str | None = _fact("TILING")

    @property
    def approximate(self) -> str | None:
        """In words, that tiles are not exactly those of the untiled result; None where they are."""
        return None if self.tiling in (None, "exact") else self.tiling


@dataclass(frozen=True, eq=False)
class Provenance(Mapping[str, str]):
    """How a scene was made; of one that no model made, what was chosen of it since it was opened.

    What is not known is None. As a mapping it is its tags. ``before`` are the passes before the last one. ``ranges``
    are the values that met 0 and 1 of the network, band by band. ``groups`` tells of a result whose bands were made in
    different ways which were made how; the model is then that of the first group that one made. ``filled`` counts the
    pixels of all bands that a repair filled, in the whole scene, ``left`` those that it could not. ``stripes`` are the
    gains and offsets that took stripes off, ``spikes`` the samples of k-space that were interpolated. ``others`` are
    tags of which this version knows nothing, or cannot read: they are carried along as they are, and nothing follows
    from them.
    """

    chosen: Chosen = field(default_factory=Chosen)
    before: tuple[Step, ...] = ()
    software: str | None = _fact("VERSION")
    source: str | None = _fact("SOURCE")
    model: ModelFacts = field(default_factory=ModelFacts)
    agreement: Agreement = field(default_factory=Agreement)
    interval: IntervalRecord = field(default_factory=IntervalRecord)
    run: RunFacts = field(default_factory=RunFacts)
    ranges: tuple[texts.Range, ...] | None = _fact("VALUE_RANGE", texts.ranges, json.dumps)
    groups: tuple[Group, ...] | None = _fact("GROUPS", made_of.of_text, made_of.text)
    filled: int | None = _fact("FILLED", _count)
    left: int | None = _fact("LEFT", _count)
    stripes: str | None = _fact("STRIPES")
    spikes: str | None = _fact("SPIKES")
    note: str | None = _fact("NOTE")
    others: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, tags: Mapping[Any, Any]) -> Provenance:
        """The record that tags tell; whatever stands in them, it never fails. Tags of other names are none of it."""
        left = {key: text for key, text in tags.items() if _ours(key, text)}
        facts = _read(cls, left)
        earlier: tuple[Step, ...] = ()
        for key, read in ((STEPS, steps.of_text), (_BEFORE, steps.of_prose)):
            try:
                earlier = read(left[key])
            except (KeyError, *texts.UNREAD):
                if key in left:  # words do not stand in for data
                    break
                continue
            left.pop(STEPS, None)
            left.pop(_BEFORE, None)
            break
        return cls(**facts, before=earlier, others=tuple(left.items()))

    @cached_property
    def _tags(self) -> dict[str, str]:
        texts = _texts(self)
        return texts | {key: text for key, text in self.others if key not in texts}

    def __getitem__(self, key: str) -> str:
        return self._tags[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)

    def __hash__(self) -> int:
        return hash(frozenset(self._tags.items()))

    def over(self, older: Provenance) -> Provenance:
        """This record, and what an older one tells beside."""
        return Provenance.of({**older, **self})

    def choosing(self, **more: Any) -> Provenance:
        """The record with other facts of what was chosen."""
        return replace(self, chosen=replace(self.chosen, **more))

    @property
    def made(self) -> bool:
        """Whether a model made it."""
        return self.model.name is not None

    @property
    def earlier(self) -> Factors:
        """How many times finer the models of earlier passes made the source; of its groups, each tells for itself."""
        made = Factors()
        for step in (step for step in self.before if step.bands is None):
            made = made * Factors(step.frame_factor or 1, step.factor or 1, step.factor or 1)
        return made

    @property
    def steps(self) -> tuple[Step, ...]:
        """All its passes, as the earlier ones of what is made of it; the last ones made groups of bands each, if the
        bands were made in different ways.
        """
        model = self.model
        if not self.made:
            return ()
        of_all = (model.factor or 1) > 1 and all(group.sha256 == model.sha256 for group in self.groups or ())
        if self.groups is not None and not of_all:
            return (*self.before, *(group.step(model.guide) for group in self.groups if group.model is not None))
        name, factors = model.name or "?", (model.factor, model.frame_factor)
        own = Step(name, model.version, model.sha256, *factors, guide=model.guide)
        if model.frame_factor is not None:
            of = self.agreement
            own = replace(own, operator=of.operator, profile=of.profile, profile_origin=of.profile_origin)
        return (*self.before, own)

    @property
    def without_names(self) -> Provenance:
        """The record without names of files, which may be called after a patient."""
        return replace(self, source=None, model=replace(self.model, inputs=None))


#: The facts that are parts, of facts of their own.
_PARTS: Mapping[str, type[Any]] = {
    "chosen": Chosen,
    "model": ModelFacts,
    "agreement": Agreement,
    "interval": IntervalRecord,
    "run": RunFacts,
}


def _ours(key: Any, text: Any) -> bool:
    """Whether a tag is one of ours, with a name and a text that every format can hold."""
    return isinstance(key, str) and _NAME.fullmatch(key) is not None and texts.readable(text)


def _read(kind: type[Any], left: dict[str, str]) -> dict[str, Any]:
    """The facts of a part that tags tell; they are taken out of ``left``."""
    values: dict[str, Any] = {}
    for fact in fields(kind):
        if fact.name in _PARTS:
            values[fact.name] = _PARTS[fact.name](**_read(_PARTS[fact.name], left))
        elif (tag := fact.metadata.get("tag")) in left:
            try:
                values[fact.name] = fact.metadata["read"](left[tag])
            except texts.UNREAD:
                continue
            del left[tag]
    return values


def _texts(record: Any) -> dict[str, str]:
    """The tags of a record, or of a part of it, in the order of its facts."""
    found: dict[str, str] = {}
    for fact in fields(record):
        value = getattr(record, fact.name)
        if fact.name in _PARTS:
            found |= _texts(value)
        elif "tag" in fact.metadata and value is not None:
            found[fact.metadata["tag"]] = fact.metadata["text"](value)
        elif fact.name == "before" and value:
            found |= {_BEFORE: steps.prose(value), STEPS: steps.text(value)}
    return found
