"""The self-test: a scene is brought one factor down by a model's operator, upscaled, and compared with what it was.

It needs no reference: the scene itself is the truth (Wald, Ranchin and Mangolini 1997, "Fusion of satellite images of
different spatial resolutions", Photogramm. Eng. Remote Sens. 63; Shocher, Cohen and Irani 2018, arXiv:1712.06087).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError, SceneWarning
from geomedsr.metrics.bootstrap import draws, interval
from geomedsr.metrics.comparable import VALUES, boxes, comparable
from geomedsr.metrics.correctness import CLASSES, classes, shares
from geomedsr.metrics.coverage import TOLD, told_of
from geomedsr.metrics.figures import Figure
from geomedsr.metrics.grid import ratio, steps, worst
from geomedsr.metrics.interpolation import bicubic
from geomedsr.metrics.methods import Method, interpolation, results
from geomedsr.metrics.protocol import Protocol
from geomedsr.metrics.regions import Region, regions, squares
from geomedsr.models import Descriptor, Model, default_model, load_model
from geomedsr.operators import get as operator_named
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: Windows with a smaller share of pixels that count, and slices with a smaller share of foreground, are left out.
_LEAST = 0.02

#: The fewest scenes whose true gains tell how far self-tests of a model are off.
ENOUGH = 5

#: What no self-test can tell.
LIMITS = (
    "It compares at pixels one factor coarser than the scene's. Whether detail finer than the scene's own pixels is "
    "right, it cannot tell: nobody measured that."
)

Sums = dict[str, Array]


@dataclass(frozen=True)
class SelfTest:
    """What a self-test found, over all bands that it looked at.

    ``gain`` is the PSNR over bicubic interpolation's, in dB, with a 95 % bootstrap interval over squares of the scene
    (slices of a series); ``gains`` are those of each band. ``expected`` is the gain to expect at the scene's own
    pixels: ``gain`` less the mean difference that self-tests of this model had from true gains, with the ends of the
    range of these differences; None if the card tells of fewer than :data:`ENOUGH` scenes. ``grid`` is
    :func:`geomedsr.metrics.grid.ratio`, and ``error`` the root of the mean squared error in ``units``, the mean over
    bands. ``improvement``, ``omission`` and ``hallucination`` are shares of the differing pixels, in percent
    (:mod:`geomedsr.metrics.correctness`); None where no pixels differ. ``coverage`` is the share of pixels whose truth
    lies in their interval for :data:`geomedsr.metrics.coverage.TOLD`, and ``invented`` the share where the result
    leaves the interval of realism 0; None for models without a calibrated head, and at realism 0. ``values`` were
    compared, in ``windows`` of the scene.
    """

    scene: str
    model: str
    realism: float
    factor: int
    operator: str
    values: int
    windows: int
    gain: Figure
    expected: Figure | None
    gains: Mapping[str, float]
    grid: float
    error: float
    units: str
    improvement: float | None
    omission: float | None
    hallucination: float | None
    coverage: float | None = None
    invented: float | None = None

    def json(self) -> dict[str, Any]:
        """The same as plain values, with what it cannot tell."""
        return {**asdict(self), "gains": dict(self.gains), "limits": LIMITS}

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Each figure: its name, and its value in words."""
        ends = "" if self.gain.low is None else f" (95 %: {self.gain.low:+.2f} … {self.gain.high:+.2f})"
        found = [("gain over bicubic", f"{self.gain.value:+.2f} dB{ends}")]
        if self.expected is not None:
            low, high = self.expected.low, self.expected.high
            found.append(
                ("expected", f"{self.expected.value:+.2f} dB ({low:+.2f} … {high:+.2f}) at the scene's own pixels")
            )
        if len(self.gains) > 1:
            found.append(("band by band", ", ".join(f"{name} {gain:+.2f}" for name, gain in self.gains.items())))
        found.append(("error", f"{self.error:.4g} {self.units}".strip() + ", root mean square"))
        if self.improvement is not None:
            shares = f"{self.improvement:.0f} % improved, {self.omission:.0f} % omitted, {self.hallucination:.0f} %"
            found.append(("detail", f"{shares} hallucinated"))
        if self.coverage is not None:
            found.append(("coverage", f"{self.coverage:.3f} of the pixels by intervals for {TOLD:g}"))
        if self.invented is not None:
            found.append(("invented", f"{100 * self.invented:.1f} % of the pixels leave the interval of realism 0"))
        found.append(
            (
                "grid",
                "undefined" if np.isnan(self.grid) else f"{self.grid:.3f} (1 where the input's pixels do not show)",
            )
        )
        return found

    @property
    def how(self) -> str:
        """In words, what was compared with what."""
        realism = f" at realism {self.realism:g}" if self.realism else ""
        places = f"{self.windows} place{'s' * (self.windows != 1)}"
        return (
            f"{self.scene}, brought {self.factor} × down by {self.operator}, upscaled by {self.model}{realism}, and "
            f"compared with what it was: {self.values} values in {places}"
        )

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join([f"{self.how}.", *(f"  {name:<{width}}  {text}" for name, text in self.rows), LIMITS])


def selftest(
    scene: Scene, model: str | os.PathLike[str] | Model | None = None, *, realism: float | None = None
) -> SelfTest:
    """How well a model does on a scene, at pixels one factor coarser than the scene's, for which the truth is known.

    The scene is reduced by the model's operator and rounded to its type. The model super-resolves that on the value
    scale of the scene; the result is compared with the scene on at most about a million values, in windows spread over
    it (in slices of a series; whole frames if the operator needs them). See :func:`geomedsr.evaluate` for which pixels
    count.

    Args:
        scene: the scene to be upscaled.
        model: as for :func:`geomedsr.upscale`.
        realism: as for :func:`geomedsr.upscale`.

    Raises:
        InputError: a scene that is too small or has no data, bands that do not fit the model, or a model that does not
            make an image finer in plane from this image alone.
        ModelError: no such model, a broken file, or no such realism.
    """
    if not isinstance(model, Model):
        model = load_model(default_model(scene.domain) if model is None else model, realism)
    elif realism is not None:
        model = model.with_realism(realism)
    found, fine, coarse = _tested(scene, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)
        told = told_of(fine, coarse, model)
    return found if told is None else replace(found, coverage=told[0], invented=told[1])


def _tested(scene: Scene, model: Model) -> tuple[SelfTest, Scene, Scene]:
    """The self-test without what intervals tell, the truth, and that one factor down."""
    card = model.descriptor
    fine, coarse = comparable(scene, card)
    operator = operator_named(card.operator).reduction
    protocol = Protocol.of(fine, None, None)
    methods = [interpolation("bicubic", bicubic, coarse, card.scale)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # upscaling the scene itself tells what there is to tell
        methods += results([model], coarse)
        parts, places = _summed(fine, coarse, methods, protocol, card, operator)
    return _found(fine, model, operator, parts, places), fine, coarse


def _summed(
    fine: Scene, coarse: Scene, methods: Sequence[Method], protocol: Protocol, card: Descriptor, operator: str
) -> tuple[list[tuple[int, Sums]], int]:
    """The sums of each square with its frame, and the number of places that count."""
    chosen = boxes(fine, card.scale, operator_named(operator).whole_frames, VALUES)
    parts: list[tuple[int, Sums]] = []
    places = 0
    for region in regions(fine, coarse, card.scale, operator, chosen):
        seen = region.data if protocol.above is None else region.data & (region.truth > protocol.above)
        if seen[(..., *region.inner)].mean() < (_LEAST if fine.shape[0] > 1 else 1e-9):
            continue
        base, made = (protocol.clip(np.where(region.known, m.physical(region.around), region.truth)) for m in methods)
        parts += ((region.box.start[0], sums) for sums in _squares(region, made, base, protocol, seen, card.scale))
        places += 1
    if not parts:
        raise InputError(
            f"{fine.name}, in which no pixel counts for a self-test",
            "data (of CT and MR: foreground) in windows of whole pixels",
            "leave it out, or use another part of the scene",
        )
    return parts, places


def _squares(region: Region, made: Array, base: Array, protocol: Protocol, seen: Array, scale: int) -> Iterator[Sums]:
    """Sums ``(band, …)`` over the squares of a region."""
    peak, truth = np.asarray(protocol.peak), protocol.clip(region.truth)
    rows, cols = region.inner
    one, low, other, counted = (v[0][:, rows, cols] for v in (made, base, truth, seen))
    kinds = classes(one, low, other, peak)
    for square in squares(region.box.window, scale):
        bottom, right = square.stop
        here = slice(None), slice(square.row, bottom), slice(square.col, right)
        edge = (
            slice(None),
            slice(rows.start + square.row, rows.start + bottom + 1),
            slice(cols.start + square.col, cols.start + right + 1),
        )
        known = counted[here]
        yield {
            "made": (np.square(one[here] - other[here]) * known).sum((1, 2)),
            "base": (np.square(low[here] - other[here]) * known).sum((1, 2)),
            "count": known.sum((1, 2)).astype(float),
            "steps": steps(made[0][edge], seen[0][edge], scale, (square.height, square.width)),
            "classes": np.stack([((kinds[here] == i) & known).sum((1, 2)) for i in range(len(CLASSES))], -1),
        }


def _found(fine: Scene, model: Model, operator: str, parts: Sequence[tuple[int, Sums]], places: int) -> SelfTest:
    series = fine.shape[0] > 1
    keys = [frame for frame, _ in parts] if series else list(range(len(parts)))
    order = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    sums = {name: np.zeros((len(order), *value.shape)) for name, value in parts[0][1].items()}
    for key, (_, part) in zip(keys, parts, strict=True):
        for name, value in part.items():
            sums[name][order[key]] += value
    gains = _gain(sums, np.ones((1, len(order))), series)[0]
    spread = _gain(sums, draws(len(order)), series).mean(1) if len(order) > 1 else np.ones(0)
    low, high = interval(spread) or (None, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(sums["made"].sum(0) / sums["count"].sum(0))
    kinds = shares(sums["classes"].sum((0, 1)))
    improvement, omission, hallucination = (None if np.isnan(kind) else float(kind) for kind in kinds)
    units = {band.units for band in fine.bands}
    return SelfTest(
        fine.name,
        f"{model.descriptor.name} {model.descriptor.version}",
        model.realism,
        model.descriptor.scale,
        operator,
        int(sums["count"].sum()),
        places,
        Figure(float(gains.mean()), low, high),
        _expected(float(gains.mean()), model.descriptor),
        {band.name: float(gain) for band, gain in zip(fine.bands, gains, strict=True)},
        float(worst(ratio(sums["steps"].sum(0)))),
        float(np.nanmean(error)),
        (units.pop() or "") if len(units) == 1 else "",
        improvement,
        omission,
        hallucination,
    )


def _expected(gain: float, card: Descriptor) -> Figure | None:
    """The gain to expect at a scene's own pixels, by how far self-tests were off elsewhere."""
    off = card.usual.told_by
    if len(off) < ENOUGH:
        return None
    return Figure(gain - float(np.mean(off)), gain - max(off), gain - min(off))


def differences(model: Model, scenes: Iterable[Scene]) -> list[float]:
    """By how much self-tests are off, in dB, for scenes of which the truth can be made: told less true gain.

    Each scene is brought down by the model's operator: what the model gains on that is known, and its self-test is
    compared with it. Scenes that are too small for that are left out.
    """
    found = []
    for scene in scenes:
        try:
            fine, coarse = comparable(scene, model.descriptor)
            found.append(_tested(coarse, model)[0].gain.value - _tested(fine, model)[0].gain.value)
        except InputError:
            continue
    return found


def _gain(sums: Sums, weights: Array, series: bool) -> Array:
    """PSNR over bicubic's in dB, ``(draw, band)``: of all pixels of a raster; of a series, the mean over slices."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if not series:
            made, base = weights @ sums["made"], weights @ sums["base"]
            return np.where(made == base, 0.0, 10 * np.log10(base / made))
        each = np.where(sums["made"] == sums["base"], 0.0, 10 * np.log10(sums["base"] / sums["made"]))
        known = np.isfinite(each)
        return np.asarray(weights @ np.where(known, each, 0) / (weights @ known))
