"""How much of what B-splines miss between slices could be told at all: thin series made thick.

    python benchmarks/slices_ceiling.py THIN … [--factors 3,5] [--mr]

Noise: the standard deviation of the finest differences along all three axes at once (Haar), by the median of their
sizes. White noise lies in all directions alike, and the slices tell one of so many: the rest cannot be told by any
method, and bounds PSNR. Texture of the size of a pixel counts as noise here, since it cannot be told either.

Linear: the best weights of 7 × 3 × 3 voxels of the thick slices around each new one, by least squares, found on one
half of the rows and used on the other. It has seen the very volume, and stands for what interpolation could reach.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from measure import conditions
from slices import PROFILES, Array, psnr, series, spline, thick

#: Slices and pixels on each side that a new slice is predicted from.
SLICES, PIXELS = 3, 1


def noise(values: Array, above: float) -> float:
    """Of ``(slice, row, column)``, in its units, over voxels above a value."""
    found, counted = values.astype(np.float64), values > above
    for axis in range(3):
        pairs = found.shape[axis] // 2 * 2
        first, second = (np.take(found, range(start, pairs, 2), axis) for start in (0, 1))
        both = [np.take(counted, range(start, pairs, 2), axis) for start in (0, 1)]
        found, counted = (first - second) / np.sqrt(2), both[0] & both[1]
    return float(1.4826 * np.median(np.abs(found[counted])))


def seen(coarse: Array) -> Array:
    """What lies around each voxel, and 1: ``(slice, row, column, weights)``."""
    padded = np.pad(coarse.astype(np.float64), ((SLICES, SLICES), (PIXELS, PIXELS), (PIXELS, PIXELS)), mode="edge")
    sides = (2 * SLICES + 1, 2 * PIXELS + 1, 2 * PIXELS + 1)
    around = np.lib.stride_tricks.sliding_window_view(padded, sides).reshape(*coarse.shape, -1)
    return np.concatenate([around, np.ones((*coarse.shape, 1))], -1)


def linear(coarse: Array, truth: Array, factor: int, above: float) -> Array:
    """New slices by the best weights of the other half of the rows."""
    around, made, half = seen(coarse), np.empty(truth.shape), coarse.shape[1] // 2
    for part in range(factor):
        wanted = truth[part::factor].astype(np.float64)
        for fit, use in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
            counted = wanted[:, fit] > above
            weights = np.linalg.lstsq(around[:, fit][counted], wanted[:, fit][counted], rcond=None)[0]
            made[part::factor, use] = around[:, use] @ weights
    return made


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("thin", nargs="+", type=Path)
    parser.add_argument("--factors", default="3,5")
    parser.add_argument("--mr", action="store_true")
    options = parser.parse_args()
    print(conditions(), flush=True)
    print("\n| series | noise | slices | profile | B-spline, dB | of its error noise | best linear |")
    print("|---|---|---|---|---|---|---|")
    for path in options.thin:
        for factor in map(int, options.factors.split(",")):
            _, truth = series(path, factor)
            peak = float(np.percentile(truth, 99)) if options.mr else 1400.0
            above = 0.08 * peak if options.mr else -900.0
            share = noise(truth, above) / peak
            for name, profile in PROFILES.items():
                coarse = thick(truth, factor, profile)
                before = psnr(spline(coarse, factor), truth, above, peak)
                after = psnr(linear(coarse, truth, factor, above), truth, above, peak)
                untold = (1 - 1 / factor) * share**2 / 10 ** (-before / 10)
                print(
                    f"| {path.name.split('.')[0]} | {share:.1%} | ×{factor} | {name} | {before:.2f} | {untold:.0%} | "
                    f"{after - before:+.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
