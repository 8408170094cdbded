"""Eight simulated views of the Sentinel-2 sample, fused: a picture in ``demo/fusion.png``, and how near each comes.

python examples/fusion.py
"""

from pathlib import Path

import numpy as np
from panels import draw

import geomedsr
from geomedsr.fusion.simulation import view

SAMPLE = Path(__file__).parent / "sentinel2_coast/reference.tif"
FOLDER = Path("demo")


def main() -> None:
    """Simulate, fuse, compare."""
    FOLDER.mkdir(exist_ok=True)
    truth = geomedsr.open(SAMPLE).data.values[0].astype(float)
    low, high = np.percentile(truth, (1, 99), axis=(1, 2))
    rng = np.random.default_rng(0)
    shifts = [(0.0, 0.0), *(tuple(rng.uniform(-1, 1, 2)) for _ in range(7))]
    views = [view(truth, shift, 4, 0.02 * (high - low), rng) for shift in shifts]
    results = {
        "one of eight views": views[0].data.values[0].repeat(4, 1).repeat(4, 2),
        "satellite-x4": geomedsr.upscale(views[0], "satellite-x4").data.values[0],
        "fused": geomedsr.fuse(views).data.values[0],
    }
    cut = slice(100, 260), slice(60, 220)
    black, white = (np.percentile(truth[[2, 1, 0]], q, axis=(1, 2)) for q in (1, 99))
    panels = {}
    for name, values in {**results, "truth": truth}.items():
        error = ((values - truth)[:, 16:-16, 16:-16] ** 2).mean((1, 2))
        label = name if name == "truth" else f"{name}, {np.mean(10 * np.log10((high - low) ** 2 / error)):.2f} dB"
        panels[label] = (np.moveaxis(values[[2, 1, 0]][:, *cut], 0, -1) - black) / (white - black)
        print(label)
    draw(panels, FOLDER / "fusion.png")


if __name__ == "__main__":
    main()
