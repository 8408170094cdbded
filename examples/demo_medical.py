"""The second part of ``make demo``: CT and MR slices twice as fine, written as DICOM, verified; and measured.

The series are made finer as they are: those results have no truth to compare with. So they are also reduced first, by
what their model calls its observation operator, and made finer again, beside bicubic and the slices as they were.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from panels import draw, part

import geomedsr
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.interpolation import bicubic
from geomedsr.metrics.reduced import reduced

SAMPLES = {"ct_abdomen": "ct-x2", "mr_thigh": "mr-x2"}
CROPS = {"ct_abdomen": (0.34, 0.14, 0.26), "mr_thigh": (0.3, 0.3, 0.34)}  # of the picture
SLICE = 1
SOFT_TISSUE = (-110, 190)  # HU


def main(folder: Path = Path("demo")) -> None:
    """Upscale, verify, measure, draw."""
    folder.mkdir(exist_ok=True)
    for name, model in SAMPLES.items():
        source, result = Path(__file__).parent / name, folder / f"{name}_x2"
        started = time.perf_counter()
        series = geomedsr.open(source)
        geomedsr.write(geomedsr.upscale(series), result, overwrite=True)  # the model follows the modality
        seconds = time.perf_counter() - started
        checks = geomedsr.verify(source, result)
        kept, broken = (sum(c.kept is word for c in checks) for word in (True, False))
        frames, _, height, width = series.shape
        print(f"\n{series.name}: {frames} slices of {width} × {height} pixels → {2 * width} × {2 * height}")
        print(f"{kept} promises kept, {broken} broken (geomedsr verify {source} {result})")
        told = evaluate(geomedsr.load_model(model), [series])
        print(f"{'':22}{'PSNR, dB':>10}{'SSIM':>8}")
        for score in told.scores:
            print(f"{score.method:22}{score.psnr:10.2f}{score.ssim:8.4f}")
        print(*told.words)
        picture = folder / f"{name}.png"
        draw(compared(name, model), picture)
        print(f"result   {result}   ({seconds:.1f} s)")
        print(f"picture  {picture}")


def compared(name: str, model: str) -> dict[str, np.ndarray]:
    """A part of one slice: reduced, by each method, and as it was; in one window."""
    series = geomedsr.open(Path(__file__).parent / name)
    coarse = reduced(replace(series, scale=None), 2, geomedsr.load_model(model).descriptor.operator)
    small, truth = (scene.data.values[SLICE, 0].astype(np.float64) for scene in (coarse, series))
    images = {"input": small, "bicubic": bicubic(torch.from_numpy(small)[None, None], 2)[0, 0].numpy()}
    for realism in (0, 1) if geomedsr.load_model(model).descriptor.adversarial else (None,):
        name_of_it = model if realism is None else f"realism {realism}"
        images[name_of_it] = geomedsr.upscale(coarse, model, realism=realism).data.values[SLICE, 0]
    images["reference"] = truth
    low, high = np.percentile(truth, (1, 99.5))
    if series.domain == "CT":
        low, high = (v - series.bands[0].offset for v in SOFT_TISSUE)
    return {title: (part(image, CROPS[name]) - low) / (high - low) for title, image in images.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
