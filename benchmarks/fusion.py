"""Several images of one place against one: simulated shifts with noise, and real dates.

    python benchmarks/fusion.py [DATA]

Simulated: views of the sample's reference (or of ``DATA/satellite/sentinel2_coast_10m.tif``, kept-out rows), shifted by
parts of a pixel, with noise of 2 % of the 1–99 % range. Gains in PSNR over the single-image result of ``satellite-x4``,
mean over bands. MR: acquisitions of the sample slice, with half the samples of k-space along each axis, shifted, with
noise of 2 %, beside ``mr-x2`` of one. Real: every date of ``DATA/sequences/naip_north_dakota_5m``, reduced ×4 and fused
with the nine others; the truth is that date itself.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

import geomedsr
from geomedsr import Scene, Window
from geomedsr.fusion.fuse import fuse_with_report
from geomedsr.fusion.simulation import acquisition, view

SCALE, NOISE = 4, 0.02
SAMPLE = Path(__file__).parents[1] / "examples/sentinel2_coast/reference.tif"


def psnr(scene: Scene, truth: np.ndarray, spans: np.ndarray) -> float:
    """Mean over bands, in dB, without a margin of 16 pixels."""
    error = (scene.data.values[0].astype(float) - truth)[:, 16:-16, 16:-16]
    return float(np.mean(10 * np.log10(spans**2 / (error**2).mean((1, 2)))))


def spans_of(fine: np.ndarray) -> np.ndarray:
    """The 1–99 % range of each band."""
    low, high = np.percentile(fine, (1, 99), axis=(1, 2))
    return np.asarray(high - low)


def simulated(scene: Scene) -> None:
    """A table over the number of views."""
    fine = scene.data.values[0].astype(float)
    fine = fine[:, : fine.shape[1] // SCALE * SCALE, : fine.shape[2] // SCALE * SCALE]
    spans, rng = spans_of(fine), np.random.default_rng(0)
    shifts = [(0.0, 0.0), *(tuple(rng.uniform(-1.5, 1.5, 2)) for _ in range(15))]
    views = [view(fine, shift, SCALE, NOISE * spans, rng) for shift in shifts]
    alone = psnr(geomedsr.upscale(views[0], "satellite-x4"), fine, spans)
    print("| views | PSNR, dB | gain over one image, dB | without a model, dB |\n|---|---|---|---|")
    for number in (1, 2, 4, 8, 16):
        fused = psnr(geomedsr.fuse(views[:number]), fine, spans)
        plain = psnr(geomedsr.fuse(views[:number], prior="bicubic"), fine, spans)
        print(f"| {number} | {fused:.2f} | {fused - alone:+.2f} | {plain - alone:+.2f} |")


def mr(scene: Scene) -> None:
    """The same for acquisitions of a slice."""
    fine = scene.data.values[0].astype(float)
    spans, rng = spans_of(fine), np.random.default_rng(0)
    shifts = [(0.0, 0.0), *(tuple(rng.uniform(-0.5, 0.5, 2)) for _ in range(7))]
    frames = [acquisition(fine[0], shift, 2, NOISE * spans[0], rng) for shift in shifts]
    alone = psnr(geomedsr.upscale(frames[0], "mr-x2"), fine, spans)
    print("| MR frames | PSNR, dB | gain over one frame, dB |\n|---|---|---|")
    for number in (1, 2, 4, 8):
        fused = psnr(geomedsr.fuse(frames[:number]), fine, spans)
        print(f"| {number} | {fused:.2f} | {fused - alone:+.2f} |")


def real(folder: Path) -> None:
    """A table over the dates."""
    window = Window(200, 200, 512, 384)
    fine = [geomedsr.open(path).crop(window).data.values[0].astype(float) for path in sorted(folder.glob("*.tif"))]
    shape = len(fine[0]), window.height // SCALE, SCALE, window.width // SCALE, SCALE
    dates = [Scene.from_array(np.rint(image.reshape(shape).mean((2, 4))).astype(np.uint8)[None]) for image in fine]
    print("| date | used | gain over one image, dB |\n|---|---|---|")
    for number, truth in enumerate(fine):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fused, report = fuse_with_report(dates, reference=number)
        spans = spans_of(truth)
        gain = psnr(fused, truth, spans) - psnr(geomedsr.upscale(dates[number], "satellite-x4"), truth, spans)
        print(f"| {number + 1} | {report.used - 1} of {len(fine) - 1} | {gain:+.2f} |")


if __name__ == "__main__":
    mr(geomedsr.open(SAMPLE.parents[1] / "mr_thigh"))
    if len(sys.argv) > 1:
        simulated(geomedsr.open(f"{sys.argv[1]}/satellite/sentinel2_coast_10m.tif").crop(Window(300, 1000, 512, 296)))
        real(Path(sys.argv[1]) / "sequences/naip_north_dakota_5m")
    else:
        simulated(geomedsr.open(SAMPLE))
