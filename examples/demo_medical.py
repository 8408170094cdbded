"""The second part of ``make demo``: the CT sample twice as fine, written as DICOM, verified; and measured.

The series is made finer as it is: that result has no truth to compare with. So one slice is also reduced first, and
made finer again, beside bicubic and the slice as it was.
"""

import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

import geomedsr
from geomedsr import Grid, Scene
from geomedsr.metrics import psnr, ssim

SAMPLE = Path(__file__).parent / "ct_abdomen"
SLICE = 1
AIR, WINDOW, SOFT_TISSUE = -900, (-1000, 400), (-110, 190)  # HU


def main(folder: Path = Path("demo")) -> None:
    """Upscale, verify, measure, draw."""
    folder.mkdir(exist_ok=True)
    result = folder / "ct_abdomen_x2"
    started = time.perf_counter()
    series = geomedsr.open(SAMPLE)
    geomedsr.write(geomedsr.upscale(series), result, overwrite=True)  # the model follows the modality
    seconds = time.perf_counter() - started
    checks = geomedsr.verify(SAMPLE, result)
    kept, broken = (sum(c.kept is word for c in checks) for word in (True, False))

    truth = series.data.values[SLICE, 0].astype(np.int64)
    height, width = truth.shape
    coarse = np.rint(truth.reshape(height // 2, 2, width // 2, 2).mean((1, 3))).astype(series.dtype)
    tensor = torch.from_numpy(coarse.astype(np.float32))[None, None]
    small = Scene.from_array(coarse, grid=Grid(coarse.shape), bands=series.bands, domain="CT")
    guesses = {
        "bicubic": torch.nn.functional.interpolate(tensor, scale_factor=2, mode="bicubic")[0, 0].round().numpy(),
        "ct-x2": geomedsr.upscale(small).data.values[0, 0],
    }
    offset = series.bands[0].offset
    print(f"\n{series.name}: {series.shape[0]} slices of {width} × {height} pixels → {2 * width} × {2 * height}")
    print(f"{kept} promises kept, {broken} broken (geomedsr verify {SAMPLE} {result})")
    print(f"{'':14}{'PSNR, dB':>10}{'SSIM':>8}    (reduced 2 × first; above −900 HU, window −1000 … 400 HU)")
    panels = {f"input, {width // 2} × {height // 2}": coarse + offset}
    for name, guess in guesses.items():
        decibels, similar = score(guess + offset, truth + offset)
        print(f"{name:14}{decibels:10.2f}{similar:8.4f}")
        panels[f"{name}, {decibels:.2f} dB"] = guess + offset
    picture(panels | {"reference": truth + offset}, folder / "ct_comparison.png")
    print(f"result   {result}   ({seconds:.1f} s)")
    print(f"picture  {folder / 'ct_comparison.png'}")


def score(guess: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and SSIM of one slice in HU."""
    peak = np.array([WINDOW[1] - WINDOW[0]])
    one, other = (np.clip(v, *WINDOW).astype(np.float64)[None] for v in (guess, truth))
    return float(psnr(one, other, peak, truth > AIR)[0]), float(ssim(one, other, peak, truth > AIR)[0])


def picture(panels: dict[str, np.ndarray], path: Path) -> None:
    """A part of each slice, side by side, in one soft-tissue window."""
    figure, axes = plt.subplots(2, 2, figsize=(10.4, 11.2), layout="constrained")
    for axis, (title, hu) in zip(axes.flat, panels.items(), strict=True):
        side = hu.shape[0]
        part = hu[int(0.28 * side) : int(0.62 * side), int(0.12 * side) : int(0.46 * side)]
        axis.imshow(part, cmap="gray", vmin=SOFT_TISSUE[0], vmax=SOFT_TISSUE[1], interpolation="nearest")
        axis.set_title(title, fontsize=15)
        axis.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
