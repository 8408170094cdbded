"""Sums over the regions of one scene, for one method, and the figures computed from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from geomedsr.errors import ModelError
from geomedsr.geometry.grid import Window
from geomedsr.metrics.bootstrap import draws, interval
from geomedsr.metrics.correctness import CLASSES, classes, shares
from geomedsr.metrics.ergas import ergas
from geomedsr.metrics.features import FeatureDistance
from geomedsr.metrics.figures import Figure
from geomedsr.metrics.fitted import residual
from geomedsr.metrics.fringe import edges, gradient
from geomedsr.metrics.grid import ratio, steps, worst
from geomedsr.metrics.protocol import Protocol
from geomedsr.metrics.quality import ssim_map
from geomedsr.metrics.regions import Region, square_side, squares
from geomedsr.metrics.sam import spectral_angles
from geomedsr.metrics.spectrum import beyond_nyquist, power
from geomedsr.scene.sources import Array

#: Side of the crops for VGG-19, in reference pixels, and the smallest side that is allowed.
CROP, _LEAST_CROP = 192, 32

#: About how many crops of a scene VGG-19 sees, spread over it.
CROPS = 48

#: The most units for bootstrap intervals; in larger scenes, neighbouring squares form one unit.
_UNITS = 2048

#: Sums of one square: by name, ``(band, …)``.
Sums = dict[str, Array]


@dataclass
class Tally:
    """The running sums. Means are over the bands ``common``. In a ``series``, the bootstrap draws frames.

    ``ratios`` tells whether values have a true zero, as SAM and ERGAS require; HU do not. ``pair`` tells that the
    reference is from another sensor or band, so that the error after a local linear fit is measured, too.
    """

    protocol: Protocol
    bands: int
    common: tuple[int, ...]
    scale: int
    series: bool
    ratios: bool
    regions: int
    vgg_file: str | None = None
    pair: bool = False
    parts: list[tuple[int, Sums]] = field(default_factory=list)
    places: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._crops = -(-CROPS // self.regions)  # per region
        self._seen_crops = 0
        try:
            self._distance: FeatureDistance | None = FeatureDistance(self.vgg_file)
        except ModelError:
            if self.vgg_file is not None:
                raise
            self._distance = None

    def add(self, region: Region, result: Array, base: Array, drift: Array, seen: Array) -> None:
        """Add a region: a method's ``result`` and bicubic's, ``base``, with the surroundings, physical and clipped.

        ``drift`` is ``(1, band, y, x)`` over the input's pixels of the region. ``seen`` are the pixels that count.
        """
        truth = self.protocol.clip(region.truth)
        peak = np.asarray(self.protocol.peak)
        similar = ssim_map(result[0], truth[0], peak)[(slice(None), *region.inner)]
        one, other, low, counted, whole = (
            v[0][(slice(None), *region.inner)] for v in (result, truth, base, seen, region.data)
        )
        kinds = classes(one, low, other, peak)
        picks = list(self.common)
        angles = spectral_angles(one[picks], other[picks]) if self.ratios and len(picks) > 1 else None
        steep = None if angles is None else gradient(other[picks], peak[picks])
        rows, cols = region.inner  # steps across the region's lower and right edges belong to it
        edge = slice(None), slice(rows.start, rows.stop + 1), slice(cols.start, cols.stop + 1)
        stepped, stepping = result[0][edge], seen[0][edge]
        height, width = drift.shape[2:]
        blocks = counted.reshape(self.bands, height, self.scale, width, self.scale).all((2, 4))
        for square in squares(region.box.window, self.scale):
            here = _cut(square)
            sums = _pixels(one[here], other[here], similar[here], counted[here], kinds[here])
            at = _cut(square.coarser(self.scale))
            piece = slice(None), *(slice(s.start, s.stop + 1) for s in here[1:])
            shape = square.height, square.width
            sums["steps"] = steps(stepped[piece], stepping[piece], self.scale, shape)
            stays = blocks[at] & np.isfinite(drift[0][at])
            sums["drift"] = np.where(stays, drift[0][at], 0).sum((1, 2))
            sums["coarse"] = stays.sum((1, 2)).astype(float)
            if angles is not None:
                known = counted[here][picks].all(0) & np.isfinite(angles[here[1:]])
                sums["angle"] = np.where(known, angles[here[1:]], 0).sum()[None]
                sums["angles"] = known.sum()[None].astype(float)
                if steep is not None:
                    strong = edges(steep[here[1:]], known)
                    sums["fringe"] = np.where(strong, angles[here[1:]], 0).sum()[None]
                    sums["fringes"] = strong.sum()[None].astype(float)
            if self.pair:
                sums["fitted"] = residual(one[here], other[here], counted[here])
            side = square_side(self.scale)
            full = square.width == square.height == side and whole[here].all() and counted[here].mean() >= 0.5
            empty = np.zeros((self.bands, side // 2))
            sums["power"] = power(one[here]) if full else empty
            sums["true power"] = power(other[here]) if full else empty
            self.parts.append((region.box.start[0], sums))
            self.places.append(square.shifted(region.box.start[2], region.box.start[1]))
        self._look(one[picks], other[picks], whole[picks], counted[picks])

    def _look(self, result: Array, truth: Array, data: Array, seen: Array) -> None:
        height, width = truth.shape[1:]
        side = min(CROP, height, width)
        if self._distance is None or not self._crops or side < _LEAST_CROP:
            return
        places = [
            (..., slice(row, row + side), slice(col, col + side))
            for row in range(0, height - side + 1, side)
            for col in range(0, width - side + 1, side)
        ]
        places = [place for place in places if data[place].all() and seen[place].mean() >= 0.5]
        peak = max(self.protocol.peak[b] for b in self.common)
        for place in places[:: -(-len(places) // self._crops) or 1]:
            pair = (torch.from_numpy(np.ascontiguousarray(v[place])[None]).float() for v in (result, truth))
            self._distance.add(*(image / peak for image in pair))
            self._seen_crops += 1

    def vgg(self) -> float | None:
        """The feature distance; None without crops or without VGG-19's weights."""
        value = self._distance.value() if self._distance is not None and self._seen_crops else float("nan")
        return value if np.isfinite(value) else None

    def units(self) -> Sums:
        """The sums of each unit, ``(unit, band, …)``: a frame of a series, else a square or several adjacent ones."""
        keys = [frame for frame, _ in self.parts] if self.series else list(range(len(self.parts)))
        together = 1 if self.series else -(-len(keys) // _UNITS)
        order = {key: i // together for i, key in enumerate(dict.fromkeys(keys))}
        unit = np.array([order[key] for key in keys])
        gathered = {}
        for name in self.parts[0][1]:
            values = np.stack([sums[name] for _, sums in self.parts])
            total = np.zeros((unit[-1] + 1, *values.shape[1:]))
            np.add.at(total, unit, values)
            gathered[name] = total
        return gathered

    def figures(self, served: Sequence[int], base: Tally) -> tuple[dict[str, Figure], dict[int, dict[str, Figure]]]:
        """The figures over the common bands, and for each band in ``served``, with intervals.

        ``base`` is bicubic's tally, to which the gain is relative; the same units are drawn from both.
        """
        sums, low = self.units(), base.units()
        count = len(sums["count"])
        once, drawn = np.ones((1, count)), draws(count) if count > 1 else np.ones((0, count))
        found: dict[str, Figure] = {}
        by_band: dict[int, dict[str, Figure]] = {band: {} for band in served}
        for name, measure in self._measures().items():
            values, spread = (measure(sums, low, weights) for weights in (once, drawn))
            for band in served:
                _put(by_band[band], name, values[:, band], spread[:, band])
            picks = list(self.common)
            over = worst if name == "grid" else _mean
            _put(found, name, *(over(v[:, picks]) for v in (values, spread)))
        if "angle" in sums:
            for name, total, number in (("sam", "angle", "angles"), ("fringe", "fringe", "fringes")):
                pair = (_ratio(w @ sums[total], w @ sums[number])[:, 0] for w in (once, drawn))
                _put(found, name, *pair)
        if self.ratios:
            _put(found, "ergas", *(self._ergas(sums, w) for w in (once, drawn)))
        return found, by_band

    def _measures(self) -> dict[str, Callable[[Sums, Sums, Array], Array]]:
        """Functions for figures per band: sums, bicubic's sums and weights ``(draw, unit)`` to ``(draw, band)``."""

        def of_class(position: int) -> Callable[[Sums, Sums, Array], Array]:
            return lambda s, b, w: shares(np.tensordot(w, s["classes"], 1))[..., position]

        def spectrum(s: Sums, b: Sums, w: Array) -> Array:
            made, true = (np.tensordot(w, s[name], 1) for name in ("power", "true power"))
            return beyond_nyquist(made, true, square_side(self.scale), self.scale)

        def fitted(s: Sums, b: Sums, w: Array) -> Array:
            made, base = w @ s["fitted"], w @ b["fitted"]
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(made == base, 0.0, 10 * np.log10(base / made))

        return {
            "psnr": lambda s, b, w: self._psnr(s, w),
            "ssim": lambda s, b, w: _ratio(w @ s["similar"], w @ s["count"]),
            "gain": lambda s, b, w: self._gain(s, b, w),
            "drift": lambda s, b, w: _ratio(w @ s["drift"], w @ s["coarse"]),
            **{name: of_class(i) for i, name in enumerate(CLASSES)},
            "spectrum": spectrum,
            "grid": lambda s, b, w: ratio(np.tensordot(w, s["steps"], 1)),
            **({"fitted": fitted} if self.pair else {}),
        }

    def _psnr(self, sums: Sums, weights: Array) -> Array:
        """In dB, ``(draw, band)``: over all pixels of a raster; for a series, the mean over slices."""
        squared = np.square(np.asarray(self.protocol.peak))
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self.series:
                return np.asarray(10 * np.log10(squared * (weights @ sums["count"]) / (weights @ sums["squares"])))
            known = sums["count"] > 0
            each = np.where(known, 10 * np.log10(squared * sums["count"] / sums["squares"]), 0)
            equal = np.isinf(each)  # 0 · ∞ is not a number
            mean = _ratio(weights @ np.where(equal, 0, each), weights @ known)
            return np.where(weights @ equal > 0, np.inf, mean)

    def _gain(self, sums: Sums, low: Sums, weights: Array) -> Array:
        made, base = self._psnr(sums, weights), self._psnr(low, weights)
        with np.errstate(invalid="ignore"):
            return np.where(made == base, 0.0, made - base)  # equal infinities too

    def _ergas(self, sums: Sums, weights: Array) -> Array:
        """``(draw,)``: over all pixels of a raster; for a series, the mean over slices."""
        squares, truth, count = (sums[name][:, list(self.common)] for name in ("squares", "truth", "count"))
        if not self.series:
            return ergas(weights @ squares, weights @ truth, weights @ count, self.scale)
        each = ergas(squares, truth, count, self.scale)
        known = np.isfinite(each)
        return _ratio(weights @ np.where(known, each, 0), weights @ known)

    def spectra(self, band: int) -> tuple[Array, Array]:
        """The spectrum of one band and the reference's, as :func:`power` returns them, summed over squares."""
        made, true = (np.sum([s[name][band] for _, s in self.parts], 0) for name in ("power", "true power"))
        return made, true

    def hardest(self, most: int) -> list[tuple[int, Window]]:
        """Frames and whole squares with the largest squared error, the largest first; no two touch."""
        errors = [float((s["squares"][list(self.common)]).sum()) for _, s in self.parts]
        found: list[tuple[int, Window]] = []
        for i in sorted(range(len(errors)), key=lambda i: (-errors[i], i)):
            frame, place = self.parts[i][0], self.places[i]
            apart = all(frame != f or _apart(place, w) for f, w in found)
            if len(found) < most and self.parts[i][1]["true power"].any() and apart:
                found.append((frame, place))
        return found


def _pixels(result: Array, truth: Array, similar: Array, counted: Array, kinds: Array) -> Sums:
    """Sums ``(band, …)`` over those pixels of a square that count."""
    where = (1, 2)
    return {
        "squares": (np.square(result - truth) * counted).sum(where),
        "count": counted.sum(where).astype(float),
        "similar": np.where(counted, similar, 0).sum(where),
        "truth": np.where(counted, truth, 0).sum(where),
        "classes": np.stack([((kinds == i) & counted).sum(where) for i in range(len(CLASSES))], -1).astype(float),
    }


def _apart(one: Window, other: Window) -> bool:
    """Whether two windows have neither a pixel nor an edge in common."""
    between = (
        max(one.row, other.row) - min(one.stop[0], other.stop[0]),
        max(one.col, other.col) - min(one.stop[1], other.stop[1]),
    )
    return max(between) > 0


def _cut(window: Window) -> tuple[slice, slice, slice]:
    bottom, right = window.stop
    return slice(None), slice(window.row, bottom), slice(window.col, right)


def _ratio(total: Array, count: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total / np.where(count > 0, count, np.nan))


def _mean(values: Array) -> Array:
    """The mean over bands, ignoring NaN: ``(draw, band)`` to ``(draw,)``."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def _put(figures: dict[str, Figure], name: str, value: Array, spread: Array) -> None:
    """Add a figure, unless it is NaN."""
    if not np.isnan(value[0]):
        low, high = interval(spread) or (None, None)
        figures[name] = Figure(float(value[0]), low, high)
