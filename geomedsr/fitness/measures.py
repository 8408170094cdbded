"""What is measured of a band: a figure, or None where it cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomedsr.scene.sources import Array

#: An interval of frequencies, in cycles per pixel.
_Band = tuple[float, float]

#: The coefficients of a fourth difference, of unit norm: white noise keeps its standard deviation.
_FOURTH = np.array([1, -4, 6, -4, 1]) / np.sqrt(70)

#: Side of the blocks in which noise is measured, and the share of the flattest blocks of which the kernel is told.
_BLOCK, _FLAT = 12, 0.1

#: The 5th percentile of the root mean square of white noise of unit variance in such blocks, after these differences.
_WHITE = 0.768

#: The fewest pixels for spectra and figures of periods of 2 to 4 pixels, for those of 8 pixels, and for each level of a
#: histogram.
_FEW, _ENOUGH, _EACH = 1 << 11, 1 << 13, 20

#: The fall of power, in dB within 0.05 cycles per pixel, that ends the part of k-space that was measured.
_CLIFF = 9.0


@dataclass(frozen=True)
class Seen:
    """What is seen of a band, in stored values: square ``windows`` ``(y, x)``, and a 1-D sample, ``values``.

    ``span`` is the width of the band's value scale, about its 1st to 99th percentile. Values ``above`` are foreground.
    """

    windows: Sequence[Array]
    values: Array
    span: float
    above: float


def noise(seen: Seen) -> float:
    """The standard deviation of the fourth difference along both axes where it is small, percent of the span.

    Differences of high order cancel smooth detail and keep white noise (Immerkær 1996, "Fast noise variance
    estimation", CVIU 64(2)). The 5th percentile over blocks, which texture raises little, is divided by what it is of
    white noise.
    """
    fine, mean = [], []
    for window in seen.windows:
        fine.append(np.square(_blocks(_filtered(window, _FOURTH), _BLOCK)).mean(1))
        mean.append(_blocks(_filtered(window, np.full(5, 0.2)), _BLOCK))
    squares, around = np.concatenate(fine), np.concatenate(mean)
    counted = squares[_varied(around.var(1)) & _shown(around.mean(1), seen.above)]
    return float(100 * np.sqrt(np.percentile(counted if counted.size else squares, 5)) / _WHITE / seen.span)


def kernel(seen: Seen) -> float | None:
    """Diagonal detail over horizontal and vertical detail of Haar wavelets in the flattest blocks, in dB.

    White noise has 0 dB; the smoother a reconstruction kernel, the lower. None for flat windows.
    """
    diagonal, straight, flat, mean = [], [], [], []
    for window in seen.windows:
        height, width = (n // 2 * 2 for n in window.shape)
        a, b, c, d = (window[i:height:2, j:width:2].astype(np.float64) for i in (0, 1) for j in (0, 1))
        diagonal.append(np.square(_blocks((a - b - c + d) / 2, 8)).mean(1))
        straight.append((_blocks((a - b + c - d) / 2, 8) ** 2 + _blocks((a + b - c - d) / 2, 8) ** 2).mean(1) / 2)
        smooth = _blocks((a + b + c + d) / 4, 8)
        flat.append(smooth.var(1))
        mean.append(smooth.mean(1))
    variances = np.concatenate(flat)
    counted = np.flatnonzero(_varied(variances) & _shown(np.concatenate(mean), seen.above))
    picked = counted[np.argsort(variances[counted], kind="stable")[: max(int(len(counted) * _FLAT), 4)]]
    if not picked.size:
        return None
    fine, coarse = (np.median(np.concatenate(each)[picked]) for each in (diagonal, straight))
    return None if min(fine, coarse) <= 0 else float(10 * np.log10(fine / coarse))


def edge(seen: Seen) -> float | None:
    """Mean spectral power at 0.4–0.5 cycles per pixel beside that at 0.05–0.1, in dB."""
    return _decibels(seen.windows, (0.4, 0.5), (0.05, 0.1))


def fall(seen: Seen) -> float | None:
    """Mean spectral power at 0.30–0.35 cycles per pixel beside that at 0.20–0.25, in dB."""
    return _decibels(seen.windows, (0.3, 0.35), (0.2, 0.25))


def zero_filled(seen: Seen) -> float:
    """The share of k-space that is empty at the edges, along the axis where it is larger, in percent.

    Along each axis, power falls by a cliff where a scanner's measured lines end and zeros follow; 0 where none does.
    """
    shares = []
    for axis in (0, 1):
        profile = np.sum([_along(spectrum, axis) for spectrum in map(_spectrum, seen.windows)], 0)
        side = len(profile)
        decibels = 10 * np.log10(np.maximum(profile, 1e-12 * profile.max() + 1e-300))
        width = max(side // 10, 1)  # 0.05 cycles per pixel
        drops = decibels[:-width] - decibels[width:]
        drops[: int(0.3 * side)] = 0  # what falls there is the object's own spectrum
        at = int(drops.argmax())
        shares.append(100 * (1 - (at + width / 2) / side) if drops[at] > _CLIFF else 0.0)
    return float(max(shares))


def repeats(seen: Seen) -> float | None:
    """Mean steps between neighbours, by position in a period of 2, 3 or 4 pixels: the largest over the smallest.

    1 in an image that was not enlarged; infinite, here 100, for nearest neighbour. After Gallagher 2005, "Detection of
    linear and cubic interpolation in JPEG compressed images", CRV. None for too few pixels, or without steps.
    """
    found = [phases for period in (2, 3, 4) for phases in _steps(seen.windows, period)]
    if sum(window.size for window in seen.windows) < _FEW or not any(phases.max() > 0 for phases in found):
        return None
    return float(
        max(min(phases.max() / max(phases.min(), phases.max() / 100), 100) for phases in found if phases.any())
    )


def blocks(seen: Seen) -> float | None:
    """Mean steps between neighbours, by position in a period of 8 pixels: the largest over the second largest.

    None for too few pixels, or without steps.
    """
    found = [np.sort(phases) for phases in _steps(seen.windows, 8)]
    if sum(window.size for window in seen.windows) < _ENOUGH or not all(phases[-2] > 0 for phases in found):
        return None
    return float(max(phases[-1] / phases[-2] for phases in found))


def saturated(seen: Seen) -> float:
    """The share of pixels at the highest value, in percent; 0 for a constant band."""
    values = seen.values
    top = values.max()
    return 0.0 if top == values.min() else float(100 * (values == top).mean())


def bottom(seen: Seen) -> float:
    """The share of pixels at the lowest value, in percent; 0 for a constant band."""
    values = seen.values
    least = values.min()
    return 0.0 if least == values.max() else float(100 * (values == least).mean())


def levels(seen: Seen) -> float | None:
    """The width of the value scale in whole numbers; None for floats."""
    return float(seen.span) if seen.values.dtype.kind in "iu" else None


def gaps(seen: Seen) -> float | None:
    """The share of whole numbers from the 25th to the 75th percentile that no pixel has, in percent.

    None for floats, and where there are too few pixels to expect each number.
    """
    if seen.values.dtype.kind not in "iu":
        return None
    values = seen.values.astype(np.int64)
    low, high = (int(v) for v in np.percentile(values, (25, 75)))
    inside = values[(values >= low) & (values <= high)]
    if high - low < 8 or inside.size < _EACH * (high - low + 1):
        return None
    return float(100 * (1 - len(np.unique(inside)) / (high - low + 1)))


#: By the names of :data:`geomedsr.fitness.figures.ABOUT`.
MEASURES = {
    "repeats": repeats,
    "blocks": blocks,
    "noise": noise,
    "edge": edge,
    "fall": fall,
    "kernel": kernel,
    "zero_filled": zero_filled,
    "saturated": saturated,
    "bottom": bottom,
    "levels": levels,
    "gaps": gaps,
}


def _filtered(window: Array, taps: Array) -> Array:
    """A window after a filter along both axes, without the edges that it does not reach; float64."""
    for axis in (0, 1):
        moved = np.moveaxis(window, axis, 0)
        length = len(moved) - len(taps) + 1
        window = np.moveaxis(sum(tap * moved[i : i + length] for i, tap in enumerate(taps)), 0, axis)
    return window


def _blocks(image: Array, side: int) -> Array:
    """Its whole blocks, one a row."""
    height, width = (n // side * side for n in image.shape)
    parts = image[:height, :width].reshape(height // side, side, width // side, side)
    return parts.swapaxes(1, 2).reshape(-1, side * side)


def _varied(variances: Array) -> Array:
    """Which blocks are not constant, as air at the end of the values is; all if none is."""
    varied: Array = variances > 0
    return varied if varied.any() else ~varied


def _shown(means: Array, above: float) -> Array:
    """Which blocks are foreground; all if none is."""
    shown: Array = means > above
    return shown if shown.any() else ~shown


def _spectrum(window: Array) -> Array:
    """The power ``(n, n)`` of a square window under a Hann window."""
    side = len(window)
    hann = np.hanning(side + 1)[:-1]
    flat = (window - window.mean()) * hann[:, None] * hann
    return np.square(np.abs(np.fft.fft2(flat)))


def _decibels(windows: Sequence[Array], upper: _Band, lower: _Band) -> float | None:
    if sum(window.size for window in windows) < _FEW:
        return None
    sums = np.zeros(2)
    for window in windows:
        frequency = np.fft.fftfreq(len(window))
        radius, power = np.hypot(frequency[:, None], frequency), _spectrum(window)
        sums += [power[(radius >= start) & (radius < end)].mean() for start, end in (upper, lower)]
    return None if sums.min() <= 0 else float(10 * np.log10(sums[0] / sums[1]))


def _along(power: Array, axis: int) -> Array:
    """Mean power at each frequency along an axis, positive ones, over the lower half of those along the other."""
    frequency = np.abs(np.fft.fftfreq(len(power)))
    turned = power if axis == 0 else power.T
    return np.asarray(turned[: len(power) // 2, frequency < 0.25].mean(1))


def _steps(windows: Sequence[Array], period: int) -> list[Array]:
    """The mean absolute step between neighbours at each position in a period, down and across; ``(period,)`` each."""
    found = []
    for axis in (0, 1):
        sums, counts = np.zeros(period), np.zeros(period)
        for window in windows:
            steps = np.abs(np.diff(window.astype(np.float64), axis=axis)).mean(1 - axis)
            phase = np.arange(len(steps)) % period
            sums += np.bincount(phase, steps, period)
            counts += np.bincount(phase, minlength=period)
        found.append(sums / counts)
    return found
