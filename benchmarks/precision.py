"""What reduced precision costs: PSNR of each shipped model in bfloat16 less that in float32, on validation scenes.

    python benchmarks/precision.py DATA

``DATA`` is a folder with ``satellite``, ``ct`` and ``mr``, as the recipes name them. A model may run in bfloat16 by
default only where no scene loses more than 0.01 dB.
"""

import math
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import geomedsr
from geomedsr import Scene, Window
from geomedsr.geometry import Box
from geomedsr.metrics.evaluate import Protocol
from geomedsr.metrics.reduced import reduced
from geomedsr.models import available
from geomedsr.training import load_recipe
from geomedsr.training.data import validation_scenes

#: Pixels a side of a raster, slices of a series, that are compared.
SIDE, SLICES = 768, 6

CONFIGS = Path(__file__).parents[1] / "configs"


def compared(scene: Scene, scale: int) -> Scene:
    height, width = (n // scale * scale for n in scene.shape[2:])
    if not scene.grid.planes:
        height, width = min(height, SIDE), min(width, SIDE)
    return replace(scene.crop(Window(0, 0, width, height)), scale=None)


def psnr(fine: Scene, coarse: Scene, model: geomedsr.Model, precision: str) -> float:
    """Mean over bands and slices, as ``geomedsr evaluate`` counts pixels."""
    protocol = Protocol.of(fine, None, None)
    source = geomedsr.upscale(coarse, model, precision=precision).source
    whole = Window(0, 0, fine.shape[3], fine.shape[2])
    found = []
    for frame in range(0, fine.shape[0], max(1, fine.shape[0] // SLICES)):
        frames = slice(frame, frame + 1)
        slope, offset = (part[0][:, None, None] for part in fine.slopes_and_offsets)
        truth, result = (s.read(Box.of(frames, whole))[0] * slope + offset for s in (fine.source, source))
        seen = fine.source.valid(Box.of(frames, whole))[0] & (
            truth > (-math.inf if protocol.above is None else protocol.above)
        )
        if protocol.window is not None:
            truth, result = (np.clip(v, *protocol.window) for v in (truth, result))
        for band, peak in enumerate(protocol.peak):
            if seen[band].any():
                error = np.square(truth[band] - result[band])[seen[band]].mean()
                found.append(10 * math.log10(peak**2 / error))
    return float(np.mean(found))


def main(data: str) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    print("| model | realism | scene | float32, dB | bfloat16 less float32, dB |\n|---|---|---|---|---|")
    for name in sorted(available()):
        card = geomedsr.load_model(name).descriptor
        if card.ports.inputs:  # sharpen.py measures those with a guide
            continue
        for scene in validation_scenes(load_recipe(CONFIGS / f"{name}.yaml", [f"data.root={data}"])):
            fine = compared(scene, card.scale)
            if card.value_scale == "physical":
                fine = fine.with_physical_range(*card.value_range)
            coarse = reduced(fine, card.scale, card.operator)
            for realism in (0.0, 1.0) if card.adversarial else (0.0,):
                model = geomedsr.load_model(name, realism if card.adversarial else None)
                one, other = (psnr(fine, coarse, model, p) for p in ("float32", "bfloat16"))
                print(f"| {name} | {realism:g} | {scene.name} | {one:.2f} | {other - one:+.4f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
