"""How wide intervals must be: split-conformal calibration over independent scenes, with a scale from each scene itself.

A network's head predicts half-widths up to a factor (:mod:`geomedsr.models.half_width`). A scene's self-test, at pixels
one factor coarser, tells which factor covers a share of its pixels there: that is the scene's scale, band by band. The
*score* of a calibration unit, a scene or patient that nobody trained on, is by how much its true factor exceeds that.
Scores of units are exchangeable where pixels are not, so they alone are calibrated on (Vovk, Gammerman and Shafer 2005;
Angelopoulos et al. 2022, arXiv:2202.05265, for images; Angelopoulos et al. 2024, arXiv:2208.02814, for other risks).

The default factor is the median score: half of new units then reach at least the nominal coverage, and the typical one
about that. The largest of n scores is reached by a new unit with probability n / (n + 1).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.inference import process, upscale
from geomedsr.inference.intervals import Widening
from geomedsr.metrics.comparable import VALUES, boxes, comparable
from geomedsr.metrics.protocol import Protocol
from geomedsr.metrics.regions import regions
from geomedsr.models import Model
from geomedsr.models.descriptor import NOMINALS, IntervalFacts
from geomedsr.models.half_width import PORT
from geomedsr.operators import get as operator_named
from geomedsr.scene.masking import Masking
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Source

#: A scene's scale is so many times the typical one at most, and at least the inverse; typical scales are not below the
#: second, so that scenes with hardly an error do not make scores infinite.
_APART, _LEAST = 3.0, 1e-3


@dataclass(frozen=True)
class Errors:
    """Of each band: by how much pixels are off, and the half-widths that the head predicts for them, in stored values.

    1-D arrays, float32. ``whole`` tells that values are whole numbers.
    """

    errors: tuple[Array, ...]
    widths: tuple[Array, ...]
    whole: bool

    @property
    def away(self) -> tuple[Array, ...]:
        """The errors that a half-width must reach before it is rounded up: any positive one covers a count."""
        return tuple(np.maximum(each - 1, 0) for each in self.errors) if self.whole else self.errors

    def stored(self, band: int, factor: float) -> Array:
        """The half-widths of a band as they are stored."""
        widths: Array = self.widths[band] * factor
        return np.maximum(np.ceil(widths), 1) if self.whole else widths

    def factors(self, nominals: Sequence[float] = NOMINALS) -> Array:
        """By which factor half-widths cover these shares of the pixels of each band: ``(band, nominal)``."""
        return np.array([_needed(a / w, nominals) for a, w in zip(self.away, self.widths, strict=True)])

    def scores(self, scale: Array, nominals: Sequence[float] = NOMINALS) -> Array:
        """The factors over a scale ``(band, nominal)`` that cover these shares of all pixels: ``(nominal,)``."""
        found = []
        for i, nominal in enumerate(nominals):
            ratios = [a / (w * s) for a, w, s in zip(self.away, self.widths, scale[:, i], strict=True)]
            found.append(_needed(np.concatenate(ratios), [nominal])[0])
        return np.array(found)


def _needed(ratios: Array, nominals: Sequence[float]) -> Array:
    return np.asarray(np.quantile(ratios, nominals, method="higher"), np.float64)


def errors_of(fine: Scene, coarse: Scene, model: Model) -> Errors:
    """The errors of a model's results of ``coarse`` at pixels of ``fine``, spread over it; see :func:`selftest`.

    Raises:
        InputError: no pixel counts.
    """
    card, model = model.descriptor, model.with_interval()
    operator = operator_named(card.operator).reduction
    made = upscale(coarse, model, fitness=False).source
    unrounded = replace(coarse, source=AsFloat(coarse.source), scale=coarse.values)
    wide = process(model, image=unrounded, conserve=False)[PORT.name].source
    protocol, bands = Protocol.of(fine, None, None), range(len(fine.bands))
    off: list[list[Array]] = [[] for _ in bands]
    widths: list[list[Array]] = [[] for _ in bands]
    whole = operator_named(operator).whole_frames
    for region in regions(fine, coarse, card.scale, operator, boxes(fine, card.scale, whole, VALUES)):
        inner = (0, slice(None), *region.inner)
        seen = region.data[inner]
        if protocol.above is not None:
            seen = seen & (region.truth[inner] > protocol.above)
        error = np.abs(_stored(fine, region.box) - made.read(region.box)[0].astype(np.float64))
        width = wide.read(region.box)[0]
        for band in bands:
            off[band].append(error[band][seen[band]].astype(np.float32))
            widths[band].append(width[band][seen[band]].astype(np.float32))
    joined = [tuple(np.concatenate(each) if each else np.empty(0) for each in part) for part in (off, widths)]
    if not all(each.size for each in joined[0]):
        raise InputError(f"{fine.name}, in which no pixel counts", "data, and foreground", "leave it out")
    return Errors(joined[0], joined[1], fine.dtype.kind in "iu")


def _stored(scene: Scene, box: Box) -> Array:
    return np.asarray(scene.source.read(box)[0], np.float64)


def scale_of(scene: Scene, model: Model, typical: Sequence[float] = ()) -> Array | None:
    """The scale of each band of a scene that the model makes, ``(band, nominal)``: the factors of its self-test.

    With ``typical`` scales, they are kept from these by at most :data:`_APART`. None if the scene is too small for a
    self-test, or holds too little data.
    """
    try:
        fine, coarse = comparable(scene, model.descriptor)
        found = errors_of(fine, coarse, model).factors()
    except InputError:
        return None
    if len(found) < len(scene.bands):  # of many bands some are looked at: others are as their neighbours
        found = found[np.linspace(0, len(found) - 1, len(scene.bands)).round().astype(int)]
    if len(typical):
        found = np.clip(found, np.asarray(typical) / _APART, np.asarray(typical) * _APART)
    return found


@dataclass(frozen=True)
class Unit:
    """A calibration unit: its errors, and its scale by its self-test; None where that could not tell."""

    errors: Errors
    scale: Array | None

    @classmethod
    def of(cls, scene: Scene, model: Model) -> Unit:
        """Bring a scene down, and measure a model's results against it.

        Raises:
            InputError: the scene is too small, or has no data.
        """
        fine, coarse = comparable(scene, model.descriptor)
        return cls(errors_of(fine, coarse, model), scale_of(coarse, model))

    def scores(self, typical: Sequence[float]) -> Array:
        """Its score for each of :data:`NOMINALS`."""
        return self.errors.scores(scale_within(self, typical))


def scale_within(unit: Unit, typical: Sequence[float]) -> Array:
    """The scale of a unit's bands, ``(band, nominal)``, kept near the typical one; that where it has none."""
    usual = np.asarray(typical)
    if unit.scale is None:
        return np.tile(usual, (len(unit.errors.widths), 1))
    return np.clip(unit.scale, usual / _APART, usual * _APART)


def calibrated(units: Sequence[Unit]) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """The scores of units, ``(unit, nominal)``, and the typical scale ``(nominal,)``, for the model's card.

    The typical scale is the median over the units that a self-test could tell of; of none, the median factor.
    """
    told = [unit.scale for unit in units if unit.scale is not None] or [unit.errors.factors() for unit in units]
    typical = np.maximum(np.median([np.median(scale, 0) for scale in told], 0), _LEAST)
    scores = tuple(tuple(float(score) for score in unit.scores(typical)) for unit in units)
    return scores, tuple(float(scale) for scale in typical)


def left_out(units: Sequence[Unit], nominal: float) -> list[float]:
    """The coverage of each unit if the others alone had calibrated, by their median score."""
    found = []
    for i, unit in enumerate(units):
        scores, typical = calibrated([other for j, other in enumerate(units) if j != i])
        factor = _at(nominal, np.median(scores, 0))
        scale = scale_within(unit, typical)
        pairs = zip(unit.errors.away, unit.errors.widths, scale, strict=True)
        covered = [away <= factor * _at(nominal, row) * widths for away, widths, row in pairs]
        found.append(float(np.concatenate(covered).mean()))
    return found


def _at(nominal: float, values: Array) -> float:
    """A value between those for :data:`NOMINALS`."""
    return float(np.interp(nominal, NOMINALS, values))


def widening(scene: Scene, model: Model, nominal: float, conservative: bool) -> Widening:
    """By which factors the half-widths of a scene's bands, all of which the model makes, are stored.

    Raises:
        ModelError: the model's head is not calibrated.
    """
    facts = calibrated_facts(model)
    faithful = model if model.realism == 0 else model.with_realism(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # the scene itself tells what there is to tell
        scale = scale_of(scene, faithful, facts.typical)
        tested = scale is not None
        rows = np.tile(facts.typical, (len(scene.bands), 1)) if scale is None else scale
        factors = factors_of(rows, facts, nominal, conservative)
        invented = None if model.realism == 0 else invented_share(scene, model, factors)
    rule = f"{'largest' if conservative else 'median'} score of {len(facts.scores)} {facts.kind}"
    return Widening(nominal, factors, rule, tested, invented)


#: For how large a share of pixels coverage is told.
TOLD = 0.9


def told_of(fine: Scene, coarse: Scene, model: Model) -> tuple[float, float | None] | None:
    """How a scene's intervals for :data:`TOLD` of the pixels cover the truth one factor down, and where results leave
    them: the shares that are covered and, at a realism above 0, invented.

    None if the model has no calibrated head, or bands or types do not allow intervals.
    """
    facts = model.descriptor.interval
    if facts is None or not facts.scores:
        return None
    faithful = model if model.realism == 0 else model.with_realism(0)
    errors, scale = errors_of(fine, coarse, faithful), scale_of(coarse, faithful, facts.typical)
    rows = np.tile(facts.typical, (len(fine.bands), 1)) if scale is None else scale
    factors = factors_of(rows, facts, TOLD, conservative=False)
    hits = [off <= errors.stored(band, factors[band]) for band, off in enumerate(errors.errors)]
    invented = None if model.realism == 0 else invented_share(coarse, model, factors)
    return float(np.concatenate(hits).mean()), invented


def calibrated_facts(model: Model) -> IntervalFacts:
    """What the card of a model says of its calibrated head.

    Raises:
        ModelError: it has none.
    """
    card = model.with_interval().descriptor
    facts = card.interval
    if facts is None or not facts.scores:
        raise ModelError(
            f"an interval of the model {card.name} {card.version}, whose head is not calibrated",
            "scores on its card",
            "run `geomedsr calibrate --model FILE DATA…` with scenes that it was not trained on",
        )
    return facts


def factors_of(scale: Array, facts: IntervalFacts, nominal: float, conservative: bool) -> tuple[float, ...]:
    """The factor of each band on a scale ``(band, nominal)``: by the median score, or the largest.

    Rounded to three digits, so that a job that goes on, perhaps with other threads, finds the same.
    """
    scores = [_at(nominal, np.asarray(row)) for row in facts.scores]
    score = max(scores) if conservative else float(np.median(scores))
    return tuple(float(f"{score * _at(nominal, row):.3g}") for row in scale)


def invented_share(scene: Scene, model: Model, factors: Sequence[float]) -> float | None:
    """The share of pixels, in windows spread over a scene, where a result leaves the interval of realism 0.

    None if the scene holds no data.
    """
    card, faithful = model.descriptor, model.with_realism(0)
    unrounded = replace(scene, source=AsFloat(scene.source), scale=scene.values)
    wide = process(faithful.with_interval(), image=unrounded, conserve=False)[PORT.name].source
    delivered, around = (upscale(scene, each, fitness=False).source for each in (model, faithful))
    whole = operator_named(card.operator).whole_frames
    left = count = 0
    for place in boxes(scene, 1, whole, max(VALUES // card.factors.volume, 1)):
        box = place.refined(card.factors)
        valid = delivered.valid(box)
        away = np.abs(delivered.read(box).astype(np.float64) - around.read(box))
        widths = wide.read(box) * np.asarray(factors)[:, None, None]
        if scene.dtype.kind in "iu":
            widths = np.maximum(np.ceil(widths), 1)
        left += int(((away > widths) & valid).sum())
        count += int(valid.sum())
    return left / count if count else None


@dataclass(frozen=True)
class AsFloat(Source):
    """A source as float32: what is made of it is not rounded."""

    whole: Source

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return self.whole.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def block(self) -> tuple[int, int]:
        """As the source's."""
        return self.whole.block

    @property
    def inner(self) -> Source:
        """The source."""
        return self.whole

    def on(self, inner: Source) -> AsFloat:
        """The same of another source."""
        return AsFloat(inner)

    def read(self, box: Box) -> Array:
        """Values of a box."""
        return self.whole.read(box).astype(np.float32)

    def valid(self, box: Box) -> Array:
        """As the source's."""
        return self.whole.valid(box)

    @property
    def masking(self) -> tuple[Masking, ...]:
        """As the source's."""
        return self.whole.masking

    def select(self, bands: Sequence[int]) -> AsFloat:
        """Some of the bands."""
        return AsFloat(self.whole.select(bands))
