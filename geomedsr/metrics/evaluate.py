"""``evaluate``: a model beside interpolation, on references made coarse."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from geomedsr.errors import InputError, ModelError
from geomedsr.grid import Window
from geomedsr.inference.upscale import upscale
from geomedsr.metrics.features import FeatureDistance
from geomedsr.metrics.interpolation import REACH, bicubic, lanczos
from geomedsr.metrics.quality import ssim
from geomedsr.metrics.reduced import reduced, stored
from geomedsr.models import Model, load_model
from geomedsr.ranges import physical_range
from geomedsr.scene import Scene
from geomedsr.sources import Array

#: Side of the regions that rasters are compared in, and of the crops that VGG-19 sees, in reference pixels.
REGION, CROP, _LEAST_CROP = 768, 192, 32

#: SSIM's window reaches less far than that.
_SSIM_REACH = 8

#: VGG-19 sees about so many crops of a scene, spread over it; slices with less foreground than that are left out.
_CROPS, _LEAST = 48, 0.02

Method = Callable[[slice, Window], Array]


@dataclass(frozen=True)
class Protocol:
    """What is compared: physical values above ``above``, clipped to ``window``; ``peak`` is PSNR's, band by band."""

    above: float | None
    window: tuple[float, float] | None
    peak: tuple[float, ...]
    words: str

    @classmethod
    def of(cls, scene: Scene, value_range: tuple[float, float] | None, above: float | None) -> Protocol:
        """What is usual for a scene's domain, unless the user says otherwise.

        CT: pixels above −900 HU, values clipped to −1000 … 400 HU, which is the peak. MR: pixels above 8 % of the
        series' 99th percentile, which is the peak. Others: all pixels; each band's 1–99 % range is the peak.
        """
        bands = len(scene.bands)
        low, high = physical_range(scene)
        if value_range is not None:
            words = f"values clipped to {value_range[0]:g} … {value_range[1]:g}, which is the peak"
            return cls(above, value_range, (value_range[1] - value_range[0],) * bands, _above(above) + words)
        if scene.domain == "CT":
            above = -900.0 if above is None else above
            words = f"{_above(above)}values clipped to −1000 … 400 HU, which is the peak"
            return cls(above, (-1000, 400), (1400.0,) * bands, words)
        if scene.domain == "MR":
            peak = float(high.max())
            share = "" if above is not None else " (8 % of the 99th percentile)"
            above = 0.08 * peak if above is None else above
            words = f"pixels above {above:.4g}{share}; the 99th percentile is the peak"
            return cls(above, None, (peak,) * bands, words)
        peaks = tuple(float(v) for v in high - low)
        return cls(above, None, peaks, f"{_above(above)}the reference's 1–99 % range is the peak, band by band")


@dataclass(frozen=True)
class Score:
    """One method on one scene: means over bands (and slices). ``vgg`` is None without weights of VGG-19."""

    scene: str
    method: str
    psnr: float
    ssim: float
    vgg: float | None
    gain: float


@dataclass(frozen=True)
class Evaluation:
    """The scores, and in words what was compared."""

    scores: tuple[Score, ...]
    words: tuple[str, ...] = field(default=())

    def csv(self) -> str:
        """Comma-separated values, full precision."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("scene", "method", "psnr_db", "ssim", "vgg_distance", "gain_over_bicubic_db"))
        for s in self.scores:
            writer.writerow((s.scene, s.method, s.psnr, s.ssim, "" if s.vgg is None else s.vgg, s.gain))
        return text.getvalue()

    def __repr__(self) -> str:
        width = max((len(f"{s.scene}, {s.method}") for s in self.scores), default=0)
        lines = [
            f"{f'{s.scene}, {s.method}':<{width}}  {s.psnr:6.2f} dB  SSIM {s.ssim:.4f}  {s.gain:+.2f} dB over bicubic"
            for s in self.scores
        ]
        return "\n".join(["<geomedsr evaluation>", *lines])

    def _repr_html_(self) -> str:
        from geomedsr.viewing.card import evaluation_card

        return evaluation_card(self)

    def markdown(self) -> str:
        """A table, and what was compared."""
        lines = [
            "| scene | method | PSNR, dB | SSIM | VGG-19 distance (× bicubic's) | gain over bicubic, dB |",
            "|---|---|---|---|---|---|",
        ]
        for s in self.scores:
            base = next(b for b in self.scores if b.scene == s.scene)
            vgg = "" if s.vgg is None or not base.vgg else f"{s.vgg:.3f} ({s.vgg / base.vgg:.2f} ×)"
            lines.append(f"| {s.scene} | {s.method} | {s.psnr:.2f} | {s.ssim:.4f} | {vgg} | {s.gain:+.2f} |")
        return "\n".join([*lines, "", *self.words, ""])


def evaluate(
    model: Model,
    scenes: Sequence[Scene],
    *,
    realism: Sequence[float] = (),
    operator: str | None = None,
    value_range: tuple[float, float] | None = None,
    above: float | None = None,
    vgg_file: str | None = None,
) -> Evaluation:
    """Bring references down, make them fine again by each method, round to their type, and compare.

    Args:
        model: the model; beside it torch's bicubic (a = −0.75) and Lanczos (three lobes).
        scenes: references, which the model was not trained on.
        realism: where on the dial to measure; by default at 0, and at 1 too for models that have adversarial weights.
        operator: how references are brought down, instead of the model's own way (for models of none, block means).
        value_range: values are clipped to it, and it is PSNR's peak, in physical units; see :class:`Protocol`.
        above: only pixels above this physical value count.
        vgg_file: a torchvision state dict of VGG-19 instead of the extra ``vgg``.

    Raises:
        InputError: a scene smaller than the factor, or nothing to compare in it.
        ModelError: the bands do not fit, or a realism that the model has not.
    """
    card = model.descriptor
    amounts = list(realism) or ([0.0, 1.0] if card.adversarial else [])
    models = [load_model(model.path, amount) for amount in amounts] or [model]
    reduce_by = "block-mean" if (operator or card.operator) == "none" else operator or card.operator
    scores: list[Score] = []
    words: dict[str, None] = {}
    for scene in _named_apart(scenes):
        fine = _divisible(scene, card.scale)
        if card.value_scale == "physical":
            fine = fine.with_physical_range(*card.value_range)
        protocol = Protocol.of(fine, value_range, above)
        found = list(_scores(fine, models, protocol, reduce_by, vgg_file))
        scores += found
        words[f"{scene.name}: reduced {card.scale} × by {reduce_by}, rounded to {fine.dtype}; {protocol.words}."] = None
    return Evaluation(tuple(scores), tuple(words))


def compare_with(
    reference: Scene, source: Scene, results: Mapping[str, Scene], *, vgg_file: str | None = None
) -> Evaluation:
    """Results of a source beside its interpolation, on a reference of the results' size; see :func:`evaluate`.

    Raises:
        InputError: sizes that do not go together, or nothing to compare.
    """
    scale = reference.shape[2] // source.shape[2]
    grown = tuple(n * scale for n in source.shape[2:])
    if scale < 2 or any(scene.shape[2:] != grown for scene in (reference, *results.values())):
        _, _, height, width = reference.shape
        raise InputError(
            f"a reference of {width} × {height} pixels for a source of {source.shape[3]} × {source.shape[2]}",
            "a whole multiple of it, as large as the results",
            "crop it to the same ground",
        )
    picks = [i for i, band in enumerate(reference.bands, 1) if band.kind == "continuous"]
    fine, coarse = reference.select(picks), source.select(picks)
    protocol = Protocol.of(fine, None, None)
    methods: dict[str, Method] = {name: scene.select(picks).source.read for name, scene in results.items()}
    scores = _compared(fine, coarse, scale, methods, protocol, vgg_file)
    return Evaluation(tuple(scores), (f"Compared with {reference.name}; {protocol.words}.",))


def _scores(
    fine: Scene, models: Sequence[Model], protocol: Protocol, operator: str, vgg_file: str | None
) -> Iterator[Score]:
    scale = models[0].descriptor.scale
    coarse = reduced(fine, scale, operator)
    methods: dict[str, Method] = {}
    for model in models:
        label = model.descriptor.name
        if model.descriptor.adversarial:
            label += f", realism {model.realism:g}"
        methods[label] = upscale(coarse, model).source.read
    yield from _compared(fine, coarse, scale, methods, protocol, vgg_file)


def _compared(
    fine: Scene, coarse: Scene, scale: int, results: dict[str, Method], protocol: Protocol, vgg_file: str | None
) -> Iterator[Score]:
    """Results beside interpolations of a coarse scene, on what is truly there."""
    methods: dict[str, Method] = {
        "bicubic": lambda f, w: _interpolated(coarse, f, w, scale, bicubic),
        "Lanczos": lambda f, w: _interpolated(coarse, f, w, scale, lanczos),
    } | results
    crops = -(-_CROPS // sum(1 for _ in _regions(fine)))  # from every region some
    tallies = {name: _Tally(protocol, len(fine.bands), vgg_file, crops) for name in methods}
    for frames, region, around in _regions(fine):
        data = _data(fine, coarse, frames, around, scale)
        truth = _physical(fine, frames, fine.source.read(frames, around))
        truth = np.where(data, truth, 0.0)
        seen = data if protocol.above is None else data & (truth > protocol.above)
        inner = _inside(region, around)
        if seen[(..., *inner)].mean() < (_LEAST if fine.shape[0] > 1 else 1e-9):
            continue
        for name, method in methods.items():
            guess = _physical(fine, frames, stored(method(frames, around), fine.dtype, fine.bands))
            # What is no data is equal for all, so that nothing under a mask is measured.
            tallies[name].add(frames.start, np.where(data, guess, 0.0), truth, data, seen, inner)
    baseline = None
    for name, tally in tallies.items():
        if not tally.errors:
            raise InputError(f"{fine.name}, in which no pixel counts", "data, and foreground", "leave it out")
        decibels, similar = tally.psnr(), tally.ssim()
        baseline = decibels if baseline is None else baseline
        gain = 0.0 if decibels == baseline else decibels - baseline
        yield Score(fine.name, name, decibels, similar, tally.vgg(), gain)


class _Tally:
    """Sums over the regions of one scene, for one method."""

    def __init__(self, protocol: Protocol, bands: int, vgg_file: str | None, crops: int) -> None:
        self.protocol, self.bands, self.each = protocol, bands, crops
        self.errors: dict[int, list[Array]] = {}
        self.similar: list[tuple[float, float]] = []
        self.crops = 0
        try:
            self.distance: FeatureDistance | None = FeatureDistance(vgg_file)
        except ModelError:
            if vgg_file is not None:
                raise
            self.distance = None

    def add(
        self, frame: int, guess: Array, truth: Array, data: Array, counted: Array, inner: tuple[slice, slice]
    ) -> None:
        """Physical values ``(1, band, y, x)`` of a region and its surroundings; what is data, and what of it counts."""
        if self.protocol.window is not None:
            guess, truth = (np.clip(v, *self.protocol.window) for v in (guess, truth))
        seen = counted[(..., *inner)]
        squares = np.square(guess - truth)[(..., *inner)] * seen
        self.errors.setdefault(frame, []).append(np.stack([squares.sum((0, 2, 3)), seen.sum((0, 2, 3))]))
        peaks = np.asarray(self.protocol.peak)
        for band in range(self.bands):
            part = slice(band, band + 1)
            inside = np.zeros(counted.shape[2:], bool)
            inside[inner] = seen[0, band]
            if inside.any():
                score = ssim(guess[0, part], truth[0, part], peaks[part], inside)
                self.similar.append((float(score[0]), float(inside.sum())))
        self._look(guess[(..., *inner)], truth[(..., *inner)], data[(..., *inner)], seen)

    def _look(self, guess: Array, truth: Array, data: Array, seen: Array) -> None:
        height, width = truth.shape[2:]
        side = min(CROP, height, width)
        if self.distance is None or not self.each or side < _LEAST_CROP:
            return
        places = [
            (..., slice(row, row + side), slice(col, col + side))
            for row in range(0, height - side + 1, side)
            for col in range(0, width - side + 1, side)
        ]
        places = [place for place in places if data[place].all() and seen[place].mean() >= 0.5]
        for place in places[:: -(-len(places) // self.each) or 1]:
            pair = (torch.from_numpy(np.ascontiguousarray(v[place])).float() for v in (guess, truth))
            self.distance.add(*(image / max(self.protocol.peak) for image in pair))
            self.crops += 1

    def psnr(self) -> float:
        """Mean over bands and frames, in dB."""
        decibels = []
        for parts in self.errors.values():
            total, count = np.sum(parts, axis=0)
            known = count > 0
            peaks = np.asarray(self.protocol.peak)[known]
            with np.errstate(divide="ignore"):
                decibels.append((10 * np.log10(np.square(peaks) * count[known] / total[known])).mean())
        return float(np.mean(decibels))

    def ssim(self) -> float:
        """Mean over windows, bands and frames."""
        values, weights = zip(*self.similar, strict=True)
        return float(np.average(values, weights=weights))

    def vgg(self) -> float | None:
        """The feature distance; None if there was nothing to look at, or with."""
        value = self.distance.value() if self.distance is not None and self.crops else float("nan")
        return value if np.isfinite(value) else None


def _divisible(scene: Scene, scale: int) -> Scene:
    _, _, height, width = scene.shape
    if min(height, width) < scale * 16:
        raise InputError(f"{scene.name} of {width} × {height} pixels", f"at least {16 * scale} a side", "leave it out")
    picks = [i for i, band in enumerate(scene.bands, 1) if band.kind == "continuous"]
    scene = scene if len(picks) == len(scene.bands) else scene.select(picks)
    return replace(scene.crop(Window(0, 0, width // scale * scale, height // scale * scale)), scale=None)


def _regions(fine: Scene) -> Iterator[tuple[slice, Window, Window]]:
    """Frames and regions, and the windows that SSIM looks at around them."""
    count, _, height, width = fine.shape
    side = max(height, width) if fine.grid.planes else REGION
    for frame in range(count):
        for row in range(0, height, side):
            for col in range(0, width, side):
                region = Window(col, row, min(side, width - col), min(side, height - row))
                around = region.grown(_SSIM_REACH).clipped((height, width))
                yield slice(frame, frame + 1), region, around


def _inside(region: Window, around: Window) -> tuple[slice, slice]:
    row, col = region.row - around.row, region.col - around.col
    return slice(row, row + region.height), slice(col, col + region.width)


def _interpolated(
    coarse: Scene, frames: slice, window: Window, scale: int, method: Callable[[torch.Tensor, int], torch.Tensor]
) -> Array:
    """An interpolation of a window of fine pixels; past the scene's edge the coarse image is continued by its value."""
    inside = window.coarser(scale)
    kept = inside.grown(REACH).clipped(coarse.shape[2:])
    values = coarse.source.read(frames, kept).astype(np.float64)
    fine = method(torch.from_numpy(values), scale).numpy()
    row, col = window.row - kept.row * scale, window.col - kept.col * scale
    return fine[..., row : row + window.height, col : col + window.width]


def _physical(scene: Scene, frames: slice, stored: Array) -> Array:
    slope, offset = scene.lines
    if len(slope) > 1:
        slope, offset = slope[frames], offset[frames]
    physical: Array = stored.astype(np.float64) * slope[..., None, None] + offset[..., None, None]
    return physical


def _data(fine: Scene, coarse: Scene, frames: slice, window: Window, scale: int) -> Array:
    """Which pixels are data, in every band, and so far from missing ones that no interpolation meets those."""
    margin = REACH + -(-_SSIM_REACH // scale)
    inside = window.coarser(scale)
    kept = inside.grown(margin).clipped(coarse.shape[2:])
    valid = coarse.source.valid(frames, kept)
    missing = torch.from_numpy((~valid).any(1, keepdims=True).astype(np.float32))
    near = torch.nn.functional.max_pool2d(missing, 2 * margin + 1, 1, margin) > 0
    fine_near = near.numpy().repeat(scale, -2).repeat(scale, -1)
    first_row, first_col = window.row - kept.row * scale, window.col - kept.col * scale
    cut = fine_near[..., first_row : first_row + window.height, first_col : first_col + window.width]
    return np.broadcast_to(~cut, (cut.shape[0], len(fine.bands), *cut.shape[2:]))


def _named_apart(scenes: Sequence[Scene]) -> Iterator[Scene]:
    """The scenes, a number added to names that recur."""
    taken: dict[str, int] = {}
    for scene in scenes:
        taken[scene.name] = taken.get(scene.name, 0) + 1
        yield scene if taken[scene.name] == 1 else replace(scene, name=f"{scene.name} ({taken[scene.name]})")


def _above(above: float | None) -> str:
    return "" if above is None else f"pixels above {above:g}; "
