"""PSNR and SSIM of the shipped CT and MR models beside interpolation, on patients they were not trained on.

    python benchmarks/quality_medical.py [FOLDER] [--model NAME_OR_FILE] [--operator NAME]

Each slice is reduced 2 × by the model's observation operator (block means for CT, a central crop of k-space for MR),
rounded to its storage type, upscaled by each method, rounded again, and compared. CT: pixels above −900 HU, values
clipped to −1000 … 400 HU, which is the peak. MR: pixels above 8 % of the series' 99th percentile, which is the peak.
FOLDER holds the validation series of configs/ct-x2.yaml and configs/mr-x2.yaml; without it the shipped samples
(parts of them) are used. Lanczos is GDAL's.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from affine import Affine
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

import geomedsr
from geomedsr import Grid, Model, Scene, Window, operators
from geomedsr.devices import keep_memory
from geomedsr.metrics import psnr, ssim
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.training import load_recipe

ROOT = Path(__file__).parents[1]
FACTOR = 2
SAMPLES = {"ct-x2": "ct_abdomen", "mr-x2": "mr_thigh"}


@dataclass(frozen=True)
class Protocol:
    """What counts: physical pixels above ``above``, clipped to ``window``, whose width is the peak."""

    above: float
    window: tuple[float, float]

    @classmethod
    def of(cls, scene: Scene) -> "Protocol":
        """The protocol of a scene's domain."""
        if scene.domain == "CT":
            return cls(-900, (-1000, 400))
        high = float(np.percentile(scene.data.values, 99))
        return cls(0.08 * high, (-np.inf, np.inf))

    def score(self, guess: np.ndarray, truth: np.ndarray, peak: float) -> tuple[float, float]:
        """PSNR and SSIM of one slice, physical values."""
        seen = truth > self.above
        one, other = (np.clip(v, *self.window)[None] for v in (guess, truth))
        return float(psnr(one, other, np.array([peak]), seen)[0]), float(ssim(one, other, np.array([peak]), seen)[0])


def coarse_of(scene: Scene, frames: slice, operator: str) -> tuple[Scene, np.ndarray]:
    """A few slices reduced, and the fine ones they come from; sizes that the factor does not divide lose a line."""
    _, _, height, width = scene.shape
    whole = Window(0, 0, width // FACTOR * FACTOR, height // FACTOR * FACTOR)
    fine = scene.source.read(frames, whole)
    down = operators.get(operator).down(torch.from_numpy(fine.astype(np.float64)), FACTOR).numpy()
    low, high = scene.bands[0].limits or (np.iinfo(scene.dtype).min, np.iinfo(scene.dtype).max)
    stored = np.clip(np.rint(down), low, high).astype(scene.dtype)
    small = Scene.from_array(stored, grid=Grid(stored.shape[2:]), bands=scene.bands, domain=scene.domain)
    return replace(small, rescale=scene.rescale[frames] if scene.rescale else ()), fine


def guesses(coarse: Scene, model: Model) -> Iterator[tuple[str, np.ndarray]]:
    """Method and stored values ``(frame, 1, y, x)``, of the coarse scene's type."""
    stored = coarse.data.values.astype(np.float64)
    tensor = torch.from_numpy(stored)
    yield "bicubic (torch, a = −0.75)", torch.nn.functional.interpolate(tensor, scale_factor=2, mode="bicubic").numpy()
    yield "bicubic (Keys, a = −0.5)", BicubicSkip(FACTOR).double()(tensor).numpy()
    yield "Lanczos (GDAL)", np.stack([lanczos(plane)[None] for plane in stored[:, 0]])
    name = model.descriptor.name
    yield name, geomedsr.upscale(coarse, model).data.values


def lanczos(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    size = {"count": 1, "height": height, "width": width, "dtype": "float64"}
    profile = {"driver": "GTiff", "transform": Affine(2, 0, 0, 0, -2, 0), **size}
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(plane, 1)
        with memory.open() as dataset:
            return dataset.read(1, out_shape=(height * FACTOR, width * FACTOR), resampling=Resampling.lanczos)


def scores(scene: Scene, model: Model, operator: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """Method, and its PSNR and SSIM: means over the slices of a series."""
    protocol = Protocol.of(scene)
    slopes, offsets = scene.lines
    peak = protocol.window[1] - protocol.window[0] if scene.domain == "CT" else protocol.above / 0.08
    found: dict[str, list[tuple[float, float]]] = {}
    for frame in range(scene.shape[0]):
        coarse, fine = coarse_of(scene, slice(frame, frame + 1), operator)
        coarse = replace(coarse, scale=None if scene.domain == "CT" else scene.values)
        line = min(frame, len(slopes) - 1)
        truth = fine[0, 0] * slopes[line] + offsets[line]
        if (truth > protocol.above).mean() < 0.02:
            continue
        for method, guess in guesses(coarse, model):
            physical = np.rint(guess[0, 0]) * slopes[line] + offsets[line]
            found.setdefault(method, []).append(protocol.score(physical, truth, peak))
    for method, values in found.items():
        decibels, similar = np.mean(values, axis=0)
        yield method, (float(decibels), float(similar))


def main() -> None:
    """Print a Markdown table."""
    keep_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--model", help="a model instead of the shipped ones")
    parser.add_argument("--operator", help="reduce by this operator instead of the model's own")
    parser.add_argument("--series", nargs="*", help="folders under FOLDER instead of the validation series")
    options = parser.parse_args()
    print("| series | method | PSNR, dB | SSIM | gain over torch's bicubic, dB |\n|---|---|---|---|---|")
    models = [geomedsr.load_model(options.model)] if options.model else [geomedsr.load_model(n) for n in SAMPLES]
    for model in models:
        card = model.descriptor
        recipe = load_recipe(ROOT / f"configs/{'ct' if card.domain == 'CT' else 'mr'}-x2.yaml")
        paths = options.series or [e.path for e in recipe.data.validation]
        folders = (
            [Path(options.folder) / p for p in paths] if options.folder else [ROOT / "examples" / SAMPLES[recipe.name]]
        )
        for folder in folders:
            rows = list(scores(geomedsr.open(folder), model, options.operator or card.operator))
            for method, (decibels, similar) in rows:
                gain = decibels - rows[0][1][0]
                print(f"| {card.domain} {folder.name} | {method} | {decibels:.2f} | {similar:.4f} | {gain:+.2f} |")


if __name__ == "__main__":
    main()
