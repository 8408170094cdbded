"""Sharpening by a guide, by Wald's protocol: Sentinel-2's 20 m bands at 10 m, and pansharpening.

    python benchmarks/sharpen.py DATA [--bands MODEL] [--pan2 MODEL] [--pan4 MODEL] [--visible MODEL]

``DATA`` is a folder with ``satellite``, as the recipes name it; models are names or files. Image and guide are reduced
by the factor, and the image itself is the truth. Only parts that the recipes keep out are counted.

``--visible`` is a model trained without B08: ``geomedsr train sentinel2-20m-x2 content.steps=600`` with
``generator.ports.inputs.0.bands=[B02,B03,B04]`` and the same ``bands`` in each entry's ``guide``.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from affine import Affine
from pansharpening import brovey, ergas, gs, gsa, mtf_glp_hpm, q2n, reduced, upsampled
from supreme import supreme

import geomedsr
from geomedsr import Band, Grid, Scene, Window
from geomedsr.geometry import Box
from geomedsr.inference import process
from geomedsr.training.guides import beside

Array = np.ndarray

#: SupReME's strength of smoothing: the best of these for each band, which favours it.
STRENGTHS = (0.0005, 0.002, 0.005, 0.02)

#: How the panchromatic pixels of ``landsat8_elkton`` lie on its 30 m ones, found by regression of the one on the others
#: (R² 0.90 of what a Gaussian of two pixels leaves); what the cut-outs declare is up to two pixels off.
ELKTON = Affine(1.98040625, 0, 2.065625, 0, 1.9995625, -0.493828125)


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--bands", default="sentinel2-20m-x2")
    parser.add_argument("--pan2", default="pan-x2")
    parser.add_argument("--pan4", default="pan-x4")
    parser.add_argument("--visible", help="a model as sentinel2-20m-x2, without B08 among its guides")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = given.data / "satellite"
    if given.bands and given.pan2:
        bands_table(folder, given.bands)
        print(kept(folder, given.bands), end="\n\n")
        native_table(folder, given.bands, given.pan2, given.visible)
    for scale, model in ((2, given.pan2), (4, given.pan4)):
        if model:
            pan_table(folder, model, scale)


def bands_table(folder: Path, model: str) -> None:
    """RMSE of each 20 m band at 20 m, made of 40 m ones, against the band itself."""
    print(f"| scene | band | bicubic | SupReME | {model} | × bicubic's | × SupReME's |\n|---|---|---|---|---|---|---|")
    for name, fine, coarse, first in (
        ("coast", "sentinel2_coast_10m.tif", "sentinel2_coast_20m.tif", 500),
        ("desert", "sentinel2_sahara_100m.tif", "sentinel2_sahara_200m.tif", 240),
    ):
        image, guide = (geomedsr.open(folder / f) for f in (coarse, fine))
        both = beside(image, guide, 2)
        height, width = (n // 4 * 4 for n in both.shape[2:])
        values = both.source.read(Box.of(0, Window(0, 0, width, height)))[0].astype(np.float64)
        truth, seen = values[:6], values[6:]
        low = reduced(truth, 2)
        kept = np.s_[first:]
        made = {
            "bicubic": upsampled(low, 2),
            "ours": sharpened(model, low, seen, image.bands, guide.bands),
        }
        rmse = {key: _rmse(x[:, kept], truth[:, kept]) for key, x in made.items()}
        tried = [supreme(low[:, first // 2 :], seen[:, kept], 2, strength) for strength in STRENGTHS]
        rmse["supreme"] = np.min([_rmse(x, truth[:, kept]) for x in tried], 0)
        for i, band in enumerate(image.bands):
            b, s, o = (rmse[key][i] for key in ("bicubic", "supreme", "ours"))
            print(f"| {name} | {band.name} | {b:.1f} | {s:.1f} | {o:.1f} | {o / b:.2f} | {o / s:.2f} |")
    print()


def kept(folder: Path, model: str) -> str:
    """Whether each 20 m pixel is the mean of its four 10 m pixels, in a sentence."""
    image = geomedsr.open(folder / "sentinel2_coast_20m.tif").crop(Window(1, 500, 748, 150))
    guide = geomedsr.open(folder / "sentinel2_coast_10m.tif").crop(Window(1, 1000, 1496, 300))
    made = process(model, image=image, guide=guide)["image"].data.values[0].astype(np.int64)
    sums = made.reshape(6, 150, 2, 748, 2).sum((2, 4))
    off = np.abs(sums - 4 * image.data.values[0].astype(np.int64)).max() / 4
    return f"20 m pixels less the means of what {model} makes of them, in stored numbers, at most: {off:g}"


def native_table(folder: Path, model: str, pan: str, visible: str | None) -> None:
    """B8A at 10 m without B08 to guide it, against B08 after a local linear fit, on native data.

    What is left where both are at 20 m is the difference between the two bands, which no method can take away.
    """
    image = geomedsr.open(folder / "sentinel2_coast_20m.tif")
    guide = geomedsr.open(folder / "sentinel2_coast_10m.tif")
    low = image.source.read(Box.of(0, Window(1, 490, 748, 160)))[0].astype(np.float64)
    fine = guide.source.read(Box.of(0, Window(1, 980, 1496, 320)))[0].astype(np.float64)
    near, truth = low[3:4], fine[3]
    methods: dict[str, Callable[[], Array]] = {
        "bicubic": lambda: upsampled(near, 2)[0],
        "satellite-x2, no guide": lambda: _alone("satellite-x2", near)[0],
        f"{pan}, guided by B03": lambda: sharpened(pan, near, fine[1:2])[0],
    }
    if visible:
        methods[f"{visible}, guided by B02, B03, B04"] = lambda: sharpened(visible, low, fine[:3], image.bands)[3]
    methods[f"{model}, guided by B08 too"] = lambda: sharpened(model, low, fine, image.bands)[3]
    print("| B8A at 10 m against B08 | RMSE after a local linear fit | × bicubic's |\n|---|---|---|")
    base = locally_fitted(methods["bicubic"](), truth)
    for name, method in methods.items():
        error = locally_fitted(method(), truth)
        print(f"| {name} | {error:.1f} | {error / base:.2f} |")
    left = locally_fitted(near[0], reduced(truth[None], 2)[0])
    print(f"| both at 20 m | {left:.1f} | {left / base:.2f} |\n")


def pan_table(folder: Path, model: str, scale: int) -> None:
    """ERGAS and Q2n of pansharpening at reduced scale."""
    print(f"| ×{scale} scene | method | ERGAS, % | Q2n |\n|---|---|---|---|")
    for name, truth, pan in _pan_scenes(folder, scale):
        low = reduced(truth, scale)
        methods: dict[str, Callable[[], Array]] = {
            "bicubic": lambda low=low: upsampled(low, scale),
            "Brovey": lambda low=low, pan=pan: brovey(low, pan, scale),
            "GS": lambda low=low, pan=pan: gs(low, pan, scale),
            "GSA": lambda low=low, pan=pan: gsa(low, pan, scale),
            "MTF-GLP-HPM": lambda low=low, pan=pan: mtf_glp_hpm(low, pan, scale),
            model: lambda low=low, pan=pan: sharpened(model, low, pan[None]),
        }
        for method, make in methods.items():
            made = make()
            print(f"| {name} | {method} | {ergas(made, truth, scale):.3f} | {q2n(made, truth):.4f} |", flush=True)
    print()


#: Title, file, window (column, row, width, height; None the whole), and what each band weighs in the panchromatic one.
MIXED = (
    ("Sentinel-2 coast, pan of B02 B03 B04", "sentinel2_coast_10m.tif", (0, 1000, 1500, 300), (0.3, 0.4, 0.3, 0)),
    ("Landsat 8 fields, pan of B2 B3 B4", "landsat8_fields_south_30m.tif", (1500, 600, 541, 1100), (0.2, 0.4, 0.4)),
    ("Landsat 8 snow, pan of B3 B4", "landsat8_greenland_30m.tif", (500, 0, 300, 1093), (0, 0.5, 0.5, 0)),
    ("NAIP 1 m, pan of all", "naip_3607717_1m.tif", None, (0.3, 0.3, 0.2, 0.2)),
)


def _pan_scenes(folder: Path, scale: int) -> list[tuple[str, Array, Array]]:
    """Names, bands and panchromatic bands on one grid, the last reduced by as much as the bands will be."""
    found = []
    if scale == 2:
        pan = _stored(folder / "landsat8_elkton_pan_15m.tif", ~ELKTON)
        for title, name, bands in (("B2 B3 B4", "rgb", slice(0, 3)), ("B5 B6 B7", "nir_swir_tir", slice(1, 4))):
            both = beside(_stored(folder / f"landsat8_elkton_{name}_30m.tif", Affine.identity()), pan, 2)
            values = both.source.read(Box.whole(both.shape))[0].astype(np.float64)
            found.append(_scene(f"Landsat 8 Elkton {title}, real pan", values[bands], values[-1], scale))
    for title, file, window, weights in MIXED:
        image = geomedsr.open(folder / file)
        if file.startswith("naip"):  # whose near infrared the file marks as alpha
            image = image.select(["red=1", "green=2", "blue=3", "nir=4"])
        place = Window(*window) if window else Window(0, 0, image.shape[3], image.shape[2])
        values = image.source.read(Box.of(0, place))[0].astype(np.float64)
        mixed = np.tensordot(np.array(weights), values, 1)
        found.append(_scene(title, values, 0.5 * mixed + 0.5 * _soft(mixed), scale))
    return found


def _stored(path: Path, affine: Affine) -> Scene:
    """A raster's values, placed by another affine."""
    scene = geomedsr.open(path)
    values = scene.source.read(Box.whole(scene.shape))
    return Scene.from_array(values, grid=Grid(scene.shape[2:], affine=affine, crs="EPSG:32617"))


def _scene(name: str, truth: Array, pan: Array, scale: int) -> tuple[str, Array, Array]:
    height, width = (n // scale * scale for n in pan.shape)
    return name, truth[:, :height, :width], pan[:height, :width]


def _soft(image: Array) -> Array:
    """A 3 × 3 binomial blur."""
    large = np.pad(image, 1, mode="edge")
    rows = (large[:-2] + 2 * large[1:-1] + large[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def sharpened(model: str, low: Array, guide: Array, bands: tuple = (), others: tuple = ()) -> Array:
    """What a model makes of coarse bands and a guide, ``(band, y, x)``."""
    scenes = [
        Scene.from_array(x.astype(np.float32), bands=[Band(b.name) for b in names] or None)
        for x, names in ((low, bands), (guide, others))
    ]
    return process(model, image=scenes[0], guide=scenes[1])["image"].data.values[0].astype(np.float64)


def _alone(model: str, low: Array) -> Array:
    return geomedsr.upscale(Scene.from_array(low.astype(np.float32)), model).data.values[0].astype(np.float64)


def locally_fitted(made: Array, truth: Array, side: int = 32) -> float:
    """RMSE after the best line in each block of ``side × side`` pixels."""
    squares = []
    for row in range(0, truth.shape[0] - side + 1, side):
        for col in range(0, truth.shape[1] - side + 1, side):
            x, y = (image[row : row + side, col : col + side].ravel() for image in (made, truth))
            x, y = x - x.mean(), y - y.mean()
            squares.append(((y - x * (x @ y) / max(x @ x, 1e-9)) ** 2).mean())
    return float(np.sqrt(np.mean(squares)))


def _rmse(made: Array, truth: Array) -> Array:
    return np.sqrt(((made - truth) ** 2).mean((1, 2)))


if __name__ == "__main__":
    main()
