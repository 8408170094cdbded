"""Where the errors of a CT model are: near padding that the scanner does not declare, and elsewhere.

    python benchmarks/edges.py DATA [MODEL …]

``DATA`` is a folder with ``ct``, as the recipe names it; models are names or files, ``ct-x2`` by default. The recipe's
validation series is reduced, made finer again and compared as ``geomedsr evaluate`` does, every seventh slice. Near:
counted pixels within 10 of one below −2000 HU.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import geomedsr
from geomedsr import Window
from geomedsr.geometry import Box
from geomedsr.metrics.evaluate import Protocol
from geomedsr.metrics.interpolation import bicubic, lanczos
from geomedsr.metrics.reduced import reduced
from geomedsr.training import load_recipe
from geomedsr.training.data import validation_scenes

CONFIG = Path(__file__).parents[1] / "configs/ct-x2.yaml"

EVERY, REACH, PADDING = 7, 10, -2000


def main(data: str, *names: str) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    fine, *_ = validation_scenes(load_recipe(CONFIG, [f"data.root={data}"]))
    protocol, scale = Protocol.of(fine, None, None), 2
    assert protocol.window is not None
    assert protocol.above is not None
    coarse = reduced(fine, scale, "block-mean")
    whole = Window(0, 0, fine.shape[3], fine.shape[2])

    def enlarged(by: Callable[..., torch.Tensor]) -> Callable[[slice], np.ndarray]:
        return lambda frames: by(
            torch.from_numpy(coarse.source.read(Box.of(frames, _all(coarse)))).double(), scale
        ).numpy()

    methods = {"bicubic": enlarged(bicubic), "Lanczos": enlarged(lanczos)}
    for name in names or ("ct-x2",):
        source = geomedsr.upscale(coarse, name).source
        methods[name] = lambda frames, source=source: source.read(Box.of(frames, whole))
    errors: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    shares = []
    for frame in range(0, fine.shape[0], EVERY):
        frames = slice(frame, frame + 1)
        slope, offset = (float(part[0, 0]) for part in fine.slopes_and_offsets)
        truth = fine.source.read(Box.of(frames, whole))[0, 0] * slope + offset
        padding = torch.from_numpy(truth < PADDING)[None].float()
        around = F.max_pool2d(padding, 2 * REACH + 1, 1, REACH)[0].numpy() > 0
        counted = truth > protocol.above
        near, far = counted & around, counted & ~around
        shares.append(near.sum() / counted.sum())
        for name, method in methods.items():
            result = method(frames)[0, 0] * slope + offset
            square = np.square(np.clip(result, *protocol.window) - np.clip(truth, *protocol.window))
            errors[name].append(
                (square[counted].mean(), square[far].mean(), square[near].sum() / square[counted].sum())
            )
    print(f"{fine.name}: {np.mean(shares):.1%} of the counted pixels lie near padding\n")
    print("| | PSNR, dB | away from padding, dB | share of the squared error near padding |\n|---|---|---|---|")
    for name, found in errors.items():
        everywhere, away, share = np.array(found).T
        one, other = (float(np.mean(10 * np.log10(protocol.peak[0] ** 2 / e))) for e in (everywhere, away))
        print(f"| {name} | {one:.2f} | {other:.2f} | {share.mean():.0%} |")


def _all(scene: geomedsr.Scene) -> Window:
    return Window(0, 0, scene.shape[3], scene.shape[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
