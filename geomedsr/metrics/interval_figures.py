"""How good intervals are where the truth is known: coverage, width, and whether widths tell where errors are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from geomedsr.errors import SceneWarning
from geomedsr.inference.intervals import check_nominal
from geomedsr.metrics.coverage import Errors, calibrated_facts, errors_of, factors_of, scale_of
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import divisible
from geomedsr.models import Model
from geomedsr.models.descriptor import NOMINALS
from geomedsr.operators import get as operator_named
from geomedsr.scene.bands import select_joint
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: At most so many pixels are ranked.
_RANKED = 200_000


@dataclass(frozen=True)
class IntervalFigures:
    """The figures of an interval on one band of a scene, or ``"all"`` together.

    ``coverage`` is the share of pixels whose truth lies within it, ``worst`` the least coverage among the quarters of
    the pixels by width. ``width`` is the mean half-width, ``median`` the median one, in stored values. ``aurc`` is the
    area under the curve of the mean error of the pixels with the smallest widths against their share, over the mean
    error: 1 if widths tell nothing (sparsification; Ilg et al. 2018, arXiv:1802.07095). ``spearman`` is the rank
    correlation of width and absolute error. ``reliability`` is the coverage at each of
    :data:`geomedsr.models.descriptor.NOMINALS`.
    """

    scene: str
    band: str
    nominal: float
    coverage: float
    worst: float
    width: float
    median: float
    aurc: float
    spearman: float
    reliability: tuple[float, ...]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def interval_figures(
    model: Model, scenes: Sequence[Scene], nominal: float, conservative: bool = False
) -> list[IntervalFigures]:
    """Reduce references, super-resolve them, and see how intervals cover the truth: around realism 0, after rounding.

    Pixels count as in :func:`geomedsr.metrics.evaluate.evaluate`; at most about a million values of each scene, spread
    over it.

    Raises:
        InputError: a scene that is too small or holds no data, or a nominal share outside 0.5 … 0.99.
        ModelError: the model has no calibrated head.
    """
    check_nominal(nominal)
    model = model.with_realism(0) if model.realism else model
    facts = calibrated_facts(model)  # refused before any work
    card = model.descriptor
    found = []
    for scene in scenes:
        seen = select_joint(scene, card.bands, f"the model {card.name}") if card.bands else scene
        fine = divisible(seen, card.scale)
        coarse = reduced(fine, card.scale, operator_named(card.operator).reduction)
        if card.value_scale == "physical":
            fine, coarse = (each.with_physical_range(*card.value_range) for each in (fine, coarse))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SceneWarning)  # `evaluate` tells what there is to tell
            errors, scale = errors_of(fine, coarse, model), scale_of(coarse, model, facts.typical)
        rows = np.tile(facts.typical, (len(fine.bands), 1)) if scale is None else scale
        factors = np.array([factors_of(rows, facts, share, conservative) for share in (nominal, *NOMINALS)])
        names = [band.name for band in fine.bands]
        groups = {"all": range(len(names))} | {name: range(i, i + 1) for i, name in enumerate(names)}
        for name, bands in groups.items() if len(names) > 1 else [("all", range(1))]:
            found.append(_of(scene.name, name, nominal, errors, factors, bands))
    return found


def _of(scene: str, name: str, nominal: float, errors: Errors, factors: Array, bands: Sequence[int]) -> IntervalFigures:
    off = np.concatenate([errors.errors[band] for band in bands])
    wide = np.concatenate([errors.stored(band, factors[0, band]) for band in bands])
    shares = []
    for row in factors[1:]:
        hits = [errors.errors[band] <= errors.stored(band, row[band]) for band in bands]
        shares.append(float(np.concatenate(hits).mean()))
    order = np.argsort(wide, kind="stable")
    quarters = [float((off[part] <= wide[part]).mean()) for part in np.array_split(order, 4) if part.size]
    curve = np.cumsum(off[order]) / np.arange(1, off.size + 1)
    mean = float(off.mean())
    return IntervalFigures(
        scene,
        name,
        nominal,
        float((off <= wide).mean()),
        min(quarters),
        float(wide.mean()),
        float(np.median(wide)),
        float(curve.mean() / mean) if mean > 0 else float("nan"),
        spearman(wide, off),
        tuple(shares),
    )


def spearman(one: Array, other: Array) -> float:
    """The rank correlation of two 1-D arrays, mean ranks for ties, of at most 200 000 pairs; NaN for constants."""
    step = -(-one.size // _RANKED)
    first, second = (_ranks(values[::step]) for values in (one, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Array) -> Array:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place])


def markdown(figures: Sequence[IntervalFigures], units: int, kind: str) -> str:
    """A table, and a note on what coverage rests on."""
    head = "| scene | band | nominal | coverage | worst quarter | mean half-width | AURC | Spearman |"
    lines = [head, "|---" * 8 + "|"]
    for f in figures:
        numbers = f"{f.nominal:g} | {f.coverage:.3f} | {f.worst:.3f} | {f.width:.4g} | {f.aurc:.2f} | {f.spearman:.2f}"
        lines.append(f"| {f.scene} | {f.band} | {numbers} |")
    note = f"Interval around realism 0, calibrated on {units} {kind}; half-widths in stored values."
    return "\n".join([*lines, "", note, ""])
