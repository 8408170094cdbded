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
from geomedsr.geometry import Box, Window
from geomedsr.metrics.bootstrap import draws, interval
from geomedsr.metrics.correctness import CLASSES, classes, shares
from geomedsr.metrics.figures import Figure
from geomedsr.metrics.grid import ratio, steps, worst
from geomedsr.metrics.interpolation import bicubic
from geomedsr.metrics.methods import Method, interpolation, results
from geomedsr.metrics.protocol import Protocol
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import Region, regions, square_side, squares
from geomedsr.models import Descriptor, Model, default_model, load_model
from geomedsr.operators import get as operator_named
from geomedsr.scene.bands import continuous, select_joint
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: The most values, over bands and frames, that are compared; a single frame may hold more where it is needed whole.
VALUES = 1 << 20

#: The most bands that are looked at, spread over all, for models that see bands one by one.
_BANDS = 16

#: The most frames that are looked at.
_FRAMES = 8

#: Windows with a smaller share of pixels that count, and slices with a smaller share of foreground, are left out.
_LEAST = 0.02

#: The most windows along an axis that are tried in scenes that are mostly no data.
_TRIED = 64

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
    (:mod:`geomedsr.metrics.correctness`); None where no pixels differ. ``values`` were compared, in ``windows`` of the
    scene.
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
    card = model.descriptor
    fine, coarse = comparable(scene, card)
    operator = operator_named(card.operator).reduction
    protocol = Protocol.of(fine, None, None)
    methods = [interpolation("bicubic", bicubic, coarse, card.scale)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # upscaling the scene itself tells what there is to tell
        methods += results([model], coarse)
        parts, places = _summed(fine, coarse, methods, protocol, card, operator)
    return _found(fine, model, operator, parts, places)


def comparable(scene: Scene, card: Descriptor) -> tuple[Scene, Scene]:
    """What of a scene is the truth of a self-test, and that one factor down, on the value scale of the scene.

    Raises:
        InputError: as for :func:`selftest`.
    """
    _check(card)
    fine = _fine(scene, card)
    coarse = reduced(fine, card.scale, operator_named(card.operator).reduction)
    if fine.values.origin == "physical":
        return fine, coarse.with_physical_range(*card.value_range)
    return fine, replace(coarse, scale=fine.values)


def _check(card: Descriptor) -> None:
    why = None
    if card.ports.inputs:
        why = f"needs {card.ports.inputs[0].name} beside the image"
    elif card.frame_factor > 1:
        why = "makes new slices"
    elif card.scale < 2:
        why = "makes no image finer"
    if why is not None:
        raise InputError(
            f"a self-test of the model {card.name}, which {why}",
            "a model that makes an image finer in plane, of it alone",
            "leave it out",
        )


def _fine(scene: Scene, card: Descriptor) -> Scene:
    """What is compared: the bands that the model makes, and no more of them than needed; whole coarse pixels."""
    _, _, height, width = scene.shape
    if min(height, width) < 16 * card.scale:
        raise InputError(
            f"{scene.name} of {width} × {height} pixels for a self-test of the model {card.name}",
            f"at least {16 * card.scale} a side",
            "leave it out, or use more of the scene",
        )
    scene = select_joint(scene, card.bands, f"the model {card.name}") if card.bands else continuous(scene)
    if card.channels == 1 and len(scene.bands) > _BANDS:
        picks = np.linspace(1, len(scene.bands), _BANDS).round().astype(int)
        scene = scene.select(picks.tolist())
    if card.value_scale == "physical":
        scene = scene.with_physical_range(*card.value_range)
    return scene.crop(Window(0, 0, width // card.scale * card.scale, height // card.scale * card.scale))


def boxes(scene: Scene, scale: int, whole_frames: bool, values: int) -> list[Box]:
    """Places spread over a scene that hold data, about ``values`` values in all; empty if there is no data.

    They begin and end at whole pixels of what the scene becomes ``scale`` times coarser. A scene with few values is
    returned whole.
    """
    frames, bands, height, width = scene.shape
    side = 2 * square_side(scale)
    if whole_frames or bands * height * width <= (values if frames == 1 else values // 2):
        count = min(frames, max(values // (bands * height * width), 1), _FRAMES)
        tiles = [Window(0, 0, width, height)] if whole_frames or scene.grid.planes else None
        return [
            Box.of(frame, window)
            for frame in _spread_frames(scene, count)
            for window in tiles or [box.window for box in Box.whole((1, 1, height, width)).tiles((1, side, side))]
        ]
    count = max(values // (bands * side * side), 1)
    chosen = _spread_frames(scene, min(frames, 4))
    found: list[Box] = []
    for frame in chosen:
        found += _windows(scene, frame, scale, side, max(count // len(chosen), 1))
    return found


def _spread_frames(scene: Scene, count: int) -> list[int]:
    """So many frames, those in the middle of equal parts."""
    return [int((i + 0.5) * scene.shape[0] / count) for i in range(count)]


def _windows(scene: Scene, frame: int, scale: int, side: int, count: int) -> list[Box]:
    """So many windows of a frame with data in at least half of their pixels, or the best that a search finds."""
    _, _, height, width = scene.shape
    tried = 1
    found: list[Box] = []
    while len(found) < count and tried <= _TRIED:
        tried = min(max(2 * tried, int(np.ceil(np.sqrt(count)))), 2 * _TRIED)
        rows, cols = (
            sorted({int(i * max(length - side, 0) / max(tried - 1, 1)) // scale * scale for i in range(tried)})
            for length in (height, width)
        )
        places = [Window(col, row, min(side, width), min(side, height)) for row in rows for col in cols]
        found = [box for box in (Box.of(frame, place) for place in _every(places, 4 * count)) if _some(scene, box)]
    return _every(found, count)


def _every(places: list[Any], most: int) -> list[Any]:
    """At most so many of them, spread over all."""
    if len(places) <= most:
        return places
    return [places[int((i + 0.5) * len(places) / most)] for i in range(most)]


def _some(scene: Scene, box: Box) -> bool:
    return bool(scene.source.valid(box).all(1).mean() >= 0.5)


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
            found.append(selftest(coarse, model).gain.value - selftest(fine, model).gain.value)
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
