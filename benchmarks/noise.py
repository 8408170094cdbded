"""What the models make of noise: an even image with white noise, upscaled.

    python benchmarks/noise.py [MODEL …]

For each model: the standard deviation of the result as a share of the input's; how alike neighbours are along rows and
along columns (correlation, 1 is equal), which differ if noise is drawn along one direction; and the steps across
borders of input pixels beside those within. Interpolation stands beside it: bicubic, or for MR zero-filled k-space.
"""

import sys

import numpy as np
import torch

import geomedsr
from geomedsr import Scene
from geomedsr.geometry import Box
from geomedsr.metrics.grid import ratio, steps
from geomedsr.metrics.interpolation import bicubic

MODELS = ("satellite-x2", "satellite-x4", "ct-x2", "mr-x2")
SIDE, LEVEL, NOISE, EDGE = 192, 1000, 40, 24

#: Values for which a scene's percentiles are those of a real one: noise is 4 % of their range.
RANGE = 500, 1500


def main(names: list[str]) -> None:
    """Print a table."""
    image = np.clip(np.random.default_rng(0).normal(LEVEL, NOISE, (SIDE, SIDE)), 0, 4095)
    image[:8], image[-8:] = RANGE  # far from what is measured
    print("| model | result | noise, of the input's | along rows | along columns | grid |")
    print("|---|---|---|---|---|---|")
    for name in names or MODELS:
        model = geomedsr.load_model(name)
        card = model.descriptor
        dtype = np.int16 if card.domain == "CT" else np.uint16
        scene = Scene.from_array(image.round().astype(dtype), domain=card.domain)
        found = {"zero-filled" if card.domain == "MR" else "bicubic": interpolated(image, card.domain, card.scale)}
        for amount in (0.0, 1.0):
            made = geomedsr.upscale(scene, model.with_realism(amount), fitness=False)
            found[f"realism {amount:g}"] = made.source.read(Box.whole(made.shape))[0, 0].astype(float)
        inside = slice(EDGE * card.scale, -EDGE * card.scale)
        own = image[EDGE:-EDGE, EDGE:-EDGE].std()
        for how, values in found.items():
            part = values[inside, inside]
            grid = ratio(steps(part[None], np.ones(part.shape, bool), card.scale))[0]
            figures = part.std() / own, alike(part, 1), alike(part, 0), grid
            print(f"| {name} | {how} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")


def interpolated(image: np.ndarray, domain: str, scale: int) -> np.ndarray:
    """The image by interpolation."""
    if domain != "MR":
        return bicubic(torch.from_numpy(image)[None, None].float(), scale)[0, 0].double().numpy()
    side = image.shape[0] * scale
    first = (side - image.shape[0]) // 2
    spectrum = np.zeros((side, side), complex)
    spectrum[first : first + len(image), first : first + len(image)] = np.fft.fftshift(np.fft.fft2(image))
    return np.fft.ifft2(np.fft.ifftshift(spectrum)).real * scale**2


def alike(values: np.ndarray, axis: int) -> float:
    """The correlation of neighbours along an axis."""
    values = np.moveaxis(values, axis, -1)
    return float(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1])


if __name__ == "__main__":
    main(sys.argv[1:])
